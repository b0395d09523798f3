"""The page of a selection: who is ahead at what cost, who was dropped when and why, and what choosing may cost."""

from pathlib import Path

from study.files import write_text
from study.report.page import page
from study.report.selection import answer, protocol, race
from study.results.selection import Selection

PAGE = "report.html"
SECTIONS = (answer.section, race.section, race.candidates, protocol.section)


def write(selection: Selection, folder: Path) -> Path:
    """Writes the page beside the record, and returns its path."""
    path = folder / PAGE
    write_text(path, render(selection))
    return path


def render(selection: Selection) -> str:
    """The page as text."""
    title = f"Which backbone for {selection.facts['dataset']}? – selection"
    return page(title, [section(selection) for section in SECTIONS], kind="comparison")
