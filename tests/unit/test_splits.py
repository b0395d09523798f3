"""Splits that a dataset comes with or we draw, and subsets of train: stratified, nested, by a seed."""

from itertools import pairwise

import numpy as np
import pytest

from study.data.source import Arrays, ExampleSource
from study.data.splits import DatasetSplits, split, subset

NAMES = ("train", "val", "test")


def source_of(
    counts: list[int], test_rows: np.ndarray | None = None, val_rows: np.ndarray | None = None, seed: int = 0
) -> ExampleSource:
    """So many images of each class, in any order."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    classes = tuple(f"class {n}" for n in range(len(counts)))
    return ExampleSource(
        "drawn", classes, labels, Arrays(np.zeros((len(labels), 1, 1), np.uint8)), "x", test_rows, val_rows
    )


def per_class(splits: DatasetSplits) -> np.ndarray:
    """Images of each class that are trained on."""
    assert splits.chosen is not None
    labels = splits.source.labels[splits.train[splits.chosen]]
    return np.bincount(labels, minlength=len(splits.source.classes))


COUNTS = [100, 40, 17, 10]
FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture
def splits() -> DatasetSplits:
    return split(source_of(COUNTS))


def test_a_larger_subset_of_train_holds_every_smaller_one(splits: DatasetSplits) -> None:
    subsets = [subset(splits, fraction=fraction, seed=3).chosen for fraction in FRACTIONS]
    for small, large in pairwise(subsets):
        assert small is not None
        assert large is not None
        assert set(small.tolist()) <= set(large.tolist())
    sets = [subset(splits, images_per_class=n, seed=3).chosen for n in range(1, 7)]
    for few, more in pairwise(sets):
        assert few is not None
        assert more is not None
        assert set(few.tolist()) < set(more.tolist())


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_fraction_of_train_is_that_of_every_class_and_at_least_one_image(
    splits: DatasetSplits, fraction: float
) -> None:
    whole = np.bincount(splits.source.labels[splits.train])
    assert per_class(subset(splits, fraction=fraction)).tolist() == np.maximum(1, np.round(whole * fraction)).tolist()


@pytest.mark.parametrize("n", [1, 4, 6])
def test_so_many_images_per_class_are_just_as_many(splits: DatasetSplits, n: int) -> None:
    chosen = subset(splits, images_per_class=n)
    assert per_class(chosen).tolist() == [n] * 4
    assert chosen.sizes() == {**splits.sizes(), "train": 4 * n}


def test_a_seed_chooses_the_same_images_again_and_another_seed_others(splits: DatasetSplits) -> None:
    first, again, other = (subset(splits, images_per_class=5, seed=seed).chosen for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_subset_of_train_leaves_validation_and_test_alone_and_is_another_study(splits: DatasetSplits) -> None:
    chosen = subset(splits, fraction=0.5)
    for name in NAMES:
        assert np.array_equal(chosen.rows(name), splits.rows(name))
    assert len({splits.fingerprint, chosen.fingerprint, subset(splits, fraction=0.25).fingerprint}) == 3
    before, after = splits.digests(), chosen.digests()
    assert all(before[name].content == after[name].content for name in NAMES)  # so cached activations are shared
    assert subset(splits) is splits


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fraction": 0.0}, "train-fraction must be above 0 and at most 1, got 0"),
        ({"fraction": -0.5}, "got -0.5"),
        ({"fraction": 1.01}, "got 1.01"),
        ({"fraction": float("nan")}, "got nan"),
        ({"images_per_class": 0}, "images-per-class must be 1 to 6, what the smallest class has, got 0"),
        ({"images_per_class": 7}, "got 7"),
    ],
)
def test_a_subset_that_there_is_not_is_refused(splits: DatasetSplits, options: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        subset(splits, **options)  # type: ignore[arg-type]


def test_splits_that_a_dataset_comes_with_are_kept() -> None:
    rows = np.random.default_rng(0).permutation(167)
    test, val = rows[:30], rows[30:50]
    both = split(source_of(COUNTS, test, val))
    assert np.array_equal(both.test, np.sort(test))
    assert np.array_equal(both.val, np.sort(val))
    assert np.array_equal(both.train, np.sort(rows[50:]))
    only_val = split(source_of(COUNTS, val_rows=val))
    assert np.array_equal(only_val.val, np.sort(val))
    assert only_val.sizes() == {"train": 117, "val": 20, "test": 30}


@pytest.mark.parametrize("classes", [2, 300, 10_000])
def test_three_images_of_a_class_are_enough_for_one_in_each_split(classes: int) -> None:
    splits = split(source_of([3] * classes))
    for name in NAMES:
        assert np.bincount(splits.source.labels[splits.rows(name)], minlength=classes).min() >= 1
    assert sum(splits.sizes().values()) == 3 * classes


@pytest.mark.parametrize(("counts", "given"), [([50, 2], None), ([50, 0], None), ([50, 1], np.arange(5))])
def test_a_class_that_is_too_small_for_every_split_is_refused_by_name(
    counts: list[int], given: np.ndarray | None
) -> None:
    source = source_of(counts)
    order = np.argsort(source.labels, kind="stable")
    source = ExampleSource("x", source.classes, source.labels[order], source.images, "x", given)
    with pytest.raises(ValueError, match=r"class 'class 1' has [012] images?, needs [23]"):
        split(source)
