"""The first screen: the question, the answer, every row with its interval in order of rank, and what accuracy costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from study.comparison import Comparison, Group, Row
from study.report.blocks import Section
from study.report.comparison import cost
from study.report.comparison.extras import Probe, probe
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.scale import Scale, scale
from study.report.comparison.styles import Style, families, style_of, word
from study.report.downloads import data_uri
from study.text import joined, plural

COLUMNS = (
    *("rank", "name", "label", "family", "pretraining", "dataset", "accuracy", "low", "high", "seeds", "accuracies"),
    *("n_test", "mean_class_accuracy", "macro_f1", "linear_probe", "parameters", "trials"),
)


@dataclass(frozen=True)
class Line:
    """One row of the table. `rank` is None where rows are not compared in pairs."""

    row: Row
    look: Style
    rank: int | None
    shared: bool
    probe: Probe | None


@dataclass(frozen=True)
class Standing:
    """Rows in order, each with its interval on one scale."""

    id: str
    title: str
    lines: Sequence[Line]
    scale: Scale
    caption: str
    template: ClassVar[str] = "standing.html"

    @property
    def probed(self) -> bool:
        return any(line.probe for line in self.lines)

    @property
    def csv(self) -> str:
        return data_uri(COLUMNS, [values(line) for line in self.lines])


def values(line: Line) -> list[Any]:
    row = line.row
    return [
        *(line.rank, row.name, row.label, row.family, row.pretraining, row.dataset),
        *(row.accuracy.mean, *row.accuracy.interval, len(row.seeds), " ".join(f"{a:.6g}" for a in row.accuracies)),
        *(row.n_test, row.mean_class_accuracy.mean, row.macro_f1.mean),
        *(line.probe.accuracy if line.probe else None, row.parameters, row.trials),
    ]


@dataclass(frozen=True)
class Button:
    """Leaves rows out and takes them in again."""

    keeps: str
    value: str
    label: str
    color: str = ""
    key: str = ""


@dataclass(frozen=True)
class FirstScreen(Section):
    kicker: str = ""
    warning: str = ""
    buttons: Sequence[tuple[str, Sequence[Button]]] = ()


def section(comparison: Comparison) -> Section:
    return FirstScreen(
        "answer",
        question(comparison),
        per_dataset(comparison, blocks),
        lead=comparison.answer,
        template="first_screen_of_several.html",
        kicker=budget(comparison),
        warning=warning(comparison),
        buttons=buttons(comparison),
    )


def question(comparison: Comparison) -> str:
    rows, there = comparison.rows, [name for name in families(comparison.rows) if name != "unknown"]
    on = joined(comparison.datasets)
    models = list(dict.fromkeys(row.title for row in rows))
    if not rows:
        return "Nothing to compare yet"
    if len(there) > 1:
        asked = "Attention, convolution or both" if "hybrid" in there else "Attention or convolution"
        return f"{asked}: what classifies {on} best?"
    if len(models) > 1:
        return f"Which of {joined(models)} classifies {on} best?"
    if len({row.pretraining for row in rows}) > 1:
        return f"Which pretraining of {models[0]} classifies {on} best?"
    return f"How well does {rows[0].label} classify {on}?"


def budget(comparison: Comparison) -> str:
    """What each row had, where all had the same."""
    rows = comparison.rows
    said = [f"Comparison of {plural(len(rows), 'study')}"]
    for noun, found in (
        ("trial", {row.config.get("trials") for row in rows}),
        ("epoch", {row.config.get("epochs") for row in rows}),
        ("seed", {len(row.seeds) for row in rows}),
        ("test image", {row.n_test for row in rows}),
    ):
        if len(found) == 1 and (number := found.pop()) is not None:
            said.append(f"{plural(number, noun)}" + (" each" if noun == "trial" else ""))
    return " · ".join(said)


def warning(comparison: Comparison) -> str:
    if not comparison.unequal:
        return ""
    return f"Not equal for all rows: {'; '.join(comparison.unequal[:2])}" + (
        f"; and {len(comparison.unequal) - 2} more, under Protocol." if len(comparison.unequal) > 2 else "."
    )


def buttons(comparison: Comparison) -> list[tuple[str, Sequence[Button]]]:
    """Only where there is something to choose."""
    rows = comparison.rows
    found: list[tuple[str, Sequence[Button]]] = []
    there = families(rows)
    each = [
        Button("family", name, word(name), f"var(--{name})", style_of(first(rows, name), rows).key) for name in there
    ]
    found.append(("Family", each))
    weights = list(dict.fromkeys(row.pretraining for row in rows))
    if len(weights) > 1:
        named = [Button("pretraining", name, "from scratch" if name == "none" else name) for name in weights]
        found.append(("Pretraining", named))
    if len(comparison.groups) > 1:
        found.append(("Data set", [Button("group", group.title, group.title) for group in comparison.groups]))
    return found if rows else []


def first(rows: Sequence[Row], family: str) -> Row:
    return next(row for row in rows if row.family == family)


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    return [standing(group, among, suffix), cost.picture(group, among, suffix)]


def standing(group: Group, among: Sequence[Row], suffix: str) -> Standing:
    ranks = list(group.ranks.values())
    lines = []
    for row in group.rows:
        rank = group.ranks.get(row.name)
        lines.append(Line(row, style_of(row, among), rank, rank is not None and ranks.count(rank) > 1, probe(row)))
    ends = [bound for row in group.rows for bound in (*row.accuracy.interval, *row.accuracies)]
    ends += [line.probe.accuracy for line in lines if line.probe]
    on = scale(ends)
    single = min(len(row.seeds) for row in group.rows) == 1
    over = "test images" if single else "seeds and test images"
    return Standing(
        f"standing{suffix}",
        f"Test accuracy on {group.title}",
        lines,
        on,
        f"Line: 95 % interval over {over}; small marks: seeds. Rows share a rank where no difference is established"
        f"{' (no rank: rows are not compared in pairs)' if not group.ranks else ''}."
        + (" The axis is logarithmic in the error." if on.by_error else ""),
    )
