"""How a row looks, the same in every figure and table: a colour and a mark for its family, a dash for its model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from study.comparison import Row
from study.report import figures
from study.report.blocks import Key

FAMILIES = ("convolution", "attention", "hybrid", "other", "unknown")
WORDS = {"hybrid": "both (hybrid)", "other": "neither", "unknown": "family not known"}
SYMBOLS = {
    "convolution": "square",
    "attention": "circle",
    "hybrid": "diamond",
    "other": "triangle-down",
    "unknown": "triangle-up",
}
KEYS = {"convolution": "square", "attention": "disc", "hybrid": "diamond", "other": "wedge", "unknown": "triangle"}
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Style:
    """Attributes:
    row: its name.
    key: the name of its mark in a legend.
    open: a mark that is not filled: trained from scratch.
    """

    row: str
    family: str
    pretraining: str
    color: str
    key: str
    open: bool
    dash: str

    @property
    def meta(self) -> dict[str, str]:
        """Of a trace, for the buttons that leave rows out."""
        return {"family": self.family, "pretraining": self.pretraining, "row": self.row}

    @property
    def marker(self) -> dict[str, Any]:
        """As plotly wants it."""
        color = figures.SURFACE if self.open else self.color
        return {"symbol": SYMBOLS[self.family], "size": 11, "color": color, "line": {"color": self.color, "width": 2}}

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.color, "width": 1.3 if self.open else 2.6, "dash": self.dash}


def style_of(row: Row, rows: Sequence[Row]) -> Style:
    """Of a row among all of a comparison: its model's dash is its place within the family."""
    models = list(dict.fromkeys(other.model for other in rows if other.family == row.family))
    return Style(
        row=row.name,
        family=row.family,
        pretraining=row.pretraining,
        color=f"var(--{row.family})",
        key=KEYS[row.family],
        open=row.pretraining == "none",
        dash=DASHES[models.index(row.model) % len(DASHES)],
    )


def legend(rows: Iterable[Row], among: Sequence[Row], *, lines: bool = False) -> list[Key]:
    """A key per row, by its line or by its mark."""
    each = [(row, style_of(row, among)) for row in rows]
    dashes = {"solid": "line"}
    return [
        Key(row.label, style.color, dashes.get(style.dash, style.dash) if lines else style.key, style.open)
        for row, style in each
    ]


def families(rows: Iterable[Row]) -> list[str]:
    """Those that are there, in one order."""
    there = {row.family for row in rows}
    return [name for name in FAMILIES if name in there]


def word(family: str) -> str:
    return WORDS.get(family, family)
