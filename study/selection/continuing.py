"""The command that continues a selection: hyperparameters and freeze depth of those that are kept, on the same images.

A comparison has a row for every model with every pretraining that it names. Where that would be more than those that
are kept, it is several commands, each with one pretraining, whose rows come into one folder.
"""

from collections.abc import Sequence
from pathlib import Path

from study.options.keywords import SelectKeywords
from study.results import provenance
from study.selection.candidates import Candidate


def shared(options: SelectKeywords) -> tuple[str, ...]:
    """The options of a selection that its comparison has to be given, too: those that say which images they are."""
    words: list[str] = []
    if options.split_seed:
        words += ["--split-seed", str(options.split_seed)]
    if options.data_dir:
        words += ["--data-dir", str(options.data_dir)]
    if options.data_option:
        words += ["--data-option", *options.data_option]
    if options.duplicates != "auto":
        words += ["--duplicates", options.duplicates]
    words += ["--strict"] * options.strict + ["--offline"] * options.offline
    if options.precision != "auto":
        words += ["--precision", options.precision]
    if options.results != Path("results"):
        words += ["--results", str(options.results)]
    return tuple(words)


def command(kept: Sequence[Candidate], dataset: str, words: Sequence[str]) -> str:
    """The line that compares those that are kept.

    Args:
        kept: at least one.
        dataset: as --dataset has it.
        words: what `shared` gives.
    """
    return " && ".join(
        provenance.command(
            [
                *("--models", *dict.fromkeys(one.model for one in each)),
                *("--pretraining", *dict.fromkeys(one.pretraining for one in each)),
                *("--datasets", dataset, "--scale", each[0].scale),
                *(("--weights", str(each[0].path.parent)) if each[0].path else ()),
                *words,
            ],
            module="study.compare",
        )
        for each in together(kept)
    )


def together(kept: Sequence[Candidate]) -> list[list[Candidate]]:
    """Those of each command: all, where their models with their pretrainings are just these."""
    folders = {one.path and one.path.parent for one in kept}
    if len(folders) == 1 and len(kept) == len({one.model for one in kept}) * len({one.pretraining for one in kept}):
        return [list(kept)]
    found: dict[tuple[str, Path | None], list[Candidate]] = {}
    for one in kept:
        found.setdefault((one.pretraining, one.path and one.path.parent), []).append(one)
    return list(found.values())
