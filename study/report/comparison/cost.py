"""What accuracy costs: a picture for every cost with its Pareto front, and all costs as a table."""

from collections.abc import Callable, Sequence
from math import log10
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report import figures
from study.report.blocks import Choice, Figure, Note, Option, Section, empty
from study.report.comparison import by_budget
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.scale import Scale, scale
from study.report.comparison.styles import style_of
from study.report.numbers import MISSING, brief, duration, known, percent, size
from study.report.tables import Column, Table
from study.results.cost import COSTS, Cost, costs, pareto_front
from study.results.device_time import devices

# the cheapest to know come first; then the rest, in the order of `COSTS`
FIRST = ("training_flops", "winner_device_seconds", "training_images_per_second", "parameters")
FORMATS: dict[str, Callable[[float | None], str]] = {
    "ms": lambda value: f"{value:.2f} ms" if known(value) else MISSING,
    "bytes": lambda value: size(None if value is None else round(value)),
    "device-seconds": duration,
}
FLAT = 8  # largest over smallest cost that an even axis still shows well


def section(comparison: Comparison) -> Section:
    if not comparison.groups:
        return empty("cost", "Cost", "No study is finished.")
    return Section(
        "cost",
        "Cost beside accuracy",
        [*per_dataset(comparison, blocks), *notes(comparison)],
        lead=(
            "A row is on the Pareto front of a cost where no other is at least as accurate and as cheap, and better in "
            "one of both: marked by a point. Accuracies differ by chance: a front does not say who is better."
        ),
        short="Cost",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    return [*table(group, among, suffix), *by_budget.blocks(group, among, suffix)]


def costs_of(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """Every cost that two rows or more have, in the order of the page, with None where a record does not tell."""
    each = [costs(row.record) for row in rows]
    order = [*FIRST, *(name for name in COSTS if name not in FIRST)]
    by_cost: dict[str, list[float | None]] = {name: [one.get(name) for one in each] for name in order}
    return {name: values for name, values in by_cost.items() if sum(known(value) for value in values) > 1}


def front(rows: Sequence[Row], name: str, values: Sequence[float | None]) -> list[int]:
    accuracies = [row.accuracy.mean for row in rows]
    return pareto_front(accuracies, values, higher_is_better=COSTS[name].higher_is_better)


def formatter(cost: Cost) -> Callable[[float | None], str]:
    return FORMATS.get(cost.unit, brief)


def picture(group: Group, among: Sequence[Row], suffix: str) -> Choice | Note:
    """Accuracy against the cost that the reader chooses."""
    by_cost = costs_of(group.rows)
    if not by_cost:
        return Note("No cost to show accuracy against: the records do not tell it for two rows.")
    options = [
        Option(titled(COSTS[name]), [figure(group, among, name, values, suffix)]) for name, values in by_cost.items()
    ]
    return Choice(f"cost{suffix}", "Accuracy against", options, shape="half")


def upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def titled(cost: Cost) -> str:
    return f"{cost.title} ({cost.unit})" if cost.unit else cost.title


def figure(group: Group, among: Sequence[Row], name: str, values: Sequence[float | None], suffix: str) -> Figure:
    """Test accuracy against one cost, with the Pareto front.

    Args:
        group: whose rows are the points.
        among: all rows of the comparison, for the styles.
        name: of the cost, in COSTS.
        values: of each row of the group, in the cost's unit; None where a record does not say.
        suffix: makes the id this group's own.
    """
    cost = COSTS[name]
    there = [(row, value) for row, value in zip(group.rows, values, strict=True) if value is not None]
    best = front(group.rows, name, values)
    x_axis = axis([value for _, value in there])
    y = scale(bound for row, _ in there for bound in row.accuracy.interval)
    plot = figures.blank(x=titled(cost), y="test accuracy", hovermode="closest")
    plot.update_xaxes(**x_axis)
    plot.update_yaxes(**y.axis)
    plot.add_scatter(**front_line(group.rows, values, best, y, cost.higher_is_better))
    for row, value in there:
        plot.add_scatter(**point(row, value, among, formatter(cost)(value), y))
    on_front = [group.rows[i].label for i in best]
    left_out = len(group.rows) - len(there)
    return Figure(
        f"cost-{name}{suffix}".replace("_", "-"),
        f"Accuracy and {cost.title}",
        plot,
        alt=(
            f"Scatter plot. Test accuracy on {group.title} against {titled(cost)} of {len(there)} rows. On the Pareto "
            f"front: {', '.join(on_front)}. "
            + " ".join(
                f"{row.label}: {percent(row.accuracy.mean)} at {formatter(cost)(value)}." for row, value in there
            )
        ),
        columns=["name", "label", name, "accuracy", "low", "high", "on_pareto_front"],
        rows=[
            [row.name, row.label, value, row.accuracy.mean, *row.accuracy.interval, i in best]
            for i, (row, value) in enumerate(zip(group.rows, values, strict=True))
        ],
        caption=f"{'More' if cost.higher_is_better else 'Less'} is better. Dotted: the Pareto front."
        + (" Accuracy is on a scale that is logarithmic in the error." if y.by_error else "")
        + (f" {left_out} rows do not tell this cost." if left_out else ""),
        shape="wide",
    )


def axis(values: Sequence[float]) -> dict[str, Any]:
    """Of a cost, as a logarithm where it spans much."""
    low, high = min(values), max(values)
    if low > 0 and high / low > FLAT:
        start, end = log10(low), log10(high)
        pad = 0.08 * (end - start)
        start, end = start - pad, end + 2.5 * pad
        ticks = {"dtick": 1} if end - start > 2.5 else {"dtick": "D2"}
        return {"type": "log", "tickformat": "~s", "range": [start, end], **ticks}
    pad = 0.08 * ((high - low) or high or 1.0)
    start, end = low - pad, high + 2.5 * pad
    return {"tickformat": "~s", "range": [start, end], "nticks": 6}


def front_line(
    rows: Sequence[Row], values: Sequence[float | None], best: Sequence[int], y: Scale, higher_is_better: bool
) -> dict[str, Any]:
    """The best accuracy at each cost, as steps.

    Args:
        rows: of the group.
        values: their costs.
        best: the indices of the rows on the front.
        y: places accuracies on the axis.
        higher_is_better: of the cost; it decides to which side a step goes.

    Returns:
        A trace as plotly wants it.
    """
    front = sorted((values[i] or 0.0, rows[i].accuracy.mean) for i in best)
    return {
        "x": figures.digits(value for value, _ in front),
        "y": figures.digits(y.place(accuracy) for _, accuracy in front),
        "mode": "lines",
        "line": {"color": figures.MUTED, "width": 1.4, "dash": "dot", "shape": "vh" if higher_is_better else "hv"},
        "hoverinfo": "skip",
    }


def point(row: Row, value: float, among: Sequence[Row], cost: str, y: Scale) -> dict[str, Any]:
    """A row's mark with its interval, and the name that labels.js places.

    Args:
        row: the row.
        value: its cost, in the cost's unit.
        among: all rows of the comparison, for the styles.
        cost: the value for a reader.
        y: places accuracies on the axis.

    Returns:
        A trace as plotly wants it.
    """
    style, mean = style_of(row, among), row.accuracy.mean
    low, high = row.accuracy.interval
    return {
        "x": [value],
        "y": [y.place(mean)],
        "mode": "markers",
        "marker": style.marker,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [y.place(high) - y.place(mean)],
            "arrayminus": [y.place(mean) - y.place(low)],
            "color": style.color,
            "thickness": 1.2,
            "width": 0,
        },
        "cliponaxis": False,
        "meta": {**style.meta, "label": figures.plain(row.label)},
        "hovertemplate": (
            f"{figures.plain(row.label)}<br>{percent(mean)} [{percent(low)}, {percent(high)}]<br>{cost}<extra></extra>"
        ),
    }


def table(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    by_cost = costs_of(group.rows)
    if not by_cost:
        return [Note("No cost to show: the records do not tell it for two rows.")]
    fronts = {name: front(group.rows, name, values) for name, values in by_cost.items()}
    columns = [Column("label", "Model"), Column("accuracy", "Test accuracy", percent, "number")]
    rows: list[dict[str, Any]] = [{"label": row.label, "accuracy": row.accuracy.mean} for row in group.rows]
    for name, values in by_cost.items():
        columns.append(
            Column(name, upper(titled(COSTS[name])), formatter(COSTS[name]), "number", marked=frozenset(fronts[name]))
        )
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return [
        Table(f"cost-table{suffix}", "Every cost", columns, rows, styles=[style_of(row, among) for row in group.rows])
    ]


def notes(comparison: Comparison) -> list[Note]:
    """What the seconds are, and who does not tell them."""
    sentences = []
    with_devices = [row for row in comparison.rows if row.record.study.resources]
    kinds = dict.fromkeys(devices(row.record).kind for row in with_devices)
    if kinds:
        sentences.append(f"A device is a {' or a '.join(kinds)}; device-seconds count failed and pruned runs too.")
    silent = [row.label for row in comparison.rows if not row.record.study.cost]
    if silent:
        whose = "any row" if len(silent) == len(comparison.rows) else ", ".join(dict.fromkeys(silent))
        sentences.append(f"FLOPs and inference are not in the record of {whose}: it is older than they are.")
    return [Note(sentence) for sentence in sentences]
