"""Tables that sort: what is shown of a value, and the value itself for sorting and for the download."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, ClassVar, Literal

from study.report.blocks import Row
from study.report.downloads import data_uri


@dataclass(frozen=True)
class Column:
    """Attributes:
    name: of the value in a row and in the download.
    kind: how it looks and sorts; a `share` is a number in [0, 1] with a bar behind it.
    """

    name: str
    title: str
    show: Callable[[Any], str] = str
    kind: Literal["text", "number", "share", "status"] = "text"


@dataclass(frozen=True)
class Cell:
    text: str
    value: Any
    kind: str

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
    """

    id: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    badges: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shape: Literal["third", "half", "wide"] = "wide"
    template: ClassVar[str] = "table.html"

    @property
    def cells(self) -> list[list[Cell]]:
        return [[self.cell(column, row.get(column.name)) for column in self.columns] for row in self.rows]

    @staticmethod
    def cell(column: Column, value: Any) -> Cell:
        return Cell("" if value is None and column.show is str else column.show(value), value, column.kind)

    @property
    def csv(self) -> str:
        names = [column.name for column in self.columns]
        return data_uri(names, [[row.get(name) for name in names] for row in self.rows])
