"""One data set or several: their blocks as they are, or each under the name of its data set."""

from collections.abc import Callable, Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report.blocks import Subsection

Blocks = Callable[[Group, Sequence[Row], str], Sequence[Any]]


def per_dataset(comparison: Comparison, blocks: Blocks) -> list[Any]:
    """Of every group, by a function of the group, all rows of the comparison, and what makes its ids its own."""
    rows = comparison.rows
    if len(comparison.groups) == 1:
        return list(blocks(comparison.groups[0], rows, ""))
    return [Subsection(group.title, blocks(group, rows, f"-{i}")) for i, group in enumerate(comparison.groups, 1)]
