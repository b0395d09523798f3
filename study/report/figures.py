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
