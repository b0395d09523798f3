"""Intervals and scores: pure functions on arrays.

The libraries are imported where they are used: a study is half way through its search before they are needed.
"""

from math import sqrt
from typing import Any

import numpy as np


def accuracy_interval(correct: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the accuracy of a recipe, over test images and seeds.

    Args:
        correct: (seeds, images) bool, the same test images in every row.

    Two independent sources of error, each with its own interval: the images (Wilson's, on the mean accuracy)
    and the seeds (Student's t), joined by MOVER (Zou & Donner 2008): the distances to each bound add in squares.
    With one seed only the images count, and the interval says nothing about seeds.
    """
    from scipy.stats import binomtest, t

    seeds, images = correct.shape
    accuracies = correct.mean(axis=1)
    mean = float(accuracies.mean())
    wilson = binomtest(round(mean * images), images).proportion_ci(level, method="wilson")
    spread = 0.0
    if seeds > 1:
        spread = float(t.ppf((1 + level) / 2, seeds - 1) * accuracies.std(ddof=1) / sqrt(seeds))
    low = mean - sqrt(max(mean - wilson.low, 0) ** 2 + spread**2)
    high = mean + sqrt(max(wilson.high - mean, 0) ** 2 + spread**2)
    return max(low, 0.0), min(high, 1.0)


def scores(label: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, macro-F1, mean accuracy of classes, and a row a class, of one run's predictions (scikit-learn).

    A class without test images has no recall: it counts in no mean.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(label, predicted, labels=range(len(classes)), zero_division=0)
    names = ("precision", "recall", "f1-score", "support")
    rows: list[dict[str, Any]] = [
        {"class": name, **{column: values[i].item() for column, values in zip(names, columns, strict=True)}}
        for i, name in enumerate(classes)
    ]
    present = [row for row in rows if row["support"] > 0]
    return {
        "accuracy": float((label == predicted).mean()),
        "macro_f1": float(np.mean([row["f1-score"] for row in present])),
        "mean_class_accuracy": float(np.mean([row["recall"] for row in present])),
        "per_class": rows,
    }


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) counts: true class by row, predicted class by column."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(label, predicted, labels=range(classes))


def most_confused(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The (true, predicted, count) that occur most often off the diagonal."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    ranked = np.argsort(wrong, axis=None)[::-1][:most]
    pairs = [(int(i), int(j)) for i, j in (np.unravel_index(k, wrong.shape) for k in ranked)]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j] > 0]
