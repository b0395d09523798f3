"""What the search found: how it went, and the result of every trial against each hyperparameter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import plotly.graph_objects as go

from study.design.space import DEPTH
from study.design.states import RunStatus
from study.report import figures
from study.report.blocks import Figure, Key, Note, Section, empty
from study.report.numbers import MISSING, metric_value
from study.report.study import best, parallel, record_view
from study.results.point import start_title
from study.results.record import Record, Row
from study.text import plural
from trainables.hyperparameters import DECLARED, Value
from trainables.metrics import Metric

MARKS = {RunStatus.COMPLETED: "circle", RunStatus.PRUNED: "x-thin", RunStatus.FAILED: "triangle-up-open"}
KEYS = {RunStatus.COMPLETED: "disc", RunStatus.PRUNED: "cross", RunStatus.FAILED: "triangle"}
PER_LINE = 3  # hyperparameters of a point in a hover
GOLDEN = 0.618034  # its multiples spread evenly between 0 and 1
ROOM = 30  # letters beside each other under a figure
FEW_VALUES = 12  # of a whole number, that each have a tick


def section(record: Record) -> Section:
    title = "The search"
    by = record_view.metric(record)
    if not any(by.of(trial) is not None for trial in record.trials):
        why = f"trial with a validation {by.words}" if record.trials else "trial"
        return empty("search", title, record_view.nothing_yet(record, why))
    drawn = [
        *best.progress(record),
        *parallel.of_trials(record),
        *(figure(record, name) for name in record_view.searched(record)),
    ]
    edge = "upper" if by is Metric.LOSS else "lower"
    lead = (
        f"One mark or line per trial, at its best epoch on validation. A pruned trial was stopped early, so its "
        f"{by.words} is what it had reached by then; a failed one stands on the {edge} edge."
    )
    return Section("search", title, [*drawn, *not_searched(record)], lead=lead)


def not_searched(record: Record) -> list[Note]:
    return [
        Note(f"{record_view.title(name)} was not searched: fixed at {record_view.value(name, fixed, record)}.")
        for name, fixed in record_view.fixed(record).items()
    ]


@dataclass(frozen=True)
class Axis:
    """The axis of a hyperparameter.

    Attributes:
        title: with the scale, where that is not even.
        layout: as plotly wants it.
        place: where a value stands on it; the number of the trial spreads those that share one of a few choices.
        caption: what must be known of it.
    """

    title: str
    layout: dict[str, Any]
    place: Callable[[Any, int], float]
    caption: str = ""


def figure(record: Record, name: str) -> Figure:
    """The study's metric against one hyperparameter, a mark per trial that has a value of it."""
    by, title = record_view.metric(record), record_view.title(name)
    trials = [t for t in record_view.by_id(record.trials) if t.get(name) is not None]
    axis = axis_of(record, name, [t[name] for t in trials])
    places = {t["trial_id"]: (axis.place(t[name], i), height(t, record)) for i, t in enumerate(trials)}
    plot = figures.blank(x=axis.title, y=f"validation {by.words}", hovermode="closest")
    plot.update_xaxes(**axis.layout)
    plot.update_yaxes(**figures.metric_axis(by, (by.of(t) for t in record.trials)))
    for status, symbol in MARKS.items():
        those = [t for t in trials if t["status"] == status]
        if those:
            color = figures.STATUS[status]
            line = {"color": color, "width": 1.8 if symbol == "x-thin" else 1.2}
            marker = {"symbol": symbol, "size": 8, "color": color, "line": line}
            plot.add_trace(marks(those, status, places, marker, record))
    keys = [Key(s, figures.STATUS[s], KEYS[s]) for s in MARKS if any(t["status"] == s for t in trials)]
    for label, trial, color, symbol in special(record, trials):
        marker = {"symbol": symbol, "size": 15, "color": color, "line": {"color": figures.SURFACE, "width": 1.5}}
        plot.add_trace(marks([trial], label, places, marker, record))
        keys.append(Key(label, color, symbol))
    return Figure(
        f"search-{name}".replace("_", "-"),
        title,
        plot,
        alt=words(name, trials, record),
        columns=["trial_id", "status", name, by.column],
        rows=[[t["trial_id"], t["status"], t[name], by.of(t)] for t in trials],
        caption=axis.caption,
        shape="third",
        legend=keys,
    )


def height(trial: Row, record: Record) -> float:
    """Its result; one that has none stands beyond the worst."""
    by = record_view.metric(record)
    result = by.of(trial)
    if result is not None:
        return result
    results = [other for t in record.trials if (other := by.of(t)) is not None]
    beyond = 0.04 * max(max(results) - min(results), 0.05)
    return max(results) + beyond if by is Metric.LOSS else min(results) - beyond


def axis_of(record: Record, name: str, values: Sequence[Any]) -> Axis:
    """By what was searched: choices, a range of whole numbers, or a range; even or logarithmic."""
    domain, title = record_view.searched(record)[name], DECLARED[name].title
    if "choices" in domain:
        return choices_axis(title, [*domain["choices"]], values)
    if name == DEPTH:
        deepest = max([*values, record_view.backbone_stages(record) or 0])
        layout = {"dtick": max(1, round(deepest / FEW_VALUES)), "tick0": 0, "range": [-0.5, deepest + 0.5]}
        return Axis("frozen stages", layout, lambda value, _: value)
    if domain["log"]:
        return logarithmic_axis(title, DECLARED[name].kind, values)
    whole = DECLARED[name].kind is int and domain["high"] - domain["low"] <= FEW_VALUES
    return Axis(title, {"dtick": 1, "tick0": 0} if whole else {"nticks": 7}, lambda value, _: value)


def choices_axis(title: str, choices: list[Value], values: Sequence[Value]) -> Axis:
    """The choices side by side, in their order; then a value of the starting point that is none of them."""
    order = [*choices, *dict.fromkeys(value for value in values if value not in choices)]
    names = [figures.plain(figures.brief(str(choice), 14)) for choice in order]
    layout = {
        "tickvals": list(range(len(order))),
        "ticktext": names,
        "range": [-0.5, len(order) - 0.5],
        "showgrid": False,
        "tickangle": 0 if len(names) * max(map(len, names)) <= ROOM else -35,
    }

    def place(value: Value, trial: int) -> float:
        return order.index(value) + 0.5 * (trial * GOLDEN % 1 - 0.5)

    return Axis(title, layout, place, "Marks of one choice are spread to be told apart." if len(values) > 3 else "")


def logarithmic_axis(title: str, kind: type, values: Sequence[float]) -> Axis:
    """A value of 0 has no logarithm: it stands left of all others."""
    smallest = min((value for value in values if value > 0), default=1.0)
    largest = max((value for value in values if value > 0), default=1.0)
    if kind is int:  # powers of two, as batch sizes are
        ticks = [2**power for power in range(int(log2(smallest)), int(log2(largest)) + 2)]
        layout: dict[str, Any] = {"type": "log", "tickvals": ticks, "ticktext": [str(tick) for tick in ticks]}
    elif largest / smallest < 30:
        layout = {"type": "log", "dtick": "D2", "tickformat": "~g"}
    else:
        layout = {"type": "log", "dtick": 1, "tickformat": ".0e"}
    zeros = sum(value == 0 for value in values)
    caption = f"{plural(zeros, 'trial')} with 0 on the left edge." if zeros else ""
    return Axis(f"{title} (logarithmic)", layout, lambda value, _: value or smallest / 3, caption)


def special(record: Record, trials: Sequence[Row]) -> list[tuple[str, Row, str, str]]:
    """The starting point and the best one, as trials of the search: label, trial, colour and mark."""
    trial_of = {t["trial_id"]: t for t in trials}
    best = (record_view.best(record) or {}).get("trial_id")
    kinds = [
        (start_title(record).lower(), trial_of.get(record_view.PAPER), figures.PAPER, "diamond"),
        (record_view.best_name(record), trial_of.get(best), figures.ACCENT, "star"),
    ]
    return [(label, trial, color, mark) for label, trial, color, mark in kinds if trial]


def marks(
    trials: Sequence[Row], label: str, places: dict[str, tuple[float, float]], marker: dict[str, Any], record: Record
) -> go.Scatter:
    """Trials that look the same.

    Args:
        trials: rows of the table of trials.
        label: what they are, for the hover: a status, `winner`.
        places: by trial id, its x and y in the units of the axes.
        marker: as plotly wants it.
        record: says which hyperparameters a hover shows.

    Returns:
        One trace of marks without lines.
    """
    by = record_view.metric(record)
    hovers = [[t["trial_id"], label, hyperparameters(t, record), metric_value(by, by.of(t))] for t in trials]
    return go.Scatter(
        meta=record_view.of_trials(record),
        x=figures.digits(places[t["trial_id"]][0] for t in trials),
        y=figures.digits(places[t["trial_id"]][1] for t in trials),
        mode="markers",
        marker=marker,
        customdata=hovers,
        hovertemplate=f"%{{customdata[0]}} (%{{customdata[1]}})<br>%{{customdata[2]}}<br>{by.words} "
        "%{customdata[3]}<extra></extra>",
    )


def hyperparameters(trial: Row, record: Record) -> str:
    """A few on each line of a hover."""
    each = [
        figures.plain(f"{DECLARED[name].title} {record_view.value(name, trial.get(name), record)}")
        for name in record_view.shown(record)
    ]
    return ",<br>".join(", ".join(each[i : i + PER_LINE]) for i in range(0, len(each), PER_LINE))


def words(name: str, trials: Sequence[Row], record: Record) -> str:
    by, title = record_view.metric(record), DECLARED[name].title
    sentences = [f"Scatter plot. Validation {by.words} against {title} of {plural(len(trials), 'trial')}."]
    for label, trial, *_ in special(record, trials):
        value = record_view.value(name, trial[name], record)
        result = metric_value(by, by.of(trial)) if by.of(trial) is not None else MISSING
        sentences.append(f"{label}: {trial['trial_id']}, {title} {value}, {by.words} {result}.")
    return " ".join(sentences)
