"""What must be the same in all rows of a comparison, and what is said where it is not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import ceil
from typing import Any

from study.comparison.repeats import each
from study.comparison.rows import UNKNOWN, Row
from study.design import space
from study.results import provenance
from study.results.left_out import by_time
from study.results.point import backbone_stages, searched, shown
from study.text import shorten
from trainables import architecture
from trainables.hyperparameters import DECLARED

# of every row: the budget, the sampler, what is best, the seeds, the rules (where it starts, what is tested)
EVERYWHERE = (
    *("scale", "trials", "hours", "epochs", "metric", "early_stopping", "seed", "seeds", "top_k"),
    *("precision", "workers_per_trial", "sync_batchnorm", "compile", "grad_accum", "protocol"),
)
# of the images: a larger one is more to see; the rest follows each checkpoint, and is noted
FOLLOWING_THE_CHECKPOINT = ("crop", "interpolation", "mean", "std")
# of the rows on one dataset
ON_A_DATASET = ("data_options", "duplicates", "train_fraction", "images_per_class")


def unequal(rows: Sequence[Row]) -> list[str]:
    """A sentence for each thing that differs and should not."""
    sentences = [*differing(rows, EVERYWHERE, configured)]
    sentences += differing(rows, ["name", "milestones", *DECLARED], recipes_value, "recipe's ")
    sentences += differing(rows, ["sampler"], lambda row, _: row.record.study.sampler or None)
    sentences += differing(rows, ["fixed"], lambda row, _: fixed(row))
    sentences += differing(rows, ["what is searched or fixed"], point)
    sentences += differing_ranges(rows, all_own=False)
    sentences += differing(rows, ["image size"], lambda row, _: preprocessed(row, "size"))
    studies = [one for row in rows for one in each(row)]
    sentences += differing(studies, ["code version"], lambda row, _: row.record.study.versions.get("commit"))
    for variant in dict.fromkeys(row.variant for row in rows):
        of_one = [row for row in rows if row.variant == variant]
        sentences += differing(of_one, ["weights"], lambda row, _: weights(row), f"{variant}: ")
    for dataset, here in by_dataset(rows):
        sentences += differing(here, ON_A_DATASET, configured, f"{dataset}: ")
        sentences += unequal_splits(here, f"{dataset}: ")
        sentences += differing(here, ["images left out"], lambda row, _: left_out(row), f"{dataset}: ")
    return sentences


def configured(row: Row, name: str) -> Any:
    return getattr(row.config, name)


def preprocessed(row: Row, name: str) -> Any:
    return getattr(row.record.study.preprocessing, name, None)


def weights(row: Row) -> str | None:
    """A hash of the pretrained backbone; None without one, and where the record does not say."""
    return row.record.study.model.weights if row.record.study.model else None


def parts(row: Row) -> int:
    """Into how many parts a batch was divided at most, where it did not fit: BatchNorm normalises each by itself."""
    runs = [*row.record.trials, *row.record.runs]
    return max((ceil(run["batch_size"] / run["micro_batch_size"]) for run in runs if divided(run)), default=1)


def divided(run: Mapping[str, Any]) -> bool:
    return bool(run.get("batch_size") and run.get("micro_batch_size"))


def recipes_value(row: Row, name: str) -> Any:
    """What a study's recipe says; of what was not declared yet when it ran, the default, which it trained with."""
    default = DECLARED[name].default if name in DECLARED and not DECLARED[name].required else None
    return row.config.recipe.get(name, default)


def point(row: Row, _: str) -> str:
    """What a point of the study says, whether it was searched or fixed: which was fixed is told on its own."""
    return ", ".join(name for name in DECLARED if name in shown(row.record)) or "nothing"


def differing_ranges(rows: Sequence[Row], *, all_own: bool) -> Iterator[str]:
    """Where one hyperparameter was searched in several ranges: each architecture's own, or others too."""
    for name in dict.fromkeys(name for row in rows for name in searched(row.record)):
        there = [row for row in rows if name in searched(row.record)]
        if all(is_own(row, name) for row in there) == all_own:
            yield from differing(there, [name], domain, "range of ")


def is_own(row: Row, name: str) -> bool:
    """Whether the range is that of the architecture's table in search_spaces/, which differ on purpose."""
    stages = backbone_stages(row.record)
    if row.family == UNKNOWN or stages is None:
        return False
    own = space.default(architecture.get(row.model).table, stages)
    return own.get(name) == space.from_facts(searched(row.record))[name]


def domain(row: Row, name: str) -> str:
    """`1e-05 to 0.03, log`, `32, 64, 128`; up to a backbone that is frozen whole it is `0 to all`."""
    one = space.from_facts(searched(row.record))[name]
    if name == space.DEPTH and isinstance(one, space.Range) and one.high == backbone_stages(row.record):
        return f"{one.low:g} to {space.ALL}"
    return str(one)


def notes(rows: Sequence[Row]) -> list[str]:
    """What may differ, but should be known."""
    libraries = {name: None for row in rows for name in row.record.study.versions if name != "commit"}
    sentences = [*differing(rows, libraries, lambda row, name: row.record.study.versions.get(name))]
    if not all(provenance.same_hardware(row.record.study.hardware, rows[0].record.study.hardware) for row in rows):
        sentences.append("the studies ran on different machines: their times cannot be compared")
    sentences += differing_ranges(rows, all_own=True)
    sentences += differing(rows, ["max_concurrent"], configured)
    sentences += differing(rows, FOLLOWING_THE_CHECKPOINT, preprocessed, "preprocessing's ")
    sentences += differing(rows, ["parts of a batch"], lambda row, _: parts(row))
    for row in rows:
        if out := by_time(row.record):
            sentences.append(f"{row.name} has no time left in its {row.config.hours:g} h for {out}")
            continue
        if len(row.seeds) < row.config.seeds:
            sentences.append(f"{row.name} has {len(row.seeds)} of {row.config.seeds} seeds: the other test runs failed")
        if row.trials < row.config.trials:
            sentences.append(
                f"{row.name} has {row.trials} of {row.config.trials} trials in its record: what its search found "
                "and cost is not known"
            )
    if single := [row.name for row in rows if len(row.seeds) == 1]:
        sentences.append(
            f"one seed only ({shorten(single)}): intervals cover the test images alone, and no difference is found"
        )
    if strange := [row.name for row in rows if row.family == "unknown"]:
        sentences.append(f"no architecture of this version ({shorten(strange)}): their family is not known")
    for dataset, here in by_dataset(rows):
        if absent := sorted({name for row in here for name, recall in row.recall.items() if recall is None}):
            sentences.append(
                f"{dataset}: no test image of class {shorten(absent)}, which counts in no mean over classes"
            )
    return sentences


def by_dataset(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    ordered = sorted(rows, key=lambda row: row.dataset)
    return ((name, list(here)) for name, here in groupby(ordered, key=lambda row: row.dataset))


def differing(
    rows: Sequence[Row], names: Iterable[str], value: Callable[[Row, str], Any], before: str = ""
) -> Iterator[str]:
    """`trials differ: 32 (a, b), 16 (c)`, for each name that has several values."""
    for name in names:
        having: dict[str, list[str]] = {}
        for row in rows:
            one = value(row, name)
            having.setdefault("not recorded" if one is None else in_words(one), []).append(row.name)
        if len(having) > 1:
            each = [f"{what} ({shorten(who)})" for what, who in having.items()]
            yield f"{before}{name.replace('_', ' ')} differs: {shorten(each)}"


def in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in sorted(value.items())) or "none"
    return str(value)


def fixed(row: Row) -> dict[str, Any]:
    """What was not searched; a backbone that is frozen whole is `all`, however many stages it has."""
    values: dict[str, Any] = dict(row.config.fixed)
    whole = values.get(space.DEPTH) == (backbone_stages(row.record) or -1)
    return values | ({space.DEPTH: space.ALL} if whole else {})


def unequal_splits(rows: Sequence[Row], before: str) -> Iterator[str]:
    """Of rows on one dataset: other test sets, or other splits of as large a part of train."""
    if len({row.test_set for row in rows}) > 1:
        yield from differing(rows, ["test set"], lambda row, _: row.test_set, before)
        return
    parts = {part(row): None for row in rows}
    for one in parts:
        same = [row for row in rows if part(row) == one]
        yield from differing(same, ["splits"], lambda row, _: row.record.data.fingerprint, before)


def part(row: Row) -> tuple[float | None, int | None]:
    """How much of train a study has used: it has splits of its own."""
    return row.config.train_fraction, row.config.images_per_class


def left_out(row: Row) -> int:
    return len(row.record.data.left_out)
