"""The first screen: what was asked, what came out, what it cost, and what the starting point gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import ClassVar

import numpy as np

from study.design.states import Phase, RunStatus, StudyStatus
from study.report.blocks import Section
from study.report.numbers import duration, metric_gain, metric_value, percent
from study.report.study import record_view
from study.results.point import of_test, score, scores, start_title, start_words
from study.results.record import Record, Row
from study.results.study_file import TestResult
from study.statistics import Confidence, confidence_of, given
from study.statistics.confidence import mean_confidence
from study.text import plural
from trainables.metrics import Metric


@dataclass(frozen=True)
class Interval:
    """Accuracies and their interval on a scale; positions in percent of its width."""

    low: float
    high: float
    start: float
    end: float
    accuracies: Sequence[float]

    def at(self, accuracy: float) -> str:
        return f"{100 * (accuracy - self.start) / (self.end - self.start):.2f}"

    @property
    def width(self) -> str:
        return f"{100 * (self.high - self.low) / (self.end - self.start):.2f}"


@dataclass(frozen=True)
class Answer:
    """Attributes:
    number: the headline; empty where there is none.
    facts: (name, value) beside the number.
    contenders: (name, trial) of the best and of the starting point.
    rows: (name, a value of each contender).
    """

    number: str
    label: str
    basis: str
    interval: Interval | None
    facts: Sequence[tuple[str, str]]
    contenders: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[str]]]
    verdict: str
    template: ClassVar[str] = "answer.html"


@dataclass(frozen=True)
class FirstScreen(Section):
    kicker: str = ""
    status: str = ""


def section(record: Record) -> Section:
    return FirstScreen(
        "answer",
        question(record),
        [answer(record)],
        lead=subtitle(record),
        template="first_screen.html",
        kicker=f"Study {record_view.name(record)}",
        status=standing(record),
    )


def standing(record: Record) -> str:
    """Where a study stands that is not finished."""
    match record_view.status(record):
        case StudyStatus.FINISHED:
            return ""
        case StudyStatus.RUNNING:
            return "This study is still running: what follows is what there is so far."
        case StudyStatus.INTERRUPTED:
            return "This study was interrupted: what follows is what it had finished."
        case StudyStatus.FAILED:
            return f"This study failed: {record_view.failure(record)}"
        case None:
            return "Nothing has run yet."


def question(record: Record) -> str:
    study = record.study.configuration
    if study is None:
        return "A study that has not started"
    start = "from random weights" if study.pretraining == "none" else f"pretrained on {study.pretraining}"
    return f"How well does {record_view.model(record)}, {start}, classify {record_view.dataset(record)}?"


def subtitle(record: Record) -> str:
    study, model = record.study.configuration, record.study.model
    parts = [f"Variant {study.variant}", f"{study.scale} scale"] if study else []
    parts += [f"{model.parameters:,} parameters"] if model else []
    classes = record_view.class_names(record)
    parts += [f"{len(classes)} classes"] if classes else []
    return ", ".join(parts)


def answer(record: Record) -> Answer:
    best, paper = record_view.best(record), record_view.paper(record)
    contenders = [(record_view.best_name(record).capitalize(), best), (start_title(record), paper)] if best else []
    there = [(name, row) for name, row in contenders if row]
    number, label, basis = headline(record)
    test = record.study.test
    return Answer(
        number,
        label,
        basis,
        interval(test) if test else None,
        facts(record),
        [(name, row["trial_id"]) for name, row in there],
        comparison(record, [row for _, row in there]),
        verdict(best, paper, record_view.metric(record), start_words(record)) + tested_gain(record),
    )


def headline(record: Record) -> tuple[str, str, str]:
    """The number, what it is, and what it rests on."""
    by, best, test = record_view.metric(record), record_view.best(record), record.study.test
    if test:
        low, high = test.interval
        basis = (
            f"95 % interval {percent(low)} to {percent(high)}, "
            f"mean of {plural(len(test.accuracies), 'seed')} on {plural(test.n, 'test image')}, {given(1)}"
        )
        if by is not Metric.ACCURACY and (other := of_test(test, by)) is not None:
            basis += f"; test {by.words} {metric_value(by, other)}"
        return percent(test.accuracy), "test accuracy", basis
    if best:
        tested = any(run["phase"] == Phase.TEST for run in record.runs)
        state = "the test is not complete" if tested else "the test set has not been looked at"
        basis = f"of {best['trial_id']}, the {record_view.best_name(record)}; {state}"
        return metric_value(by, score(best, by)), f"validation {by.words}, not a test result", basis
    failed = record_view.status(record) is StudyStatus.FAILED
    return "", "No result" if failed else "No result yet", "No trial has completed."


def interval(test: TestResult) -> Interval:
    low, high = test.interval
    ends = [low, high, *test.accuracies]
    start, end = floor(20 * min(ends) - 0.2) / 20, ceil(20 * max(ends) + 0.2) / 20
    return Interval(low, high, max(start, 0.0), min(end, 1.0), test.accuracies)


def facts(record: Record) -> list[tuple[str, str]]:
    study, test = record.study.configuration, record.study.test
    rows = []
    if study:
        rows.append(("Budget", f"{plural(study.trials, 'trial')} of up to {plural(study.epochs, 'epoch')}"))
    if (by := record_view.metric(record)) is not Metric.ACCURACY:
        rows.append(("Chosen by", f"validation {by.words}"))
    counts = record.study.search or {s: sum(t["status"] == s for t in record.trials) for s in RunStatus}
    rows.append(("Trials", ", ".join(f"{n} {status}" for status, n in counts.items() if n) or "none yet"))
    if replicates := record.study.replicates:
        seeds = max(len(r["seeds"]) for r in replicates)
        recipes = plural(len(replicates), "recipe")
        of_all = f" of {plural(record.study.candidates, 'candidate')}" if record.study.candidates else ""
        rows.append(("Replicated", f"{recipes}{of_all} over {plural(seeds, 'seed')}"))
    if test:
        rows.append(("Test macro-F1", percent(test.macro_f1)))
        rows.append(("Test mean class accuracy", percent(test.mean_class_accuracy)))
        if known := sureness(record):
            rows.append(("Calibration error (ECE)", percent(known.calibration_error)))
            rows.append(("NLL of being right", f"{known.log_likelihood:.3f}"))
    if seconds := record.study.seconds:
        rows.append(("Wall-clock time", duration(sum(seconds.values()))))
    return rows


def sureness(record: Record) -> Confidence | None:
    """Whether it is as often right as it says; None where not every answer has a confidence."""
    by_seed: dict[int, list[Row]] = {}
    for row in record.tables["predictions"]:
        by_seed.setdefault(row["seed"], []).append(row)
    each = list(by_seed.values())
    if not each or any(row.get("confidence") is None for rows in each for row in rows):
        return None
    return mean_confidence(
        [
            confidence_of(
                np.array([[row["predicted"] == row["label"] for row in rows]]),
                np.array([[row["confidence"] for row in rows]]),
            )
            for rows in each
        ]
    )


def comparison(record: Record, contenders: Sequence[Row]) -> list[tuple[str, Sequence[str]]]:
    """The hyperparameters and the validation results of the best and of the starting point."""
    if not contenders:
        return []
    by = record_view.metric(record)
    shown = [
        (record_view.title(name), [record_view.value(name, row.get(name), record) for row in contenders])
        for name in record_view.shown(record)
    ]
    results = [(f"Validation {by.words}", [metric_value(by, score(row, by)) for row in contenders])]
    if by is not Metric.ACCURACY:
        results.append(("Validation accuracy", [percent(row["val_accuracy"]) for row in contenders]))
    return [
        *shown,
        ("Trained share", [percent(row.get("trained_share")) for row in contenders]),
        *results,
        ("Seeds", [str(len(scores(row, by))) for row in contenders]),
    ]


def verdict(best: Row | None, paper: Row | None, by: Metric, start: str) -> str:
    """What the search gained over where it started, on validation."""
    if best is None or paper is None or (of_best := score(best, by)) is None or (of_paper := score(paper, by)) is None:
        return ""
    if best["trial_id"] == paper["trial_id"]:
        return f"{start[:1].upper()}{start[1:]} is the best point of this search."
    gain = over_start(by, start, by.merit(of_best) - by.merit(of_paper))
    pairs = list(zip(scores(best, by), scores(paper, by), strict=False))
    if len(pairs) < 2:
        return f"{gain}, from one seed each."
    by_seed = sorted(by.merit(a) - by.merit(b) for a, b in pairs)
    return (
        f"{gain}, mean of {len(pairs)} seeds ({metric_gain(by, by_seed[0])} to {metric_gain(by, by_seed[-1])} by "
        "seed). The winner was chosen on these images, which flatters it here, but not on the test set."
    )


def tested_gain(record: Record) -> str:
    """What the search gained on the test images, which chose nothing; empty where the start was not tested."""
    gain = record.study.gain
    if gain is None:
        return ""
    low, high = (100 * end for end in gain.interval)
    return (
        f" On the test images it gained {100 * gain.gain:+.2f} points, 95 % interval {low:.2f} to {high:.2f}, "
        f"{given(1)}: the start reaches {percent(gain.accuracy)}."
    )


def over_start(by: Metric, start: str, gain: float) -> str:
    if by is not Metric.LOSS:
        return f"{metric_gain(by, gain)} points of {by.words} on validation over {start}"
    return f"{metric_gain(by, gain)} of validation loss gained over {start}"
