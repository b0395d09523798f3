"""How the search went: the best trial so far, and what a smaller search would have found."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from study.comparison.rows import searched
from study.design.states import RunStatus
from study.report import figures
from study.report.blocks import Figure, Key
from study.report.numbers import metric_value
from study.report.study import record_view
from study.results.record import Record, Row
from study.statistics import ExpectedBest
from study.text import plural
from trainables.metrics import Metric

DRAWS = (
    "As if trials were drawn independently. The band is the spread over draws of the trials that were seen (95 %), no "
    "confidence interval: nobody has seen what better trials there are."
)


def with_result(record: Record, by: Metric) -> list[tuple[Row, float]]:
    """Trials in the order of their start, each with what it reached; without those that reached nothing."""
    results = [(trial, by.of(trial)) for trial in record_view.by_id(record.trials)]
    return [(trial, value) for trial, value in results if value is not None]


def so_far(results: Sequence[float], by: Metric) -> list[float]:
    """The best after each of them."""
    return list(accumulate(results, min if by is Metric.LOSS else max))


def progress(record: Record) -> list[Figure]:
    """Both figures; none where no trial has a result."""
    by = record_view.metric(record)
    curve = searched(record, by)
    return [best_so_far(record, by), expected_best(curve, by)] if curve else []


def best_so_far(record: Record, by: Metric) -> Figure:
    trials = [trial for trial, _ in with_result(record, by)]
    results = [value for _, value in with_result(record, by)]
    best = so_far(results, by)
    improved = [i for i, value in enumerate(best) if i == 0 or value != best[i - 1]]
    plot = figures.blank(x="trial, in the order of their start", y=f"validation {by.words}", hovermode="closest")
    plot.update_yaxes(**figures.metric_axis(by, results))
    plot.add_scatter(
        x=list(range(len(trials))),
        y=figures.digits(results),
        mode="markers",
        marker={"size": 7, "color": figures.STATUS[RunStatus.COMPLETED]},
        customdata=[[trial["trial_id"], trial["status"]] for trial in trials],
        meta=record_view.of_trials(record),
        hovertemplate=hover("%{customdata[0]} (%{customdata[1]})", by),
    )
    plot.add_scatter(
        x=list(range(len(best))),
        y=figures.digits(best),
        mode="lines",
        line={"color": figures.ACCENT, "width": 2.4, "shape": "hv"},
        hovertemplate=hover("best after trial %{x}", by),
    )
    last = trials[improved[-1]]["trial_id"]
    return Figure(
        "search-best-so-far",
        "Best so far",
        plot,
        alt=(
            f"Line chart. Best validation {by.words} so far of {plural(len(trials), 'trial')}, from "
            f"{metric_value(by, best[0])} to {metric_value(by, best[-1])}; the last to improve it was {last}."
        ),
        columns=["trial", "trial_id", by.column, f"best_{by.column}"],
        rows=[
            [i, trial["trial_id"], value, top]
            for i, (trial, value, top) in enumerate(zip(trials, results, best, strict=True))
        ],
        legend=[Key("trial", figures.STATUS[RunStatus.COMPLETED], "disc"), Key("best so far", figures.ACCENT)],
    )


def expected_best(curve: ExpectedBest, by: Metric) -> Figure:
    """By the number of trials, with its band; device-seconds are proportional to it, and in the CSV."""
    mean, low, high = (figures.digits(values.tolist()) for values in (curve.accuracy, curve.low, curve.high))
    trials = curve.trials.tolist()
    plot = figures.blank(x="budget: trials", y=f"expected best {by.words}", hovermode="closest")
    plot.update_yaxes(**figures.metric_axis(by, mean))
    band: dict[str, Any] = {"fill": "toself", "fillcolor": figures.ACCENT, "opacity": 0.15, "mode": "none"}
    plot.add_scatter(x=[*trials, *trials[::-1]], y=[*high, *low[::-1]], hoverinfo="skip", **band)
    plot.add_scatter(
        x=trials,
        y=mean,
        mode="lines" if len(trials) > 1 else "markers",
        line={"color": figures.ACCENT, "width": 2.4},
        hovertemplate=hover("%{x} trials", by),
    )
    return Figure(
        "search-expected-best",
        "Expected best of a smaller search",
        plot,
        alt=(
            f"Line chart with a band. Expected best validation {by.words} by trials, from {metric_value(by, mean[0])} "
            f"of one to {metric_value(by, mean[-1])} of {len(trials)}, from Dodge et al. 2019."
        ),
        columns=["trials", "device_seconds", "expected_best", "low", "high"],
        rows=[list(row) for row in zip(trials, curve.device_seconds.tolist(), mean, low, high, strict=True)],
        caption=DRAWS,
    )


def hover(what: str, by: Metric) -> str:
    return f"{what}: %{{y:{figures.metric_format(by)}}}<extra></extra>"
