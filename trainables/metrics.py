"""What decides which epoch, trial and model is best: one metric, computed on validation; the others are kept beside it.

Imports neither torch nor Ray.
"""

from collections.abc import Mapping
from enum import StrEnum
from math import inf, isfinite
from typing import Any

import numpy as np


class Metric(StrEnum):
    """The choices of --metric.

    Accuracy, its mean over classes (each class counts the same however many images it has), the mean F1 over classes,
    or the cross-entropy loss, which alone is better when it is smaller.
    """

    ACCURACY = "accuracy"
    MEAN_CLASS_ACCURACY = "mean_class_accuracy"
    MACRO_F1 = "macro_f1"
    LOSS = "loss"

    @property
    def column(self) -> str:
        """Its name in tables and curves, on validation."""
        return f"val_{self.value}"

    @property
    def words(self) -> str:
        return {"macro_f1": "macro-F1"}.get(self.value, self.value.replace("_", " "))

    @property
    def mode(self) -> str:
        """`max` or `min`, as Ray Tune has it."""
        return "min" if self is Metric.LOSS else "max"

    @property
    def worst(self) -> float:
        """What the scheduler is told that a run which failed has reached: a number, for it interpolates."""
        return 1e9 if self is Metric.LOSS else 0.0

    def of(self, row: Mapping[str, Any]) -> float | None:
        """The value in a row of the record; None where it has none."""
        value = row.get(self.column)
        return None if value is None or not isfinite(value) else float(value)

    def merit(self, value: float | None) -> float:
        """A number that is larger for a better value, and least for none: to sort by and to compare."""
        if value is None:
            return -inf
        return -value if self is Metric.LOSS else value

    def show(self, value: float | None) -> str:
        """The value for a reader."""
        if value is None:
            return "–"
        return f"{value:.4f}" if self is Metric.LOSS else f"{value:.2%}"


COLUMNS = tuple(metric.column for metric in Metric)


def scores(label: np.ndarray, predicted: np.ndarray, classes: int) -> dict[Metric, float]:
    """Every metric but the loss, of predictions on a split.

    Args:
        label, predicted: (N,) int64 in [0, classes).

    A class without images in the split counts in no mean.
    """
    confusion = np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)
    right, support, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    there = support > 0
    return {
        Metric.ACCURACY: float(right.sum() / len(label)),
        Metric.MEAN_CLASS_ACCURACY: float((right[there] / support[there]).mean()),
        Metric.MACRO_F1: float((2 * right[there] / (support + answered)[there]).mean()),
    }
