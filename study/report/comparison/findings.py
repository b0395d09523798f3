"""What else a reader asks, answered in sentences from the evidence, and every score of every row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from study.comparison import Comparison, Group, Question, Row
from study.comparison.floor import floor
from study.comparison.summary import RANKS
from study.report.blocks import Facts, Section, empty
from study.report.comparison import corruptions
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import style_of, word
from study.report.numbers import MISSING, duration, metric_gain, percent
from study.report.tables import Column, Table
from study.results.point import score
from study.text import sentence
from trainables.metrics import Metric

CONFIDENCE = (
    "Calibration error: how far confidence and accuracy are apart, in 15 bins (ECE). NLL of being right: of the "
    "probability that the answer had of being right or wrong."
)


@dataclass(frozen=True)
class Questions:
    questions: Sequence[Question]
    template: ClassVar[str] = "questions.html"


def section(comparison: Comparison) -> Section:
    title = "What the evidence says"
    if not comparison.groups:
        why = "; ".join(f"{name}: {reason}" for name, reason in comparison.left_out)
        return empty("findings", title, f"No study is finished. {why}", short="Findings")
    others = [one for one in comparison.questions if one.answer != comparison.answer]  # which is on the first screen
    scores = per_dataset(comparison, table)
    blocks: list[Any] = [Questions(others), *scores] if others else scores
    if comparison.left_out:
        blocks.append(Facts("Left out, and why", comparison.left_out))
    return Section("findings", title, blocks, short="Findings")


def table(group: Group, among: Sequence[Row], suffix: str) -> list[Table]:
    columns = [
        Column("label", "Model"),
        Column("family", "Family"),
        Column("rank", "Rank", whole, "number"),
        Column("accuracy", "Accuracy", percent, "share"),
        Column("mean_class_accuracy", "Mean class accuracy", percent, "number"),
        Column("macro_f1", "Macro-F1", percent, "number"),
        Column("calibration_error", "Calibration error", percent, "number"),
        Column("log_likelihood", "NLL of being right", nats, "number"),
        Column("linear_probe", "Ridge regression", percent, "number"),
        Column("gain", "Search over its start, validation", gain_of(group.metric), "number"),
        Column("seeds", "Seeds", whole, "number"),
        Column("trials", "Trials", whole, "number"),
        Column("wall", "Wall time", duration, "number"),
        Column("study", "Study"),
    ]
    rows = []
    for row in group.rows:
        of_probe = floor(row)
        rows.append(
            {
                "label": row.label,
                "family": word(row.family),
                "rank": group.ranks.get(row.name),
                "accuracy": row.accuracy.mean,
                "mean_class_accuracy": row.mean_class_accuracy.mean,
                "macro_f1": row.macro_f1.mean,
                "calibration_error": row.confidence.calibration_error if row.confidence else None,
                "log_likelihood": row.confidence.log_likelihood if row.confidence else None,
                "linear_probe": of_probe.accuracy if of_probe else None,
                "gain": gain(row, group.metric),
                "seeds": len(row.seeds),
                "trials": row.trials,
                "wall": sum(row.seconds.values()) if row.seconds else None,
                "study": row.name,
            }
        )
    if not any(row["linear_probe"] for row in rows):
        columns = [column for column in columns if column.name != "linear_probe"]
    unit = "how much smaller the loss is" if group.metric is Metric.LOSS else f"in points of {group.metric.words}"
    caption = (
        f"Means over seeds. {sentence(RANKS)}. {CONFIDENCE} The gain of the search is {unit} on validation, where the "
        "winner was chosen."
    )
    styles = [style_of(row, among) for row in group.rows]
    scores = Table(f"scores{suffix}", "Every score", columns, rows, caption=caption, styles=styles)
    return [scores, *corruptions.tables(group, among, suffix)]


def nats(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def whole(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def gain(row: Row, metric: Metric) -> float | None:
    """What the search gained over where it started, on validation; a loss gains by getting smaller."""
    best, papers = (score(point or {}, metric) for point in (row.record.study.winner, row.record.study.paper))
    return None if best is None or papers is None else metric.merit(best) - metric.merit(papers)


def gain_of(metric: Metric) -> Callable[[float | None], str]:
    return lambda value: MISSING if value is None else metric_gain(metric, value)
