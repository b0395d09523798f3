"""Scores of one run: a row per class, and what is confused with what."""

from typing import Any

import numpy as np


def scores(label: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, macro-F1, mean class accuracy, and a row per class, of one run's predictions (scikit-learn).

    A class without test images has no recall: it counts in no mean. `label` and `predicted` are (images,) int64.
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
    """(images,) int64 labels and predictions -> (classes, classes) counts: true class by row, predicted by column."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(label, predicted, labels=range(classes))


def most_confused(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The (true, predicted, count) that occur most often off the diagonal of a (classes, classes) matrix."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    ranked = np.argsort(wrong, axis=None)[::-1][:most]
    pairs = [(int(i), int(j)) for i, j in (np.unravel_index(k, wrong.shape) for k in ranked)]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j] > 0]
