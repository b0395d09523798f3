"""The first screen: the question, the answer, every row with its interval in order of rank, and what accuracy costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from study.comparison import Comparison, Group, Row, Score, stability
from study.comparison.floor import Floor, below, floor
from study.comparison.groups import titles_of
from study.comparison.rows import common_metric
from study.comparison.summary import RANKS, registration
from study.report.blocks import Section
from study.report.comparison import cost
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.scale import Scale, scale
from study.report.comparison.styles import Style, families, style_of, word
from study.report.downloads import data_uri
from study.statistics import given
from study.text import joined, plural, sentence
from trainables.metrics import Metric

COLUMNS = (
    *("rank", "letters", "name", "label", "family", "pretraining", "dataset", "accuracy", "low", "high"),
    *("seeds", "accuracies", "n_test", "mean_class_accuracy", "macro_f1", "linear_probe", "parameters", "trials"),
)


@dataclass(frozen=True)
class Line:
    """One row of the table. `rank` is None where rows are not compared in pairs; a flag is a word, and why."""

    row: Row
    style: Style
    rank: int | None
    letters: str
    probe: Floor | None
    flags: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Standing:
    """Rows in order, each with its interval on one scale."""

    id: str
    title: str
    lines: Sequence[Line]
    scale: Scale
    caption: str
    metric: Metric
    template: ClassVar[str] = "standing.html"

    @property
    def probed(self) -> bool:
        return any(line.probe for line in self.lines)

    @property
    def beside(self) -> str:
        """The heading of the test's value of the metric that the studies chose by; empty where that is accuracy."""
        return "" if of_test(self.metric, self.lines[0].row) is None else sentence(self.metric.words)

    def value(self, line: Line) -> float:
        """In percent."""
        score = of_test(self.metric, line.row)
        assert score is not None
        return 100 * score.mean

    @property
    def csv(self) -> str:
        return data_uri(COLUMNS, [values(line) for line in self.lines])


def of_test(metric: Metric, row: Row) -> Score | None:
    """A row's test score by a metric other than accuracy; None for the loss, which predictions do not tell."""
    return {Metric.MEAN_CLASS_ACCURACY: row.mean_class_accuracy, Metric.MACRO_F1: row.macro_f1}.get(metric)


def values(line: Line) -> list[Any]:
    row = line.row
    return [
        *(line.rank, line.letters, row.name, row.label, row.family, row.pretraining, row.dataset),
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
    registered: str = ""
    buttons: Sequence[tuple[str, Sequence[Button]]] = ()


def section(comparison: Comparison) -> Section:
    return FirstScreen(
        "answer",
        question(comparison),
        per_dataset(comparison, blocks),
        lead=comparison.answer,
        template="first_screen_of_several.html",
        kicker=budget(comparison),
        registered=". ".join(map(sentence, registration(comparison))),
        warning=warning(comparison),
        buttons=buttons(comparison),
    )


def question(comparison: Comparison) -> str:
    rows, there = comparison.rows, [name for name in families(comparison.rows) if name != "unknown"]
    on = joined(titles_of(comparison.datasets))
    models = list(dict.fromkeys(row.title for row in rows))
    if not rows:
        return "Nothing to compare yet"
    if len(there) > 1:
        families_asked = "Attention, convolution or both" if "hybrid" in there else "Attention or convolution"
        return f"{families_asked}: what classifies {on} best?"
    if len(models) > 1:
        return f"Which of {joined(models)} classifies {on} best?"
    if len({row.pretraining for row in rows}) > 1:
        return f"Which pretraining of {models[0]} classifies {on} best?"
    return f"How well does {rows[0].label} classify {on}?"


def budget(comparison: Comparison) -> str:
    """What each row had, where all had the same."""
    rows = comparison.rows
    parts = [f"Comparison of {plural(len(rows), 'study')}"]
    for noun, values in (
        ("trial", {row.config.trials for row in rows}),
        ("epoch", {row.config.epochs for row in rows}),
        ("seed", {len(row.seeds) for row in rows}),
        ("test image", {row.n_test for row in rows}),
    ):
        if len(values) == 1 and (number := values.pop()) is not None:
            parts.append(f"{plural(number, noun)}" + (" each" if noun == "trial" else ""))
    if rows and (by := common_metric(rows)) is not Metric.ACCURACY:
        parts.append(f"chosen by validation {by.words}")
    return " · ".join(parts)


def warning(comparison: Comparison) -> str:
    if not comparison.unequal:
        return ""
    return f"Not equal for all rows: {'; '.join(comparison.unequal[:2])}" + (
        f"; and {len(comparison.unequal) - 2} more, under Protocol." if len(comparison.unequal) > 2 else "."
    )


def buttons(comparison: Comparison) -> list[tuple[str, Sequence[Button]]]:
    """Only where there is something to choose."""
    rows = comparison.rows
    groups: list[tuple[str, Sequence[Button]]] = []
    there = families(rows)
    each = [
        Button("family", name, word(name), f"var(--{name})", style_of(first(rows, name), rows).key) for name in there
    ]
    groups.append(("Family", each))
    weights = list(dict.fromkeys(row.pretraining for row in rows))
    if len(weights) > 1:
        named = [Button("pretraining", name, "from scratch" if name == "none" else name) for name in weights]
        groups.append(("Pretraining", named))
    if len(comparison.groups) > 1:
        groups.append(("Dataset", [Button("group", group.title, group.title) for group in comparison.groups]))
    return groups if rows else []


def first(rows: Sequence[Row], family: str) -> Row:
    return next(row for row in rows if row.family == family)


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    return [standing(group, among, suffix), cost.picture(group, among, suffix)]


def flags(group: Group, row: Row, unstable: str) -> list[tuple[str, str]]:
    more = "seeds" if group.repeats == 1 else "repeats"
    each = ((f"unstable: more {more}", unstable), ("below its floor", below(row, floor(row))))
    return [(flag, why) for flag, why in each if why]


def standing(group: Group, among: Sequence[Row], suffix: str) -> Standing:
    shaky = stability.of(group)
    lines = [
        Line(
            row,
            style_of(row, among),
            group.ranks.get(row.name),
            group.letters.get(row.name, ""),
            floor(row),
            flags(group, row, shaky.get(row.name, "")),
        )
        for row in group.rows
    ]
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
        f"Line: 95 % interval over {over}, {given(group.repeats)}; small marks: seeds. "
        + (f"{sentence(RANKS)}." if group.ranks else "No rank: rows are not compared in pairs.")
        + (" The axis is logarithmic in the error." if on.by_error else ""),
        group.metric,
    )
