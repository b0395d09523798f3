"""A row of a comparison: what the record of a finished study says, and how sure one can be of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from study.design.states import RunStatus, StudyStatus
from study.results.point import metric
from study.results.record import Record
from study.results.study_file import Configuration
from study.statistics import Confidence, ExpectedBest, Interval, confidence_of, expected_best, score_intervals
from study.statistics.intervals import class_means
from study.text import FROM_SCRATCH, joined
from trainables import architecture
from trainables.metrics import Metric

UNKNOWN = "unknown"


class Score(NamedTuple):
    """Mean over seeds, and its 95 % interval over seeds and test images (over images alone with one seed)."""

    mean: float
    interval: Interval


@dataclass(frozen=True)
class Row:
    """A finished study: one model and its pretraining on one dataset.

    Attributes:
        name: of the study; no two rows of a comparison share one.
        label: the model and its pretraining for a reader; no two rows on a dataset share one.
        title: the model for a reader.
        family: what the model is built of, as its architecture declares; "unknown" for a model that is not here.
        dataset: its name.
        classes: names, in label order.
        test_set: a hash of the test images, or of all splits where the record has no other.
        seeds: of the test runs.
        index, label_of: (images,) the test images and their classes.
        predicted: (seeds, images) classes.
        confidence: whether it is as often right as it says; None where the record does not tell.
        recall: of each class, the mean over seeds; None for a class without test images.
        metric: what chose the best epochs, trials and the winner, on validation.
        expected_best: by the metric; None where no trial has a value of it.
        trials: how many the search had, failed and pruned ones included.
        seconds: wall time by step.
        parameters: None where the record does not say.
        record: all the rest. Its predictions are not in it, but in the arrays.
        repeats: the studies that this row is the mean of, by their seeds; empty where it is one study.
    """

    name: str
    label: str
    title: str
    model: str
    family: str
    variant: str
    pretraining: str
    dataset: str
    classes: tuple[str, ...]
    test_set: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    accuracy: Score
    mean_class_accuracy: Score
    macro_f1: Score
    recall: dict[str, float | None]
    metric: Metric
    expected_best: ExpectedBest | None = field(compare=False)
    trials: int
    seconds: dict[str, float]
    parameters: int | None
    index: np.ndarray = field(compare=False, repr=False)
    label_of: np.ndarray = field(compare=False, repr=False)
    predicted: np.ndarray = field(compare=False, repr=False)
    confidence: Confidence | None
    record: Record = field(compare=False, repr=False)
    repeats: tuple["Row", ...] = field(default=(), compare=False, repr=False)

    @property
    def number_of_repeats(self) -> int:
        """Of the whole procedure, that its scores are of."""
        return max(1, len(self.repeats))

    @property
    def n_test(self) -> int:
        return len(self.index)

    @property
    def correct(self) -> np.ndarray:
        """(seeds, images) bool."""
        return self.predicted == self.label_of

    @property
    def config(self) -> Configuration:
        return self.record.configuration

    @property
    def device_seconds(self) -> float:
        """Of the search: runs' seconds times the workers of each, failed trials included."""
        return search_seconds(self.record)


def read(folder: Path) -> Row:
    """The row of the study in a folder. Raises ValueError, saying why it is none."""
    if not (folder / "study.json").is_file():
        raise ValueError("it has no study.json: it is not the folder of a study")
    record = Record(folder)
    try:
        return from_record(record)
    except (KeyError, TypeError) as missing:
        raise ValueError(f"its record is not complete: {missing} is missing or of another kind") from None


def from_record(record: Record) -> Row:
    """The same from a record. Raises ValueError; KeyError or TypeError where the record is none of ours."""
    study = record.study
    entries = {"study": study.configuration, "data": study.data, "status": study.status}
    if missing := [name for name, entry in entries.items() if entry is None]:
        raise ValueError(f"its record is not complete: study.json has no {joined(missing)}")
    if study.status is not StudyStatus.FINISHED:
        raise ValueError(f"it is not finished but {study.status}; go on with: {going_on(study.command or '')}")
    facts, data, classes = record.configuration, record.data, record.data.classes
    seeds, index, label, predicted, confidence = answers(record, len(classes))
    intervals = score_intervals(label, predicted, len(classes))
    means = class_means(label, predicted, len(classes), np.ones((len(label), 1)))
    accuracies = (predicted == label).mean(axis=1)
    title, family = introduced(facts.model)
    return Row(
        name=facts.name,
        label=f"{title} {facts.pretraining if facts.pretraining != 'none' else FROM_SCRATCH}",
        title=title,
        model=facts.model,
        family=family,
        variant=facts.variant,
        pretraining=facts.pretraining,
        dataset=data.name,
        classes=classes,
        test_set=data.test_set or data.fingerprint,
        seeds=seeds,
        accuracies=tuple(accuracies.tolist()),
        accuracy=Score(float(accuracies.mean()), intervals["accuracy"]),
        mean_class_accuracy=Score(float(means["mean_class_accuracy"].mean()), intervals["mean_class_accuracy"]),
        macro_f1=Score(float(means["macro_f1"].mean()), intervals["macro_f1"]),
        recall=dict(zip(classes, recalls(label, predicted, len(classes)), strict=True)),
        metric=metric(record),
        expected_best=searched(record, metric(record)),
        trials=len(record.trials),
        seconds=study.seconds,
        parameters=study.model.parameters if study.model else None,
        index=index,
        label_of=label,
        predicted=predicted,
        confidence=confidence_of(predicted == label, confidence) if np.isfinite(confidence).all() else None,
        record=record,
    )


def going_on(command: str) -> str:
    return command if "--resume" in command or "study.run" not in command else f"{command} --resume"


def answers(record: Record, classes: int) -> tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Seeds, (images,) index and label, (seeds, images) predicted and confidence; takes them out of the record.

    Raises ValueError where the seeds did not answer the same images.
    """
    rows, record.tables["predictions"] = record.tables["predictions"], []  # the arrays take a hundredth of the memory
    if not rows:
        raise ValueError("its record has no predictions on the test set: predictions.parquet is missing or empty")
    seed, index, label, predicted = (
        np.array([row[name] for row in rows], np.int64) for name in ("seed", "index", "label", "predicted")
    )
    if min(label.min(), predicted.min()) < 0 or max(label.max(), predicted.max()) >= classes:
        raise ValueError(f"its predictions name classes that it does not have: it has {classes}")
    confidence = np.array([row.get("confidence", np.nan) for row in rows], np.float32)
    order = np.lexsort((index, seed))
    seeds, n = np.unique(seed, return_counts=True)
    unequal = f"its {len(seeds)} seeds did not predict the same images: predictions.parquet is not complete"
    if len(set(n)) > 1:
        raise ValueError(unequal)
    index, label, predicted = (values[order].reshape(len(seeds), -1) for values in (index, label, predicted))
    confidence = confidence[order].reshape(len(seeds), -1)
    once = (np.diff(index[0]) > 0).all()
    if not once or (index != index[0]).any() or (label != label[0]).any():
        raise ValueError(unequal)
    return tuple(seeds.tolist()), index[0], label[0], predicted, confidence


def introduced(model: str) -> tuple[str, str]:
    """A model's title and family."""
    try:
        family = architecture.get(model)
    except ValueError:  # of another version
        return model, UNKNOWN
    return family.title, family.family


def recalls(label: np.ndarray, predicted: np.ndarray, classes: int) -> list[float | None]:
    support = np.bincount(label, minlength=classes)
    right = np.bincount(label, weights=(predicted == label).mean(axis=0), minlength=classes)
    return [float(r / n) if n else None for r, n in zip(right, support, strict=True)]


def searched(record: Record, by: Metric) -> ExpectedBest | None:
    """What fewer trials would have found, by a metric; None where no trial has a value of it."""
    known = [value for row in record.trials if row["status"] != RunStatus.FAILED and (value := by.of(row)) is not None]
    if not known:
        return None
    sign = -1.0 if by is Metric.LOSS else 1.0  # the least of values is the largest of their negatives
    curve = expected_best(sign * np.array(known), search_seconds(record))
    low, high = (curve.low, curve.high) if sign > 0 else (-curve.high, -curve.low)
    return replace(curve, accuracy=sign * curve.accuracy, low=low, high=high)


def common_metric(rows: Sequence[Row]) -> Metric:
    """What rows can be shown by side by side: what all chose by, else accuracy, which every record has."""
    chosen_by = {row.metric for row in rows}
    return chosen_by.pop() if len(chosen_by) == 1 else Metric.ACCURACY


def search_seconds(record: Record) -> float:
    each = record.configuration.workers_per_trial
    return each * sum(row["total_seconds"] or 0.0 for row in record.trials)
