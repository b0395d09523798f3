"""One data set or several: their blocks as they are, or each under the name of its data set."""

from collections.abc import Callable, Sequence
from typing import Any

from study.comparison import Comparison, Group
from study.report.blocks import Part


def parts(comparison: Comparison, blocks: Callable[[Group, str], Sequence[Any]]) -> list[Any]:
    """Of every group, by a function of the group and of what makes its ids its own."""
    if len(comparison.groups) == 1:
        return list(blocks(comparison.groups[0], ""))
    return [Part(group.title, blocks(group, f"-{i}")) for i, group in enumerate(comparison.groups, 1)]
