"""Accuracies on an axis: evenly, or by the logarithm of the error where one far below would squeeze all others."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, log
from typing import Any

WIDE = 0.3
TICKS = (0, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
MOST = 0.999  # an error of 0 has no logarithm


@dataclass(frozen=True)
class Scale:
    """From `start` to `end`, both accuracies."""

    start: float
    end: float
    by_error: bool = False

    def place(self, accuracy: float) -> float:
        """Where an accuracy is on the axis: in its own unit."""
        return -log(1 - min(accuracy, MOST)) if self.by_error else accuracy

    def share(self, accuracy: float) -> float:
        """From 0 at the start to 1 at the end."""
        start, end = self.place(self.start), self.place(self.end)
        return (self.place(accuracy) - start) / (end - start)

    def at(self, accuracy: float) -> str:
        """In percent of a width, for CSS."""
        return f"{100 * self.share(accuracy):.2f}"

    @property
    def ticks(self) -> list[float]:
        if self.by_error:
            return apart([tick for tick in TICKS if self.start <= tick <= self.end], self)
        step = next((step for step in (0.01, 0.02, 0.05, 0.1) if (self.end - self.start) / step <= 5), 0.2)
        return [step * i for i in range(ceil(self.start / step - 1e-9), floor(self.end / step + 1e-9) + 1)]

    @property
    def axis(self) -> dict[str, Any]:
        """For plotly, whose y is then `place`."""
        ticks = self.ticks
        return {
            "range": [self.place(self.start), self.place(self.end)],
            "tickvals": [self.place(tick) for tick in ticks],
            "ticktext": [f"{100 * tick:.3g}%" for tick in ticks],
        }


def apart(ticks: list[float], scale: Scale) -> list[float]:
    """The ticks that do not crowd, from the upper end."""
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or scale.share(kept[-1]) - scale.share(tick) > 0.28:
            kept.append(tick)
    return kept[::-1]


def scale(accuracies: Iterable[float]) -> Scale:
    """That shows all of these, with some room."""
    values = list(accuracies)
    low, high = min(values), max(values)
    if high - low > WIDE and high > 0.9:
        return Scale(max(0.0, low - 0.05), min(MOST, 1 - 0.8 * (1 - high)), by_error=True)
    pad = 0.05 * max(high - low, 0.02)
    return Scale(max(0.0, low - pad), min(1 + pad / 2, high + pad))
