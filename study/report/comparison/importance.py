"""What mattered in each search."""

from collections.abc import Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report.blocks import Facts, Note, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import style_of
from study.report.numbers import percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.importance import Importance, at_the_edge, importance
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
    each = [(row, importance(row.record)) for row in rows]
    notes = [Note(f"{row.label}: {sentence}.") for row in rows for sentence in edges(row)]
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
    columns = [
        Column("label", "Model"),
        Column("hyperparameter", "Hyperparameter", record_view.title),
        Column("share", "Share", percent, "share"),
        Column("by_chance", "So large by chance", lambda p: percent(p, 0), "number"),
    ]
    return Table(
        f"importance-table{suffix}",
        "Share of each hyperparameter",
        columns,
        [entry for _, entry in shares],
        shape="half",
        styles=[style_of(row, among) for row, _ in shares],
    )


def edges(row: Row) -> list[str]:
    winner = row.record.study.winner
    return at_the_edge(winner, searched(row.record), backbone_stages(row.record) or 0) if winner else []
