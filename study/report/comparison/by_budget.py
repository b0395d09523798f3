"""Test accuracy by the budget of the search, in device-seconds and in training FLOPs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from study.comparison import Group, Row
from study.comparison.by_budget import ByBudget, curves
from study.comparison.equal_compute import KINDS
from study.report import figures
from study.report.blocks import Choice, Figure, Option
from study.report.comparison.scale import Scale, scale
from study.report.comparison.styles import legend, style_of
from study.report.numbers import percent
from study.statistics import given
from study.text import plural


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    """Empty where the records do not tell what a trial costs."""
    each = [(row, curves(row)) for row in group.rows]
    options = []
    for kind, words in KINDS.items():
        told = [(row, of[kind]) for row, of in each if kind in of]
        if told:
            options.append(Option(words, [figure(group, told, among, suffix)]))
    return [Choice(f"by-budget{suffix}", "Test accuracy by budget of the search, in", options)] if options else []


def figure(group: Group, told: Sequence[tuple[Row, ByBudget]], among: Sequence[Row], suffix: str) -> Figure:
    """Args:
    group: of these rows.
    told: rows, and their curves.
    among: all rows of the comparison, for the styles.
    suffix: makes the id this group's own.
    """
    kind = told[0][1].kind
    y = scale(bound for row, curve in told for bound in (*row.accuracy.interval, *curve.accuracy.tolist()))
    plot = figures.blank(x=f"budget: {KINDS[kind]} of search", y="expected test accuracy", hovermode="closest")
    plot.update_xaxes(type="log", tickformat="~s", dtick="D2")
    plot.update_yaxes(**y.axis)
    for row, curve in told:
        for trace in traces(row, curve, among, y, len(told)):
            plot.add_scatter(**trace)
    ends = " ".join(f"{row.label}: {percent(one.accuracy[0])} to {percent(one.accuracy[-1])}." for row, one in told)
    numbers = [
        [row.name, row.label, *values]
        for row, one in told
        for values in np.stack([one.budget, one.trials, one.accuracy, one.low, one.high], axis=1).tolist()
    ]
    return Figure(
        f"accuracy-by-{kind}{suffix}".replace("_", "-"),
        "Test accuracy by budget",
        plot,
        alt=(
            f"Line chart with bands. Expected test accuracy on {group.title} by {KINDS[kind]} of search, "
            f"{plural(len(told), 'row')}, from one trial to the whole search. {ends}"
        ),
        columns=["name", "label", kind, "trials", "expected_test_accuracy", "low", "high"],
        rows=numbers,
        caption=(
            "The test accuracy of what the whole search found, less what fewer trials would have fallen short of it "
            "by on validation, as if trials were drawn independently: the mean over repeats. 95 % intervals "
            f"{given(group.repeats)}."
            + (" Accuracy is on a scale that is logarithmic in the error." if y.by_error else "")
        ),
        shape="wide",
        legend=legend([row for row, _ in told], among, lines=True),
    )


def traces(row: Row, curve: ByBudget, among: Sequence[Row], y: Scale, rows: int) -> list[dict[str, Any]]:
    """A row's band and its line, as plotly wants them."""
    style, x = style_of(row, among), figures.digits(curve.budget.tolist())
    mean, low, high = (figures.digits(map(y.place, v.tolist())) for v in (curve.accuracy, curve.low, curve.high))
    return [
        {
            "x": [*x, *x[::-1]],
            "y": [*high, *low[::-1]],
            "fill": "toself",
            "fillcolor": style.color,
            "opacity": min(0.15, 0.4 / rows),
            "mode": "none",
            "hoverinfo": "skip",
            "meta": style.meta,
        },
        {
            "x": x,
            "y": mean,
            "mode": "lines",
            "line": style.line,
            "meta": style.meta,
            "customdata": [[percent(a), f"{n:.0f}"] for a, n in zip(curve.accuracy, curve.trials, strict=True)],
            "hovertemplate": (
                f"{figures.plain(row.label)}<br>%{{x:.3s}}: %{{customdata[0]}} after %{{customdata[1]}} trials"
                "<extra></extra>"
            ),
        },
    ]
