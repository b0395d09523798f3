"""Ridge regression in closed form, against scikit-learn's, and what the probe makes of it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge as SklearnsRidge
from sklearn.preprocessing import StandardScaler

from study.baselines.probe import concatenate, division, fitted
from study.baselines.ridge import PENALTIES, Ridge, ridge
from study.data import named
from study.data.splits import DatasetSplits, split, subset
from trainables.features import Features

CLASSES = 4


def images(n: int, width: int, *, apart: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around a centre for each class, float32 as models give them, on scales of their own; and labels."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(CLASSES, width))
    labels = np.arange(n) % CLASSES
    scales = np.geomspace(0.01, 100, width)
    return ((apart * centres[labels] + draw.normal(size=(n, width))) * scales + 3).astype(np.float32), labels


def sklearns(features: np.ndarray, labels: np.ndarray, others: np.ndarray, penalty: float) -> np.ndarray:
    scaler = StandardScaler().fit(features.astype(np.float64))
    model = SklearnsRidge(alpha=penalty * len(features), solver="svd")
    model.fit(scaler.transform(features.astype(np.float64)), np.eye(CLASSES)[labels])
    return model.predict(scaler.transform(others.astype(np.float64)))


@pytest.mark.parametrize(("n", "width"), [(200, 12), (60, 150), (80, 80)])
def test_every_penalty_is_scikit_learns_ridge(n: int, width: int) -> None:
    features, labels = images(n, width)
    others, _ = images(40, width, seed=1)
    ours = Ridge.of(features, labels, CLASSES).predict(others, PENALTIES)
    for penalty, values in zip(PENALTIES, ours, strict=True):
        np.testing.assert_allclose(values, sklearns(features, labels, others, penalty), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("n", "width"), [(200, 12), (60, 150)])
def test_the_dual_is_the_primal(n: int, width: int) -> None:
    features, labels = images(n, width)
    others, _ = images(40, width, seed=1)
    primal, dual = (Ridge.of(features, labels, CLASSES, dual=dual).predict(others, PENALTIES) for dual in (False, True))
    np.testing.assert_allclose(dual, primal, rtol=0, atol=1e-8)


def test_the_smaller_decomposition_is_taken() -> None:
    assert Ridge.of(*images(60, 150), CLASSES).eigenvalues.shape == (60,)
    assert Ridge.of(*images(150, 60), CLASSES).eigenvalues.shape == (60,)


def test_units_and_features_that_never_change_make_no_difference() -> None:
    features, labels = images(100, 8)
    others, _ = images(30, 8, seed=1)
    plain = Ridge.of(features, labels, CLASSES).predict(others, PENALTIES)
    more = [
        np.hstack([x * 1024, np.full((len(x), 1), 0.1, np.float32), np.zeros((len(x), 1))]) for x in (features, others)
    ]
    changed = Ridge.of(more[0], labels, CLASSES).predict(more[1], PENALTIES)
    np.testing.assert_allclose(changed, plain, rtol=0, atol=1e-8)


def test_classes_that_lie_apart_are_told_apart() -> None:
    features, labels = images(120, 20, apart=4)
    others, wanted = images(80, 20, apart=4, seed=1)
    seen = ridge(features, labels, others, classes=CLASSES, train=np.arange(80), val=np.arange(80, 120))
    assert seen.val_accuracy == 1
    assert (seen.predicted == wanted).all()
    assert ((seen.confidence > 1 / CLASSES) & (seen.confidence <= 1)).all()


def test_labels_without_a_pattern_are_not_learned() -> None:
    features, _ = images(400, 20, apart=0)
    labels = np.random.default_rng(0).integers(0, CLASSES, 400)
    seen = ridge(
        features[:300], labels[:300], features[300:], classes=CLASSES, train=np.arange(200), val=np.arange(200, 300)
    )
    assert abs((seen.predicted == labels[300:]).mean() - 1 / CLASSES) < 0.15


def test_the_penalty_is_chosen_on_validation_and_all_images_are_fitted_with_it() -> None:
    features, labels = images(90, 60, apart=0.4)
    others, _ = images(500, 60, apart=0.4, seed=1)
    train, val = np.arange(0, 90, 3), np.setdiff1d(np.arange(90), np.arange(0, 90, 3))
    seen = ridge(features, labels, others, classes=CLASSES, train=train, val=val)
    accuracies = [
        (sklearns(features[train], labels[train], features[val], p).argmax(axis=1) == labels[val]).mean()
        for p in PENALTIES
    ]
    assert max(accuracies) > min(accuracies)  # it matters here
    assert seen.val_accuracy == max(accuracies)
    assert seen.penalty == max(
        p for p, accuracy in zip(PENALTIES, accuracies, strict=True) if accuracy == max(accuracies)
    )
    whole = sklearns(features, labels, others, seen.penalty)
    np.testing.assert_array_equal(seen.predicted, whole.argmax(axis=1))


# Seeds


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return split(named.load("digits"))


def pixels(splits: DatasetSplits, name: str) -> Features:
    rows = splits.rows(name)
    digits = load_digits()
    return Features(digits.data[rows].astype(np.float32), digits.target[rows], rows)


def test_a_seed_divides_train_and_validation_anew_and_touches_no_test_image(splits: DatasetSplits) -> None:
    known = concatenate(pixels(splits, "train"), pixels(splits, "val"))
    assert (np.diff(known.index) > 0).all()
    np.testing.assert_array_equal(known.label, splits.source.labels[known.index])
    divisions = [division(splits, known, seed) for seed in (1, 2)]
    for train, val in divisions:
        assert (len(train), len(val)) == (splits.sizes()["train"], splits.sizes()["val"])
        assert sorted([*train, *val]) == list(range(len(known.index)))
        counts = np.bincount(known.label[val])
        assert counts.max() - counts.min() <= 2  # stratified
    assert set(divisions[0][1]) != set(divisions[1][1])
    assert not set(known.index) & set(splits.test)
    np.testing.assert_array_equal(division(splits, known, 1)[1], divisions[0][1])


def test_on_pixels_of_digits_it_reaches_what_linear_regression_is_known_to(splits: DatasetSplits) -> None:
    """scikit-learn's digits by ridge regression on pixels: 0.92 to 0.96 by the split."""
    known, test = concatenate(pixels(splits, "train"), pixels(splits, "val")), pixels(splits, "test")
    train, val = division(splits, known, 1)
    seen = ridge(known.values, known.label, test.values, classes=10, train=train, val=val)
    assert 0.9 < (seen.predicted == test.label).mean() < 0.98


def test_a_part_of_train_is_all_that_the_tests_regression_is_fitted_to() -> None:
    splits = subset(split(named.load("digits")), images_per_class=5)
    assert splits.chosen is not None
    index = np.sort(np.concatenate([splits.train[splits.chosen], splits.val]))
    known = Features(np.empty((len(index), 0)), splits.source.labels[index], index)
    assert (known.index[fitted(splits, known)] == splits.train[splits.chosen]).all()


def test_what_is_not_fitted_is_not_predicted_from() -> None:
    features, labels = images(90, 10)
    others, _ = images(40, 10, seed=1)
    half = np.arange(0, 90, 2)
    seen = ridge(features, labels, others, classes=CLASSES, train=half, val=half + 1, fitted=half)
    [alone] = Ridge.of(features[half], labels[half], CLASSES).predict(others, [seen.penalty])
    assert (seen.predicted == alone.argmax(axis=1)).all()
