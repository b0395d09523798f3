"""Why the comparison can be believed: a checklist from the records, and the exact commands."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from study.comparison import Comparison, Row
from study.comparison.equality import EVERYWHERE, configured, differing
from study.design.start import is_comparable
from study.design.states import RunStatus
from study.report.blocks import Code, Facts, Note, Section
from study.report.numbers import count, duration
from study.report.study import protocol as of_a_study
from study.report.study.protocol import STEPS, data, entries, has_content, in_words
from study.report.tables import Column, Table
from study.text import plural, sentence
from trainables import architecture


def section(comparison: Comparison, command: str = "") -> Section:
    """`command` is what made the comparison, empty where that is not known."""
    rows = comparison.rows
    blocks: list[Any] = [checklist(comparison)] if rows else []
    blocks += (
        [Facts("Registered before it was run", entries(asdict(found)))] if (found := comparison.registered) else []
    )
    blocks += [Facts("How often the test images were looked at on this machine", looks(comparison))] if rows else []
    blocks += [Note(f"Not equal: {what}.") for what in comparison.unequal]
    blocks += [Note(f"{sentence(note)}.") for note in comparison.notes]
    blocks += [Code("The command of this comparison", command)]
    blocks += [Code("The command of every row", "\n".join(commands(rows)))] if rows else []
    if rows:
        blocks += [
            Facts("The same for all rows", same(rows)),
            *(Facts(f"Data: {row.dataset}", data(row.record.data)) for row in first_of_each_dataset(rows)),
            spaces(rows),
            Facts("Recipe", entries(rows[0].config.recipe) if equal_recipes(rows) else []),
            Facts("Versions", entries(rows[0].record.study.versions)),
            Facts("Hardware", entries(rows[0].record.study.hardware)),
        ]
    lead = f"{STEPS} docs/protocol.md has the reasons, and how often the intervals are wrong."
    kept = [block for block in blocks if isinstance(block, Note) or has_content(block)]
    return Section("protocol", "Protocol, checklist and commands", kept, lead=lead, short="Protocol")


def commands(rows: Sequence[Row]) -> list[str]:
    return [row.record.study.command or f"# {row.name}: its record has no command" for row in rows]


def first_of_each_dataset(rows: Sequence[Row]) -> list[Row]:
    return list({row.dataset: row for row in reversed(rows)}.values())[::-1]


def equal_recipes(rows: Sequence[Row]) -> bool:
    return all(row.config.recipe == rows[0].config.recipe for row in rows)


def same(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What all rows have, of what they should."""
    names = [name for name in EVERYWHERE if not list(differing(rows, [name], configured))]
    values = {name: configured(rows[0], name) for name in names}
    return [(name.replace("_", " "), in_words(value)) for name, value in values.items() if value is not None]


def checklist(comparison: Comparison) -> Table:
    rows = comparison.rows
    alone = [group.title for group in comparison.groups if len(group.rows) == 1]
    few = [row.label for row in rows if len(row.seeds) < 3]
    pairs = sum(len(group.differences) for group in comparison.groups)
    pruned, failed = (
        sum(row.record.study.search.get(status, 0) for row in rows) for status in (RunStatus.PRUNED, RunStatus.FAILED)
    )
    trials = sum(row.trials for row in rows)
    without_commit = [row.label for row in rows if "commit" not in row.record.study.versions]
    seconds = sum(sum(row.seconds.values()) for row in rows)
    items = [
        (
            "Same budget, metric, sampler, recipe, augmentation and seeds for every row?",
            not comparison.unequal,
            "; ".join(comparison.unequal) or "every entry of the configurations was compared",
        ),
        (
            "Same test images, answered once, after the choice was made?",
            not alone,
            f"only one row on {', '.join(alone)}"
            if alone
            else f"{count(sum(group.n_test for group in comparison.groups))} images; rows are grouped by test set",
        ),
        ("At least three seeds of every winner?", not few, f"fewer: {', '.join(few)}" if few else seeds_of(rows)),
        ("Intervals and tests?", bool(pairs), f"{pairs} pairs, paired by image, Holm-adjusted; 95 % intervals"),
        (
            "Hyperparameter ranges, and where a search starts?",
            True,
            f"below; {start(rows)}",
        ),
        (
            "Failed and pruned runs reported?",
            True,
            f"{count(trials)} trials, {pruned} pruned, {failed} failed; all count in the cost",
        ),
        (
            "Code, versions and hardware recorded?",
            not without_commit,
            f"no commit: {', '.join(without_commit)}" if without_commit else "with the commit, in every record",
        ),
        (
            "Cost told?",
            bool(seconds),
            f"{duration(seconds)} of wall time for all rows" if seconds else "no times recorded",
        ),
        (
            "Registered before it was run, and run as registered?",
            comparison.registered is not None and not comparison.registered.deviations,
            str(comparison.registered or "not registered: --register FILE"),
        ),
        (
            "All rows that were wanted are here?",
            not comparison.left_out,
            "; ".join(f"{name}: {reason}" for name, reason in comparison.left_out) or "none was left out",
        ),
    ]
    return Table(
        "checklist",
        "Checklist",
        [Column("question", "Question"), Column("answer", "Answer"), Column("evidence", "Evidence")],
        [{"question": q, "answer": "yes" if ok else "no", "evidence": why} for q, ok, why in items],
    )


def start(rows: Sequence[Row]) -> str:
    """Where the searches of a comparison start, and what of it the paper gives."""
    known = [row for row in rows if row.model in architecture.names()]
    others = "; it freezes nothing of timm’s models" if any(row.model.startswith("timm/") for row in rows) else ""
    if all(is_comparable(architecture.get(row.model), row.config.recipe["name"], row.config.protocol) for row in known):
        return (
            "trial 0 freezes what the paper freezes; its learning rate and weight decay are the same for every head "
            "(those of the paper’s AlexNet), and for every model that is trained further (ours)"
        ) + others
    return f"trial 0 is the paper’s for AlexNet; for the others learning rate and weight decay are ours{others}"


def looks(comparison: Comparison) -> list[tuple[str, str]]:
    """Of each test set, by this machine's ledger."""
    return [
        (
            title,
            f"{plural(len(found.studies), 'study')} tested, {plural(found.others, 'other look')}, "
            f"{plural(found.runs, 'prediction')} of all of them",
        )
        for title, found in comparison.looks.items()
    ]


def seeds_of(rows: Sequence[Row]) -> str:
    numbers = sorted({len(row.seeds) for row in rows})
    return f"{' or '.join(str(number) for number in numbers)} each"


def spaces(rows: Sequence[Row]) -> Table:
    """What was searched: a row per model and hyperparameter."""
    of_each_model = list({(row.model, row.variant): row for row in reversed(rows)}.values())[::-1]
    table = [{"model": row.label, **entry} for row in of_each_model for entry in of_a_study.space(row.record)]
    return of_a_study.space_table("spaces", "Search spaces", table, before=[Column("model", "Model")])
