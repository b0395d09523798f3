"""Parallel coordinates: a line per trial through its hyperparameters and its result, to be filtered by brushing."""

from collections.abc import Sequence
from math import ceil, floor, log2, log10
from typing import Any

from study.design.space import DEPTH
from study.design.states import RunStatus
from study.report import figures
from study.report.blocks import Key, Parallel, ParallelAxis
from study.report.numbers import metric_value
from study.report.study import record_view
from study.results.point import Domain, start_title
from study.results.record import Record, Row
from study.text import plural, sentence
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

MOST_TICKS = 7
GOLDEN = 0.618034  # its multiples spread evenly between 0 and 1


def of_trials(record: Record) -> list[Parallel]:
    """One drawing; none where fewer than two trials have a result, or nothing was searched."""
    by, searched = record_view.metric(record), record_view.searched(record)
    trials = [t for t in record_view.by_id(record.trials) if all(t.get(name) is not None for name in searched)]
    results = [value for t in trials if (value := by.of(t)) is not None]
    if len(results) < 2 or not searched:
        return []
    axes = [hyperparameter(record, name, domain, trials) for name, domain in searched.items()]
    top = (record_view.best(record) or {}).get("trial_id")
    merits = [by.merit(value) for value in results]
    spread = max(merits) - min(merits) or 1.0
    names = ", ".join(axis.title for axis in axes)
    return [
        Parallel(
            "search-parallel",
            "All hyperparameters at once",
            scope=record_view.name(record),
            alt=(
                f"Parallel coordinates of {plural(len(trials), 'trial')}: {names}, and validation {by.words} at the "
                "right. The same numbers are in the table of trials."
            ),
            trials=[t["trial_id"] for t in trials],
            kinds=[
                "best"
                if t["trial_id"] == top
                else "start"
                if t["trial_id"] == record_view.PAPER
                else "failed"
                if t["status"] == RunStatus.FAILED
                else ""
                for t in trials
            ],
            shades=[0.0 if (v := by.of(t)) is None else (by.merit(v) - min(merits)) / spread for t in trials],
            axes=[*axes, result(by, trials)],
            legend=[
                Key(record_view.best_name(record), figures.ACCENT),
                Key(start_title(record).lower(), figures.PAPER),
                Key("the others, stronger where better", figures.STATUS[RunStatus.COMPLETED]),
            ],
            columns=["trial_id", "status", *searched, by.column],
            rows=[[t["trial_id"], t["status"], *(t[name] for name in searched), by.of(t)] for t in trials],
        )
    ]


def hyperparameter(record: Record, name: str, domain: Domain, trials: Sequence[Row]) -> ParallelAxis:
    values = [t[name] for t in trials]
    words = [record_view.value(name, value, record) for value in values]
    title = record_view.title(name)
    if "choices" in domain:
        order = [*domain["choices"], *dict.fromkeys(value for value in values if value not in domain["choices"])]
        at = {choice: (i + 0.5) / len(order) for i, choice in enumerate(order)}
        spread = 0.5 / len(order)
        places: list[float | None] = [
            at[value] + spread * (i * GOLDEN % 1 - 0.5) for i, value in enumerate(values)
        ]  # so that lines of one choice are told apart
        return ParallelAxis(name, title, places, words, [(at[choice], str(choice)) for choice in order])
    low, high = min(domain["low"], *values), max(domain["high"], *values)
    if name == DEPTH:
        high = max(high, record_view.backbone_stages(record) or 0)
    if domain["log"]:
        low = min([domain["low"], *(value for value in values if value > 0)])
        scale = Scale(log10(low), log10(high))
        places = [scale.place(log10(value)) if value > 0 else 0.0 for value in values]
        if DECLARED[name].kind is int:  # powers of two, as batch sizes are
            ticks: list[float] = [2**power for power in range(ceil(log2(low)), floor(log2(high)) + 1)]
        else:
            ticks = decades(low, high)
        marks = [(scale.place(log10(tick)), DECLARED[name].format(tick)) for tick in ticks]
        return ParallelAxis(name, title, places, words, marks)
    scale = Scale(low, high)
    marks = [(scale.place(tick), f"{tick:g}") for tick in even(low, high, whole=DECLARED[name].kind is int)]
    return ParallelAxis(name, title, [scale.place(value) for value in values], words, marks)


def result(by: Metric, trials: Sequence[Row]) -> ParallelAxis:
    """What the trials reached, the better the higher."""
    values = [by.of(t) for t in trials]
    there = [value for value in values if value is not None]
    scale = Scale(min(there), max(there))
    sign = (lambda place: 1 - place) if by is Metric.LOSS else (lambda place: place)
    words = [metric_value(by, value) for value in values]
    marks = [(sign(scale.place(tick)), metric_value(by, tick)) for tick in even(min(there), max(there))]
    places = [None if value is None else sign(scale.place(value)) for value in values]
    return ParallelAxis(by.column, sentence(f"validation {by.words}"), places, words, marks)


class Scale:
    """From 0 at the lower end to 1 at the upper one; all in the middle where there is one value alone."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def place(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def decades(low: float, high: float) -> list[float]:
    """The powers of ten between two numbers, or their ends where there are fewer than two."""
    powers = [10.0**power for power in range(ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9) + 1)]
    return powers[:: ceil(len(powers) / MOST_TICKS)] if len(powers) > 1 else [low, high]


def even(low: float, high: float, *, whole: bool = False) -> list[Any]:
    """Round numbers between two, evenly apart."""
    if high <= low:
        return [low]
    exact = (high - low) / (MOST_TICKS - 1)
    unit = 10.0 ** floor(log10(exact))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= exact * (1 - 1e-9))
    step = max(1.0, step) if whole else step
    return [round(step * i, 10) for i in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
