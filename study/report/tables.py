"""Tables that sort: what is shown of a value, and the value itself for sorting and for the download."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, ClassVar, Literal

from study.report.blocks import Row
from study.report.downloads import data_uri
from study.report.numbers import metric_value
from trainables.metrics import Metric


@dataclass(frozen=True)
class Column:
    """Attributes:
    name: of the value in a row and in the download.
    kind: how it looks and sorts; a `share` is a number in [0, 1] with a bar behind it.
    marked: numbers of the rows whose cell stands out.
    """

    name: str
    title: str
    show: Callable[[Any], str] = str
    kind: Literal["text", "number", "share", "status"] = "text"
    marked: frozenset[int] = frozenset()


def metric_column(metric: Metric) -> Column:
    """What runs reached on validation."""
    kind: Literal["number", "share"] = "number" if metric is Metric.LOSS else "share"
    return Column(metric.column, f"Validation {metric.words}", lambda value: metric_value(metric, value), kind)


@dataclass(frozen=True)
class Cell:
    text: str
    value: Any
    kind: str
    marked: bool = False

    @property
    def key(self) -> str | None:
        """What a script sorts by; None for a missing number, which comes last either way."""
        if self.kind in ("text", "status"):
            return self.text
        return repr(float(self.value)) if self.value is not None and isfinite(self.value) else None

    @property
    def share(self) -> float | None:
        return float(self.value) if self.kind == "share" and self.key is not None else None


@dataclass(frozen=True)
class Table:
    """Attributes:
    badges: words beside the first cell of a row, by that cell's value.
    shape: how much of a row of the page it takes, where there is room.
    styles: of the rows of a comparison, one each: the mark beside the first cell, and what leaves the row out.
    scope: whose trials the rows are of, by their `trial_id`: those that a reader leaves out are not shown.
    between: of rows of two rows of a comparison each, their names, which leave them out.
    """

    id: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    badges: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shape: Literal["third", "half", "wide"] = "wide"
    styles: Sequence[Any] = ()
    scope: str = ""
    between: Sequence[tuple[str, str]] = ()
    template: ClassVar[str] = "table.html"

    @property
    def cells(self) -> list[list[Cell]]:
        return [
            [self.cell(column, row.get(column.name), i in column.marked) for column in self.columns]
            for i, row in enumerate(self.rows)
        ]

    @staticmethod
    def cell(column: Column, value: Any, marked: bool) -> Cell:
        return Cell("" if value is None and column.show is str else column.show(value), value, column.kind, marked)

    @property
    def csv(self) -> str:
        names = [column.name for column in self.columns]
        return data_uri(names, [[row.get(name) for name in names] for row in self.rows])
