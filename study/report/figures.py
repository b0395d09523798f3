"""What all figures share: colours, axes and text. A colour is a CSS variable, so that it follows the reader's theme."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from study.design.states import RunStatus
from trainables.metrics import Metric

TEXT, MUTED, GRID, SURFACE, ACCENT, PAPER = (
    f"var(--{name})" for name in ("text", "muted", "grid", "surface", "accent", "paper-recipe")
)
STATUS = {status: f"var(--{status})" for status in RunStatus}
OTHERS = [f"var(--series-{i})" for i in range(6)]  # Okabe & Ito's palette


def blank(*, x: str, y: str, **layout: Any) -> go.Figure:
    """An empty figure with named axes; the title is the page's, in HTML."""
    axis = {"gridcolor": GRID, "linecolor": GRID, "zeroline": False, "automargin": True, "tickcolor": GRID}
    return go.Figure(
        layout={
            "template": None,
            "font": {"color": MUTED, "size": 12, "family": "system-ui, sans-serif"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 12, "t": 26, "b": 8},
            "hoverlabel": {"bgcolor": SURFACE, "bordercolor": GRID, "font": {"color": TEXT}, "align": "left"},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": ACCENT},
            "showlegend": False,
            "xaxis": axis | {"title": {"text": x, "standoff": 10}},
            "yaxis": axis | {"title": {"text": y, "standoff": 10}},
            **layout,
        }
    )


def metric_axis(metric: Metric, values: Iterable[float | None]) -> dict[str, Any]:
    """Of what runs reached: shares in percent, losses from zero."""
    return loss_axis(v for v in values if v is not None) if metric is Metric.LOSS else {"tickformat": ".0%"}


def metric_format(metric: Metric) -> str:
    """Of a value in a hover, as d3 has it."""
    return ".4f" if metric is Metric.LOSS else ".1%"


def loss_axis(losses: Iterable[float]) -> dict[str, Any]:
    """A logarithm where one run that diverged would hide all others."""
    values = list(losses)
    wide = min(values) > 0 and max(values) / min(values) > 50
    return {"type": "log", "dtick": 1} if wide else {"rangemode": "tozero"}


def plain(text: str) -> str:
    """A name as text: plotly reads a subset of HTML."""
    return escape(text, quote=False)


def brief(name: str, most: int = 20) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= most else name[: most - 1] + "…"


Box = tuple[float, float, float, float]
POSITIONS = {  # of a label about its point: where its lower left corner is, in its own widths and heights
    "middle right": (0.0, -0.5),
    "middle left": (-1.0, -0.5),
    "top center": (-0.5, 0.0),
    "bottom center": (-0.5, -1.0),
    "top right": (0.0, 0.0),
    "bottom right": (0.0, -1.0),
    "top left": (-1.0, 0.0),
    "bottom left": (-1.0, -1.0),
}


def label_positions(
    spots: Sequence[tuple[float, float, float, float]],
    labels: Sequence[str],
    size: tuple[int, int],
    *,
    avoid: Iterable[Box] = (),
    mark: int = 9,
) -> list[str]:
    """For each point the first position whose label touches no other label and no mark, else the least bad one.

    Args:
        spots: (x, y) from 0 to 1, and the ends of the error bar.
        size: of the drawing, in pixels; a letter is taken to be 6.4 by 14.
        avoid: boxes (left, low, right, high) from 0 to 1 that labels should not cover either.
        mark: half the size of a mark, in pixels.
    """
    marks = [(x * size[0], y * size[1]) for x, y, *_ in spots]
    taken = [(x - mark, y - mark, x + mark, y + mark) for x, y in marks]
    taken += [(x * size[0] - 2, low * size[1], x * size[0] + 2, high * size[1]) for x, _, low, high in spots]
    taken += [(a * size[0], b * size[1], c * size[0], d * size[1]) for a, b, c, d in avoid]
    chosen = []
    for (x, y), label in zip(marks, labels, strict=True):
        width, height = 6.4 * (len(label) + 2), 14
        boxes = {}
        for name, (right, up) in POSITIONS.items():
            away = mark + 1
            left = x + right * width + (away if right == 0 else -away if right == -1 else 0)
            low = y + up * height + (away if up == 0 else -away if up == -1 else 0)
            boxes[name] = (left, low, left + width, low + height)
        best = min(boxes, key=lambda name: sum(overlap(boxes[name], other) for other in [*taken, *outside(size)]))
        taken.append(boxes[best])
        chosen.append(best)
    return chosen


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes (left, low, right, high) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def outside(size: tuple[int, int]) -> list[Box]:
    """Where a label would be cut off."""
    width, height = size
    far = 1e4
    return [(-far, -far, 0, far), (width, -far, far, far), (-far, -far, far, 0), (-far, height, far, far)]


def lines(runs: Iterable[Sequence[Any]]) -> list[Any]:
    """Several runs as one trace: a gap after each."""
    with_gaps: list[Any] = []
    for run in runs:
        with_gaps.extend(run)
        with_gaps.append(None)
    return with_gaps


def digits(values: Iterable[float | None], significant: int = 5) -> list[float | None]:
    """Numbers no longer than a screen can show."""
    return [None if v is None or v != v else float(f"{v:.{significant}g}") for v in values]
