"""What mattered in each search."""

from collections.abc import Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report.blocks import Facts, Note, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import style_of
from study.report.study import importance as of_a_study
from study.report.tables import Column, Table
from study.results.importance import Importance, importance
from study.results.point import searched


def section(comparison: Comparison) -> Section:
    if not any(searched(row.record) for row in comparison.rows):
        return empty("importance", "What mattered", "No record holds the space that was searched.", short="Importance")
    return Section(
        "importance",
        "What mattered in the searches",
        per_dataset(comparison, blocks),
        lead=of_a_study.LEAD,
        short="Importance",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    rows = [row for row in group.rows if searched(row.record)]
    each = [(row, importance(row.record)) for row in rows]
    notes = [Note(f"{row.label}: {edge}.") for row in rows for edge in of_a_study.edges(row.record)]
    if not any(one.shares for _, one in each):
        few = list(dict.fromkeys(one.note for _, one in each))
        return [Note(f"Too little to say what mattered: {'; '.join(few)}."), *notes]
    rests_on = [(row.label, one.note) for row, one in each]
    return [table(each, among, suffix), Facts("What the shares rest on", rests_on), *notes]


def table(each: Sequence[tuple[Row, Importance]], among: Sequence[Row], suffix: str) -> Table:
    """A row per model and hyperparameter, what mattered most in each search first."""
    shares = [
        (row, {"label": row.label, "hyperparameter": name, "share": share, "by_chance": (one.by_chance or {})[name]})
        for row, one in each
        for name, share in (one.shares or {}).items()
    ]
    columns = [Column("label", "Model"), *of_a_study.COLUMNS]
    return Table(
        f"importance-table{suffix}",
        "Share of each hyperparameter",
        columns,
        [entry for _, entry in shares],
        shape="half",
        styles=[style_of(row, among) for row, _ in shares],
    )
