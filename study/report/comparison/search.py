"""How each search went: the best so far, what fewer trials would have found, and every trial by hyperparameter."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report import figures
from study.report.blocks import Choice, Figure, Note, Option, Section, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import legend, style_of
from study.report.numbers import known, percent
from study.report.study import search
from study.text import plural


def section(comparison: Comparison) -> Section:
    if not any(row.expected_best for row in comparison.rows):
        return empty("search", "Search", "No trial of any row has a validation accuracy.")
    return Section(
        "search",
        "How the searches went",
        per_dataset(comparison, blocks),
        lead="Trial 0 is the paper’s recipe in every search, so a line shows what searching added to it.",
        short="Search",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    searched = [row for row in group.rows if row.expected_best]
    silent = [row.label for row in group.rows if not row.expected_best]
    notes = [Note(f"No trial with a validation accuracy: {', '.join(silent)}.")] if silent else []
    if not searched:
        return notes
    expected = [
        Option("trials", [expected_figure(searched, among, "trials", suffix)]),
        Option("device-seconds", [expected_figure(searched, among, "device_seconds", suffix)]),
    ]
    each = [Option(row.label, trials(row, f"{suffix}-{i}")) for i, row in enumerate(searched, 1)]
    return [
        best_so_far(searched, among, suffix),
        Choice("Expected best after", expected, shape="half"),
        Choice("Every trial of", each),
        *notes,
    ]


def running(row: Row) -> list[float]:
    """The best validation accuracy after each trial that has one, in the order of their start."""
    ordered = sorted(row.record.trials, key=lambda trial: trial["trial_id"])
    return list(accumulate((trial["val_accuracy"] for trial in ordered if known(trial["val_accuracy"])), max))


def best_so_far(rows: Sequence[Row], among: Sequence[Row], suffix: str) -> Figure:
    plot = figures.blank(x="trial, in the order of their start", y="best validation accuracy so far")
    plot.update_yaxes(tickformat=".0%")
    traces = {row.name: running(row) for row in rows}
    for row in rows:
        seen, values = style_of(row, among), traces[row.name]
        plot.add_scatter(
            x=list(range(len(values))),
            y=figures.digits(values),
            mode="lines",
            line=seen.line | {"shape": "hv"},
            meta=seen.meta,
            hovertemplate=f"{figures.plain(row.label)}<br>trial %{{x}}: %{{y:.1%}}<extra></extra>",
        )
    said = " ".join(f"{row.label}: {percent(traces[row.name][0])} to {percent(traces[row.name][-1])}." for row in rows)
    return Figure(
        f"search-best-so-far{suffix}",
        "Best so far",
        plot,
        alt=f"Line chart. Best validation accuracy so far by trial, of {len(rows)} searches. {said}",
        columns=["name", "label", "trial", "best_val_accuracy"],
        rows=[[row.name, row.label, i, value] for row in rows for i, value in enumerate(traces[row.name])],
        legend=legend(rows, among, lines=True),
    )


def expected_figure(rows: Sequence[Row], among: Sequence[Row], by: str, suffix: str) -> Figure:
    unit = by.replace("_", "-")
    plot = figures.blank(x=f"budget: {unit}", y="expected best validation accuracy", hovermode="closest")
    plot.update_yaxes(tickformat=".0%")
    numbers: list[list[Any]] = []
    for row in rows:
        found, seen = row.expected_best, style_of(row, among)
        assert found is not None
        x = figures.digits(getattr(found, by).tolist())
        mean, low, high = (figures.digits(v.tolist()) for v in (found.accuracy, found.low, found.high))
        plot.add_scatter(
            x=[*x, *x[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=seen.color,
            opacity=min(0.15, 0.4 / len(rows)),
            mode="none",
            hoverinfo="skip",
            meta=seen.meta,
        )
        plot.add_scatter(
            x=x,
            y=mean,
            mode="lines" if len(x) > 1 else "markers",
            line=seen.line,
            meta=seen.meta,
            hovertemplate=f"{figures.plain(row.label)}<br>%{{x}} {unit}: %{{y:.1%}}<extra></extra>",
        )
        numbers += [[row.name, row.label, *each] for each in zip(x, mean, low, high, strict=True)]
    return Figure(
        f"search-expected-{unit}{suffix}",
        "Expected best of a smaller search",
        plot,
        alt=(
            f"Line chart with bands. Expected best validation accuracy by {unit}, of {len(rows)} searches, "
            "from Dodge et al. 2019. The numbers are in the CSV."
        ),
        columns=["name", "label", by, "expected_best", "low", "high"],
        rows=numbers,
        caption="As if trials were drawn independently; bands: 95 % over trials.",
        shape="wide",
        legend=legend(rows, among, lines=True),
    )


def trials(row: Row, suffix: str) -> list[Any]:
    """The figures of the page of one study."""
    record = row.record
    scored = [trial for trial in record.trials if known(trial["val_accuracy"])]
    fixed = row.config.get("fixed") or {}
    drawn = [search.figure(record, name, scored) for name in search.TITLES if name not in fixed]
    notes = [
        Note(f"{search.TITLES.get(name, name)} was not searched: fixed at {value}.") for name, value in fixed.items()
    ]
    said = f"{plural(len(record.trials), 'trial')} of {row.label}"
    return [
        *(replace(one, id=f"trial-{one.id}{suffix}", title=one.title, alt=f"{said}. {one.alt}") for one in drawn),
        *notes,
    ]
