"""What mattered in each search."""

from collections.abc import Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report.blocks import Note, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import style_of
from study.report.numbers import percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.importance import at_the_edge, importance
from study.results.point import backbone_stages, searched


def section(comparison: Comparison) -> Section:
    if not any(searched(row.record) for row in comparison.rows):
        return empty("importance", "What mattered", "No record holds the space that was searched.", short="Importance")
    return Section(
        "importance",
        "What mattered in the searches",
        per_dataset(comparison, blocks),
        lead=(
            "The share of each hyperparameter in what made trials good (PED-ANOVA), and how often so large a share "
            "comes out by chance. A search does not sample evenly, so this is a hint where to look, not a finding."
        ),
        short="Importance",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    rows = [row for row in group.rows if searched(row.record)]
    names = list(dict.fromkeys(name for row in rows for name in searched(row.record)))
    each = [importance(row.record) for row in rows]
    columns = [Column("label", "Model")]
    for name in names:
        columns += [
            Column(name, record_view.title(name), percent, "share"),
            Column(f"{name}_by_chance", "by chance", lambda p: percent(p, 0), "number"),
        ]
    columns.append(Column("note", "Rests on"))
    table = [
        {
            "label": row.label,
            **(one.shares or {}),
            **{f"{name}_by_chance": p for name, p in (one.by_chance or {}).items()},
            "note": one.note,
        }
        for row, one in zip(rows, each, strict=True)
    ]
    styles = [style_of(row, among) for row in rows]
    notes = [Note(f"{row.label}: {sentence}.") for row in rows for sentence in edges(row)]
    if not any(one.shares for one in each):
        few = list(dict.fromkeys(one.note for one in each))
        return [Note(f"Too little to say what mattered: {'; '.join(few)}."), *notes]
    return [Table(f"importance-table{suffix}", "Share of each hyperparameter", columns, table, styles=styles), *notes]


def edges(row: Row) -> list[str]:
    winner = row.record.study.winner
    return at_the_edge(winner, searched(row.record), backbone_stages(row.record) or 0) if winner else []
