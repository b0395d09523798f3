"""The page of a comparison: pure functions from the records of several studies to HTML that opens without a network.

    write(compare(folders), folder)

The same frame, blocks and scripts as the page of one study. A section here has the name of the section there that tells
the same of a single study.
"""

from pathlib import Path

from study.comparison import Comparison
from study.files import write_text
from study.report.comparison import (
    answer,
    classes,
    confusion,
    cost,
    data_efficiency,
    findings,
    images,
    importance,
    learning,
    pairs,
    protocol,
    search,
)
from study.report.page import page

SECTIONS = (
    answer.section,
    findings.section,
    pairs.section,
    cost.section,
    learning.section,
    data_efficiency.section,
    search.section,
    importance.section,
    classes.section,
    confusion.section,
    images.section,
)


def write(comparison: Comparison, folder: Path, *, command: str = "") -> Path:
    """Writes `report.html` into `folder`, made where it is missing, and returns its path.

    Args:
        command: what made the comparison, for its reader to run again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    write_text(path, render(comparison, command=command))
    return path


def render(comparison: Comparison, *, command: str = "") -> str:
    """The page as text."""
    sections = [*(section(comparison) for section in SECTIONS), protocol.section(comparison, command)]
    return page(f"{answer.question(comparison)} – comparison", sections, kind="comparison")
