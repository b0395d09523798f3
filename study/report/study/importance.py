"""What mattered in the search, and what to widen."""

from typing import Any

from study.report.blocks import Note, Section, empty
from study.report.numbers import percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.edges import at_the_edge
from study.results.record import Record
from study.text import sentence

SHUFFLES = 39  # so that the page of a finished study costs half a second more, and not one and a half
LEAD = (
    "The share of each hyperparameter in what made trials good (PED-ANOVA), and how often so large a share comes out "
    "by chance. A search does not sample evenly, so this is a hint where to look, not a finding."
)
COLUMNS = (
    Column("hyperparameter", "Hyperparameter", record_view.title),
    Column("share", "Share", percent, "share"),
    Column("by_chance", "So large by chance", lambda p: percent(p, 0), "number"),
)


def section(record: Record) -> Section:
    title = "What mattered"
    if not record_view.searched(record):
        return empty("importance", title, "The record does not hold the space that was searched.", short="Importance")
    notes = [Note(f"{sentence(edge)}.") for edge in edges(record)]
    shares: list[Any] = [Note("Told when the study is finished.")]
    if record_view.finished(record):
        # scikit-learn comes with it, which takes seconds to import: not for the page of a study under way
        from study.results.importance import importance

        found = importance(record, shuffles=SHUFFLES)
        rows = [
            {"hyperparameter": name, "share": share, "by_chance": (found.by_chance or {})[name]}
            for name, share in (found.shares or {}).items()
        ]
        said = f"{sentence(found.note)}."
        table = Table("importance-table", "Share of each hyperparameter", COLUMNS, rows, caption=said, shape="half")
        shares = [table if rows else Note(f"Too little to say what mattered: {found.note}.")]
    return Section("importance", title, [*shares, *notes], lead=LEAD, short="Importance")


def edges(record: Record) -> list[str]:
    """Where the winner is at the edge of what was searched."""
    winner = record.study.winner
    if winner is None:
        return []
    return at_the_edge(winner, record_view.searched(record), record_view.backbone_stages(record) or 0)
