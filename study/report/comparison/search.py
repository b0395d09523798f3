"""How each search went: the best so far, what fewer trials would have found, and every trial by hyperparameter."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from study.comparison import Comparison, Group, Row
from study.comparison.rows import searched
from study.report import figures
from study.report.blocks import Choice, Figure, Note, Option, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import legend, style_of
from study.report.numbers import metric_value
from study.report.study import best, parallel, record_view, search
from study.statistics import ExpectedBest
from study.text import plural
from trainables.metrics import Metric


def section(comparison: Comparison) -> Section:
    if not any(row.expected_best for row in comparison.rows):
        return empty("search", "Search", "No trial of any row has a validation result.")
    return Section(
        "search",
        "How the searches went",
        per_dataset(comparison, blocks),
        lead="Trial 0 is where a search starts, so a line shows what searching added to it.",
        short="Search",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    by = group.metric
    expected = {row.name: searched(row.record, by) for row in group.rows}
    rows = [row for row in group.rows if expected[row.name]]
    silent = [row.label for row in group.rows if not expected[row.name]]
    notes = [Note(f"No trial with a validation {by.words}: {', '.join(silent)}.")] if silent else []
    if not rows:
        return notes
    curves = [(row, curve) for row in rows if (curve := expected[row.name])]
    each = [Option(row.label, trials(row, f"{suffix}-{i}")) for i, row in enumerate(rows, 1)]
    budgets = [
        Option(budget.replace("_", "-"), [expected_figure(curves, by, among, budget, suffix)])
        for budget in ("trials", "device_seconds")
    ]
    return [
        best_so_far(rows, by, among, suffix),
        Choice(f"search-expected{suffix}", "Expected best after", budgets, shape="half"),
        Choice(f"search-trials{suffix}", "Every trial of", each),
        *notes,
    ]


def best_so_far(rows: Sequence[Row], by: Metric, among: Sequence[Row], suffix: str) -> Figure:
    plot = figures.blank(x="trial, in the order of their start", y=f"best validation {by.words} so far")
    bests = {row.name: best.so_far([value for _, value in best.with_result(row.record, by)], by) for row in rows}
    plot.update_yaxes(**figures.metric_axis(by, (value for each in bests.values() for value in each)))
    for row in rows:
        style, values = style_of(row, among), bests[row.name]
        plot.add_scatter(
            x=list(range(len(values))),
            y=figures.digits(values),
            mode="lines",
            line=style.line | {"shape": "hv"},
            meta=style.meta,
            hovertemplate=hover(row, "trial %{x}", by),
        )
    ends = " ".join(
        f"{row.label}: {metric_value(by, bests[row.name][0])} to {metric_value(by, bests[row.name][-1])}."
        for row in rows
    )
    return Figure(
        f"search-best-so-far{suffix}",
        "Best so far",
        plot,
        alt=f"Line chart. Best validation {by.words} so far by trial, of {plural(len(rows), 'search')}. {ends}",
        columns=["name", "label", "trial", f"best_{by.column}"],
        rows=[[row.name, row.label, i, value] for row in rows for i, value in enumerate(bests[row.name])],
        legend=legend(rows, among, lines=True),
    )


def hover(row: Row, budget: str, by: Metric) -> str:
    return f"{figures.plain(row.label)}<br>{budget}: %{{y:{figures.metric_format(by)}}}<extra></extra>"


def expected_figure(
    curves: Sequence[tuple[Row, ExpectedBest]], by: Metric, among: Sequence[Row], budget: str, suffix: str
) -> Figure:
    """What a smaller search would have found, with its band.

    Args:
        curves: of each row.
        by: the metric of the curves.
        among: all rows of the comparison, for the styles.
        budget: what the search is measured in: `trials` or `device_seconds`.
        suffix: makes the id this group's own.
    """
    unit = budget.replace("_", "-")
    plot = figures.blank(x=f"budget: {unit}", y=f"expected best validation {by.words}", hovermode="closest")
    plot.update_yaxes(**figures.metric_axis(by, (value for _, curve in curves for value in curve.accuracy.tolist())))
    numbers: list[list[Any]] = []
    for row, curve in curves:
        style = style_of(row, among)
        x = figures.digits(getattr(curve, budget).tolist())
        mean, low, high = (figures.digits(v.tolist()) for v in (curve.accuracy, curve.low, curve.high))
        plot.add_scatter(
            x=[*x, *x[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=style.color,
            opacity=min(0.15, 0.4 / len(curves)),
            mode="none",
            hoverinfo="skip",
            meta=style.meta,
        )
        plot.add_scatter(
            x=x,
            y=mean,
            mode="lines" if len(x) > 1 else "markers",
            line=style.line,
            meta=style.meta,
            hovertemplate=hover(row, f"%{{x}} {unit}", by),
        )
        numbers += [[row.name, row.label, *each] for each in zip(x, mean, low, high, strict=True)]
    return Figure(
        f"search-expected-{unit}{suffix}",
        "Expected best of a smaller search",
        plot,
        alt=(
            f"Line chart with bands. Expected best validation {by.words} by {unit}, {plural(len(curves), 'search')}, "
            "from Dodge et al. 2019. The numbers are in the CSV."
        ),
        columns=["name", "label", budget, "expected_best", "low", "high"],
        rows=numbers,
        caption=(
            "As if trials were drawn independently. Bands are the spread over draws of the trials that were seen "
            "(95 %), no confidence intervals: nobody has seen what better trials there are."
        ),
        shape="wide",
        legend=legend([row for row, _ in curves], among, lines=True),
    )


def trials(row: Row, suffix: str) -> list[Any]:
    """The figures of the page of one study."""
    record = row.record
    drawn = [search.figure(record, name) for name in record_view.searched(record)]
    whose = f"{plural(len(record.trials), 'trial')} of {row.label}"
    return [
        *(replace(one, id=f"trial-{one.id}{suffix}") for one in parallel.of_trials(record)),
        *(replace(one, id=f"trial-{one.id}{suffix}", title=one.title, alt=f"{whose}. {one.alt}") for one in drawn),
        *search.not_searched(record),
    ]
