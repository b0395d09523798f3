"""What else a reader asks, answered in sentences from the evidence, and every score of every row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from study.comparison import Comparison, Group, Question, Row
from study.report.blocks import Facts, Section, empty
from study.report.comparison.extras import probe
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import style_of, word
from study.report.numbers import MISSING, duration, percent
from study.report.tables import Column, Table


@dataclass(frozen=True)
class Questions:
    questions: Sequence[Question]
    template: ClassVar[str] = "questions.html"


def section(comparison: Comparison) -> Section:
    title = "What the evidence says"
    if not comparison.groups:
        why = "; ".join(f"{name}: {reason}" for name, reason in comparison.left_out)
        return empty("findings", title, f"No study is finished. {why}", short="Findings")
    asked = [one for one in comparison.questions if one.answer != comparison.answer]  # which is on the first screen
    scores = per_dataset(comparison, table)
    blocks: list[Any] = [Questions(asked), *scores] if asked else scores
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
        Column("macro_f1", "Macro F1", percent, "number"),
        Column("linear_probe", "Linear probe", percent, "number"),
        Column("gain", "Search over paper’s recipe", points, "number"),
        Column("seeds", "Seeds", whole, "number"),
        Column("trials", "Trials", whole, "number"),
        Column("wall", "Wall time", duration, "number"),
        Column("study", "Study"),
    ]
    rows = []
    for row in group.rows:
        winner, paper = (row.record.study.get(name) or {} for name in ("winner", "paper"))
        best, papers = winner.get("val_accuracy"), paper.get("val_accuracy")
        found = probe(row)
        rows.append(
            {
                "label": row.label,
                "family": word(row.family),
                "rank": group.ranks.get(row.name),
                "accuracy": row.accuracy.mean,
                "mean_class_accuracy": row.mean_class_accuracy.mean,
                "macro_f1": row.macro_f1.mean,
                "linear_probe": found.accuracy if found else None,
                "gain": best - papers if best is not None and papers is not None else None,
                "seeds": len(row.seeds),
                "trials": row.trials,
                "wall": sum(row.seconds.values()) if row.seconds else None,
                "study": row.name,
            }
        )
    if not any(row["linear_probe"] for row in rows):
        columns = [column for column in columns if column.name != "linear_probe"]
    said = "Means over seeds. The gain of the search is in points on validation, where the winner was chosen."
    looks = [style_of(row, among) for row in group.rows]
    return [Table(f"scores{suffix}", "Every score", columns, rows, caption=said, looks=looks)]


def whole(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def points(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:+.1f}".replace("-", "−")
