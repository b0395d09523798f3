"""One dataset or several: their blocks as they are, or each under the name of its dataset."""

from collections.abc import Callable, Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report.blocks import Subsection

Blocks = Callable[[Group, Sequence[Row], str], Sequence[Any]]


def per_dataset(comparison: Comparison, blocks: Blocks) -> list[Any]:
    """The blocks of every group.

    `blocks` is given a group, all rows of the comparison, which decide the styles, and a suffix that makes the group's
    ids its own.
    """
    rows = comparison.rows
    if len(comparison.groups) == 1:
        return list(blocks(comparison.groups[0], rows, ""))
    return [Subsection(group.title, blocks(group, rows, f"-{i}")) for i, group in enumerate(comparison.groups, 1)]
