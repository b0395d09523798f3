"""Splits that never share an image: stratified, by a seed, or those that a dataset comes with."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from study.data.groups import across
from study.data.source import ExampleSource
from trainables.splits import SplitDigest

NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class DatasetSplits:
    """Indices of train, validation and test: disjoint, stratified, sorted.

    `chosen` are the positions in `train` of the images that are trained on, None for all of them: see `subset`.
    """

    source: ExampleSource
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    chosen: np.ndarray | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is in each split, images and labels included."""
        digest = sha256(self.source.content.encode())
        for rows in (self.train, self.val, self.test):
            digest.update(rows.astype(np.int64).tobytes() + b"|")
        if self.chosen is not None:
            digest.update(self.chosen.astype(np.int64).tobytes())
        return digest.hexdigest()[:16]

    @property
    def test_set(self) -> str:
        """A hash of the test images, whatever is in the other splits."""
        return self.digests()["test"].content

    def digests(self) -> dict[str, SplitDigest]:
        """What is in each split, whatever is in the others."""

        source = sha256(self.source.content.encode()).hexdigest()[:16]

        def digest(name: str) -> SplitDigest:
            content = self.source.content.encode() + self.rows(name).astype(np.int64).tobytes()
            chosen = self.chosen if name == "train" else None
            return SplitDigest(sha256(content).hexdigest()[:16], len(self.rows(name)), chosen, source, self.source.side)

        return {name: digest(name) for name in NAMES}

    def rows(self, name: str) -> np.ndarray:
        """The indices of train, val or test."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def sizes(self) -> dict[str, int]:
        """Images of each split that a study uses."""
        sizes = {name: len(self.rows(name)) for name in NAMES}
        return sizes if self.chosen is None else sizes | {"train": len(self.chosen)}


def split(source: ExampleSource, *, seed: int = 0, val_share: float = 0.2, test_share: float = 0.2) -> DatasetSplits:
    """Stratified splits by seed. A test or validation set that the source comes with is kept.

    The shares are of all images (of those outside a given test set, for validation). Raises ValueError if a class has
    too few images to be in every split.
    """
    given = [rows for rows in (source.test_rows, source.val_rows) if rows is not None]
    rest = np.setdiff1d(np.arange(len(source.labels)), np.concatenate([np.empty(0, np.int64), *given]))
    check(source, rest, needed=3 - len(given))
    draw = stratified if source.groups is None else in_groups
    if source.test_rows is None:
        rest, test = draw(source, rest, test_share, seed)
        val_share = val_share / (1 - test_share)
    else:
        test = np.sort(source.test_rows)
    if source.val_rows is None:
        rest, val = draw(source, rest, val_share, seed)
    else:
        val = np.sort(source.val_rows)
    if source.groups is not None:
        check_groups(source, {"train": rest, "val": val, "test": test})
    return DatasetSplits(source, rest, val, test)


def check(source: ExampleSource, rows: np.ndarray, needed: int) -> None:
    """Raises ValueError if there are not two classes, or one has fewer images among `rows` than it needs."""
    if len(source.classes) < 2:
        raise ValueError(f"{source.name} has one class, {source.classes[0]!r}: there is nothing to tell apart")
    counts = np.bincount(source.labels[rows], minlength=len(source.classes))
    few = np.flatnonzero(counts < needed)
    if len(few):
        into = {3: "train, validation and test", 2: "two splits", 1: "train"}[needed]
        raise ValueError(
            f"{source.name}: class {source.classes[few[0]]!r} has {images(counts[few[0]])}, needs {needed} for {into}"
            f"{more(len(few) - 1)}: add images, or remove the class"
        )


def images(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"


def more(n: int) -> str:
    return f" (and {n} more of its classes too)" if n else ""


def stratified(source: ExampleSource, rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows in two parts, the second with `share` of them and at least one of every class."""
    from sklearn.model_selection import train_test_split  # a second of import that a reader of images need not pay

    labels = source.labels[rows]
    with suppress(ValueError):  # more classes than images in the second part
        large, small = train_test_split(rows, test_size=share, stratify=labels, random_state=seed)
        if len(np.setdiff1d(labels, source.labels[small])) == 0:
            return np.sort(large), np.sort(small)
    chosen = one_at_least(labels, share, seed)
    return rows[~chosen], rows[chosen]


def in_groups(source: ExampleSource, rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As `stratified`, but no group is in both parts: the one of several draws that is closest to what is asked for.

    Raises ValueError where every draw leaves a class out of one part.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    assert source.groups is not None
    groups, labels = source.groups[rows], source.labels[rows]
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    of_each = np.bincount(pairs[0], minlength=len(source.classes))  # groups
    few = int(np.argmin(of_each))
    parts = max(2, min(round(1 / share), len(np.unique(groups))))
    best: tuple[float, np.ndarray] | None = None
    if of_each[few] > 1:
        folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class with fewer images than folds: looked at below
            drawn = [small for _, small in folds.split(rows, labels, groups)]
        for small in drawn:
            inside = np.isin(np.arange(len(rows)), small)
            if all(len(np.unique(labels[mask])) == len(source.classes) for mask in (inside, ~inside)):
                off = abs(inside.mean() - share)
                if best is None or off < best[0]:
                    best = off, inside
    if best is None:
        raise ValueError(
            f"{source.name}: no split keeps groups whole and has every class in each part: class "
            f"{source.classes[few]!r} is in {of_each[few]} groups: take smaller groups by --data-option "
            "group=, or remove the class"
        )
    return rows[~best[1]], rows[best[1]]


def check_groups(source: ExampleSource, splits: dict[str, np.ndarray]) -> None:
    """Raises ValueError for a group in two splits that the dataset comes with."""
    assert source.groups is not None
    several = across(source.groups, splits)
    if several:
        of_first = np.flatnonzero(source.groups == several[0])
        names = [
            str(source.images.name(int(next(row for row in of_first if row in rows))))
            for rows in splits.values()
            if np.isin(of_first, rows).any()
        ]
        raise ValueError(
            f"{source.name}: {len(several)} groups are in more than one of its splits, such as that of "
            f"{' and '.join(names)}: move each into one split"
        )


def one_at_least(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A mask with `share` of every class, rounded, but at least one image: scikit-learn may leave a small class out."""
    rank, counts = ranks_in_class(labels, seed)
    return rank < np.maximum(1, np.round(share * counts))


def ranks_in_class(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For every image its rank, from 0, in a random order of its class, and how many images the class has."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank, counts[labels]


def subset(
    splits: DatasetSplits, *, fraction: float | None = None, images_per_class: int | None = None, seed: int = 0
) -> DatasetSplits:
    """The same splits with a subset of train: stratified, and nested, so that a larger one holds every smaller one.

    Validation and test stay as they are. Raises ValueError if there is no such subset.
    """
    if fraction is None and images_per_class is None:
        return splits
    rank, counts = ranks_in_class(splits.source.labels[splits.train], seed)
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise ValueError(f"train-fraction must be above 0 and at most 1, got {fraction}")
        per_class = np.maximum(1, np.round(fraction * counts))
    else:
        assert images_per_class is not None
        least = int(counts.min())
        if not 1 <= images_per_class <= least:
            raise ValueError(
                f"images-per-class must be 1 to {least}, what the smallest class has, got {images_per_class}"
            )
        per_class = np.full(len(rank), images_per_class)
    return DatasetSplits(splits.source, splits.train, splits.val, splits.test, np.flatnonzero(rank < per_class))
