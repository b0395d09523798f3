"""Nested subsets of the training images: every prefix of one order is stratified, and its sizes double."""

import numpy as np

from study.data.splits import ranks_in_class

FEWEST = 32  # images of the smallest subset
PER_CLASS = 3  # and so many of each class, on average


def nested(labels: np.ndarray, seed: int) -> np.ndarray:
    """An order of (N,) labels whose every prefix holds each class in about its share, so that larger ones hold smaller.

    Args:
        labels: of the images.
        seed: which images of a class come first.
    """
    rank, counts = ranks_in_class(labels, seed)
    chance = np.random.default_rng([seed, 1]).random(len(labels))  # which class is first among equals
    return np.lexsort((chance, (rank + 0.5) / counts))


def sizes(images: int, classes: int) -> tuple[int, ...]:
    """Of the subsets, each twice as large as the one before, the last one all images."""
    smallest = max(FEWEST, PER_CLASS * classes)
    found = [images]
    while found[0] // 2 >= smallest:
        found.insert(0, found[0] // 2)
    return tuple(found)
