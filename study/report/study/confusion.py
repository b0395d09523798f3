"""Which classes are taken for which: the confusion matrix over all test seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from study.report import figures
from study.report.blocks import Figure, Section, empty
from study.report.numbers import percent
from study.report.study import record_view
from study.report.tables import Column, Table
from study.results.record import Record
from study.text import plural

MOST_SHOWN = 300  # classes: the cells of more would make the page larger than a browser likes
MOST_READ = 40  # of more classes than have room for their names
MOST_WITH_SHARES = 12  # more classes leave no room for the share under the count
MOST_WITH_COUNTS = 26
MOST_WITH_NAMES = 60


def section(record: Record) -> Section:
    title = "Confusion"
    test = record.study.test
    if not test:
        return empty("confusion", title, record_view.nothing_yet(record, "test result"))
    pairs, classes = record.confusion, record_view.class_names(record)
    shown = most_involved(pairs, len(classes), MOST_READ if len(classes) > MOST_WITH_NAMES else len(classes))
    counts = matrix(pairs, shown)
    seeds = plural(len(test.accuracies), "seed")
    return Section(
        "confusion",
        title,
        [
            figure(counts, [classes[i] for i in shown], seeds),
            most_confused(dict(support(pairs, classes)), test.most_confused),
        ],
        lead=f"All predictions of {seeds} on {plural(test.n, 'test image')} each: {pairs[:, 2].sum():,} in total."
        + (
            f" The matrix shows the {len(shown)} of {len(classes):,} classes that are confused most; all counts are in "
            "confusion.parquet."
            if len(shown) < len(classes)
            else ""
        ),
    )


def most_involved(pairs: np.ndarray, classes: int, most: int | None = None) -> np.ndarray:
    """The classes that a matrix has room for: those of the most wrong predictions, in label order."""
    most = MOST_SHOWN if most is None else most
    if classes <= most:
        return np.arange(classes)
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    involved = sum(np.bincount(wrong[:, side], weights=wrong[:, 2], minlength=classes) for side in (0, 1))
    return np.sort(np.argsort(-np.asarray(involved), kind="stable")[:most])


def matrix(pairs: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Counts among some classes, true by predicted."""
    among = pairs[np.isin(pairs[:, :2], shown).all(axis=1)]
    counts = np.zeros((len(shown), len(shown)), np.int64)
    counts[np.searchsorted(shown, among[:, 0]), np.searchsorted(shown, among[:, 1])] = among[:, 2]
    return counts


def support(pairs: np.ndarray, classes: Sequence[str]) -> Iterator[tuple[str, int]]:
    """How many predictions there are of each true class."""
    totals = np.bincount(pairs[:, 0], weights=pairs[:, 2], minlength=len(classes)).astype(int)
    yield from zip(classes, totals.tolist(), strict=True)


def shares(counts: np.ndarray) -> np.ndarray:
    """Of each true class: the share of its images given to each class; 0 where it has none."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def figure(counts: np.ndarray, classes: Sequence[str], seeds: str) -> Figure:
    by_row = shares(counts)
    off_diagonal = by_row[~np.eye(len(counts), dtype=bool)]
    worst = float(off_diagonal.max(initial=0.0))
    n = len(counts)
    gap = 2 if n <= MOST_WITH_COUNTS else 0
    plot = figures.blank(x="predicted class", y="true class")
    plot.add_trace(
        go.Heatmap(
            z=signed(by_row), **color_axis(worst), xgap=gap, ygap=gap, showscale=False, hoverinfo="none", zsmooth=False
        )
    )
    # one invisible layer for all words, so that a count and its share are in every hover, the empty cells' too
    plot.add_trace(
        go.Heatmap(
            z=counts.tolist(),
            colorscale=[[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]],
            showscale=False,
            customdata=brief(by_row),
            hovertemplate="true %{y}<br>predicted %{x}<br>%{z} images, %{customdata:.1%} of the class<extra></extra>",
        )
    )
    plot.add_traces(numbers(counts, by_row, worst))
    names = [figures.plain(figures.brief(name)) for name in classes]
    show_names = len(counts) <= MOST_WITH_NAMES
    ticks: dict[str, Any] = (
        {"tickvals": list(range(len(names))), "ticktext": names} if show_names else {"labelalias": labels(names)}
    )
    plot.update_xaxes(**ticks, showgrid=False, range=[-0.5, n - 0.5], tickangle=-90 if len(counts) > 6 else 0)
    plot.update_yaxes(**ticks, showgrid=False, range=[n - 0.5, -0.5])
    right = int(np.trace(counts))
    total = int(counts.sum())
    return Figure(
        "confusion-matrix",
        "Confusion matrix",
        plot,
        alt=(
            f"Heatmap of {len(counts)} true classes by predicted classes, counts over {seeds}. {right:,} of {total:,} "
            "predictions are on the diagonal, which is correct. The largest confusions are in the table that follows."
        ),
        columns=["true class", *classes],
        rows=[[name, *row] for name, row in zip(classes, counts.tolist(), strict=True)],
        caption=(
            "Rows are true classes. Blue cells are correct, orange ones wrong, each coloured by its share of the row; "
            f"the darkest orange is {percent(worst)}. "
            + ("Cells show counts" if len(counts) <= MOST_WITH_COUNTS else "Hover for the count and share of a cell")
            + (" and shares of the row." if len(counts) <= MOST_WITH_SHARES else ".")
        ),
        shape="square",
    )


def labels(names: Sequence[str]) -> dict[str, str]:
    """Names for whichever ticks plotly finds room for."""
    return {str(i): name for i, name in enumerate(names)}


def brief(matrix: np.ndarray) -> list[list[float]]:
    """Three digits, and a bare 0 for the many zeros, so that hundreds of classes stay small."""
    return [[float(f"{value:.3g}") if value else 0 for value in row] for row in matrix.tolist()]


def signed(by_row: np.ndarray) -> list[list[float]]:
    """Shares with the wrong ones below zero, so that one scale has both colours."""
    return brief(np.where(np.eye(len(by_row), dtype=bool), by_row, -np.where(by_row, np.maximum(by_row, 1e-3), 0)))


def color_axis(worst: float) -> dict[str, Any]:
    """Orange up to the largest confusion, nothing at zero, blue up to 1."""
    worst = max(worst, 0.01)
    zero = worst / (1 + worst)
    edge = 5e-4 / (1 + worst)
    nothing = "rgba(0,0,0,0)"
    stops = [
        (0, "var(--wrong-high)"),
        (zero - edge, "var(--wrong-low)"),
        (zero - edge / 2, nothing),
        (zero + edge / 2, nothing),
        (zero + edge, "var(--right-low)"),
        (1, "var(--right-high)"),
    ]
    return {"zmin": -worst, "zmax": 1, "colorscale": [list(stop) for stop in stops]}


def numbers(counts: np.ndarray, by_row: np.ndarray, worst: float) -> list[go.Scatter]:
    """The words in the cells: counts, and shares where there is room; light where a cell is dark."""
    if len(counts) > MOST_WITH_COUNTS:
        return []
    place = [(i, j) for i, j in np.argwhere(counts > 0)]
    is_dark = [by_row[i, j] > (0.5 if i == j else 0.6 * worst) for i, j in place]
    traces = []
    for dark, color in ((True, "var(--on-dark-cell)"), (False, "var(--on-light-cell)")):
        those = [p for p, d in zip(place, is_dark, strict=True) if d == dark]
        traces.append(
            go.Scatter(
                x=[int(j) for _, j in those],
                y=[int(i) for i, _ in those],
                text=[word(counts[i, j], by_row[i, j], len(counts)) for i, j in those],
                mode="text",
                textfont={"color": color, "size": 11 if len(counts) <= MOST_WITH_SHARES else 9},
                hoverinfo="skip",
            )
        )
    return traces


def word(n: int, share: float, classes: int) -> str:
    if classes > MOST_WITH_SHARES:
        return str(n)
    return f"<b>{n}</b><br>{100 * share:.0f} %" if share >= 0.005 else f"<b>{n}</b><br><1 %"


def most_confused(support: Mapping[str, int], pairs: Sequence[Sequence[Any]]) -> Table:
    columns = [
        Column("true", "True class"),
        Column("predicted", "Taken for"),
        Column("count", "Count", kind="number"),
        Column("share", "Share", percent, "share"),
    ]
    rows = [
        {"true": true, "predicted": predicted, "count": n, "share": n / max(support.get(true, 0), 1)}
        for true, predicted, n in pairs
    ]
    caption = "Share of the images of the true class." if rows else "No image was misclassified."
    return Table("most-confused", "Most confused", columns, rows, caption=caption, shape="third")
