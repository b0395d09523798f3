"""What a dataset is to a study: labels, classes, how to read rows, and splits that never share an image."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from trainables.reader import Part

if TYPE_CHECKING:
    from ray.data import Dataset


@dataclass(frozen=True)
class Source:
    """A dataset as published.

    Attributes:
        labels: (N,) int64, the class of every image.
        read: gives the rows at some indices as a Ray Dataset of `index`, `image` (H, W) or (H, W, 3) uint8, and
            `label`, in any order.
        content: a hash of the images and labels.
        test_rows: the official test set's indices, None where there is none.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    read: "Callable[[np.ndarray], Dataset]" = field(compare=False)
    content: str
    test_rows: np.ndarray | None = None


@dataclass(frozen=True)
class Splits:
    """Indices of train, validation and test: disjoint, stratified, sorted."""

    source: Source
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is in each split, images and labels included."""
        digest = sha256(self.source.content.encode())
        for rows in (self.train, self.val, self.test):
            digest.update(rows.astype(np.int64).tobytes() + b"|")
        return digest.hexdigest()[:16]

    def parts(self) -> dict[str, Part]:
        """What is in each split, whatever is in the others."""

        def one(rows: np.ndarray) -> Part:
            content = self.source.content.encode() + rows.astype(np.int64).tobytes()
            return Part(sha256(content).hexdigest()[:16], len(rows))

        return {name: one(self.rows(name)) for name in self.sizes()}

    def rows(self, name: str) -> np.ndarray:
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def sizes(self) -> dict[str, int]:
        return {name: len(self.rows(name)) for name in ("train", "val", "test")}


def split(source: Source, *, seed: int = 0, val_share: float = 0.2, test_share: float = 0.2) -> Splits:
    """Stratified splits by seed. Where the source has an official test set that one is kept.

    The shares are of all images (of those outside an official test set, for validation).
    """
    everything = np.arange(len(source.labels))
    if source.test_rows is None:
        rest, test = stratified(source, everything, test_share, seed)
        val_share = val_share / (1 - test_share)
    else:
        test = np.sort(source.test_rows)
        rest = np.setdiff1d(everything, test, assume_unique=True)
    train, val = stratified(source, rest, val_share, seed)
    return Splits(source, train, val, test)


def stratified(source: Source, rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split  # a second of import that a reader of images need not pay

    large, small = train_test_split(rows, test_size=share, stratify=source.labels[rows], random_state=seed)
    return np.sort(large), np.sort(small)
