"""What must be the same in all rows of a comparison, and what is said where it is not."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from study.comparison.rows import Row
from study.text import shorten

# of every row: the budget, the sampler, the recipe with its augmentation, the seeds
EVERYWHERE = (
    *("scale", "trials", "epochs", "early_stopping", "seed", "seeds", "top_k"),
    *("precision", "workers_per_trial"),
)
# of the rows on one data set
ON_A_DATA_SET = ("data_options", "duplicates", "train_fraction", "images_per_class")


def unequal(rows: Sequence[Row]) -> list[str]:
    """A sentence for each thing that differs and should not."""
    found = [*differing(rows, EVERYWHERE, lambda row, name: row.config.get(name))]
    recipes = {name: None for row in rows for name in row.config.get("recipe", {}) if name != "epochs"}
    found += differing(rows, recipes, lambda row, name: row.config.get("recipe", {}).get(name), "recipe's ")
    found += differing(rows, ["sampler"], lambda row, name: row.record.study.get(name))
    found += differing(rows, ["fixed"], lambda row, _: fixed(row))
    for dataset, here in by_data_set(rows):
        found += differing(here, ON_A_DATA_SET, lambda row, name: row.config.get(name), f"{dataset}: ")
        found += unequal_splits(here, f"{dataset}: ")
        found += differing(here, ["images left out"], lambda row, _: left_out(row), f"{dataset}: ")
    return found


def notes(rows: Sequence[Row]) -> list[str]:
    """What may differ, but should be known."""
    libraries = {name: None for row in rows for name in row.record.study.get("versions", {})}
    found = [*differing(rows, libraries, lambda row, name: row.record.study.get("versions", {}).get(name))]
    if any(row.record.study.get("hardware") != rows[0].record.study.get("hardware") for row in rows):
        found.append("the studies ran on different machines: their times cannot be compared")
    found += differing(rows, ["max_concurrent"], lambda row, name: row.config.get(name))
    for row in rows:
        asked = row.config.get("seeds", len(row.seeds))
        if len(row.seeds) < asked:
            found.append(f"{row.name} has {len(row.seeds)} of {asked} seeds: the other test runs failed")
        if row.trials < row.config.get("trials", row.trials):
            found.append(
                f"{row.name} has {row.trials} of {row.config['trials']} trials in its record: what its search found "
                "and cost is not known"
            )
    if single := [row.name for row in rows if len(row.seeds) == 1]:
        found.append(
            f"one seed only ({shorten(single)}): intervals cover the test images alone, and no difference is "
            "established"
        )
    if strange := [row.name for row in rows if row.family == "unknown"]:
        found.append(f"no architecture of this version ({shorten(strange)}): their family is not known")
    for dataset, here in by_data_set(rows):
        if absent := sorted({name for row in here for name, recall in row.recall.items() if recall is None}):
            found.append(f"{dataset}: no test image of class {shorten(absent)}, which counts in no mean over classes")
    return found


def by_data_set(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    ordered = sorted(rows, key=lambda row: row.dataset)
    return ((name, list(here)) for name, here in groupby(ordered, key=lambda row: row.dataset))


def differing(
    rows: Sequence[Row], names: Iterable[str], value: Callable[[Row, str], Any], before: str = ""
) -> Iterator[str]:
    """`trials differ: 32 (a, b), 16 (c)`, for each name that has several values."""
    for name in names:
        having: dict[str, list[str]] = {}
        for row in rows:
            found = value(row, name)
            having.setdefault("not recorded" if found is None else shown(found), []).append(row.name)
        if len(having) > 1:
            each = [f"{what} ({shorten(who)})" for what, who in having.items()]
            yield f"{before}{name.replace('_', ' ')} differs: {shorten(each)}"


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in sorted(value.items())) or "none"
    return str(value)


def fixed(row: Row) -> dict[str, Any]:
    """What was not searched; a backbone that is frozen whole is `all`, however many stages it has."""
    values = dict(row.config.get("fixed", {}))
    stages = len(row.record.study.get("model", {}).get("stage_names", ())) - 1
    return values | ({"freeze_depth": "all"} if values.get("freeze_depth") == stages else {})


def unequal_splits(rows: Sequence[Row], before: str) -> Iterator[str]:
    """Of rows on one data set: other test sets, or other splits of as large a part of train."""
    if len({row.test_set for row in rows}) > 1:
        yield from differing(rows, ["test set"], lambda row, _: row.test_set, before)
        return
    parts = {part(row): None for row in rows}
    for one in parts:
        same = [row for row in rows if part(row) == one]
        yield from differing(same, ["splits"], lambda row, _: row.record.study["data"]["fingerprint"], before)


def part(row: Row) -> tuple[float | None, int | None]:
    """How much of train a study has used: it has splits of its own."""
    return row.config.get("train_fraction"), row.config.get("images_per_class")


def left_out(row: Row) -> int:
    return len(row.record.study["data"].get("left_out", ()))
