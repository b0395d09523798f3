"""The page of one study: pure functions from a record to HTML that opens without a network.

`write(folder)` reads the record and writes `report.html` beside it. A page is a list of sections; a section is a
list of blocks (figures, tables, facts, images); a block names the template that shows it. A page over several
studies is another list of sections in the same frame.
"""

from pathlib import Path

from study.design.states import StudyStatus
from study.files import write_text
from study.report.page import page
from study.report.study import (
    answer,
    classes,
    confusion,
    cost,
    images,
    importance,
    learning,
    looked_at,
    protocol,
    record_view,
    search,
    trials,
)
from study.results.record import Record

PAGE = "report.html"
REFRESH = 15.0  # seconds; it is written again every 10 at most
SECTIONS = (
    answer.section,
    learning.section,
    search.section,
    importance.section,
    cost.section,
    confusion.section,
    classes.section,
    images.section,
    looked_at.section,
    trials.section,
    protocol.section,
)


def write(folder: Path) -> Path:
    """Writes the page of the record in `folder`, however much of it there is, and returns its path."""
    if not folder.is_dir():
        raise ValueError(f"a report needs the folder of a record, got {folder}")
    path = folder / PAGE
    write_text(path, render(Record(folder)))
    return path


def render(record: Record) -> str:
    """The page as text."""
    is_running = record_view.status(record) is StudyStatus.RUNNING
    sections = [section(record) for section in SECTIONS]
    return page(f"{record_view.name(record)} – study", sections, refresh=REFRESH if is_running else None)
