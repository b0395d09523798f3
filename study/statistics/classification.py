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


def confused(label: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(images,) int64 labels and predictions -> rows of (true, predicted, count) for the pairs that occur, in order."""
    pairs, counts = np.unique(np.stack([label, predicted], axis=1), axis=0, return_counts=True)
    return np.column_stack([pairs, counts]).astype(np.int64)


def most_confused(pairs: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The rows (true, predicted, count) of `confused` that are wrong, the most often first; equal ones in order."""
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    return [tuple(row) for row in wrong[np.argsort(-wrong[:, 2], kind="stable")][:most].tolist()]
