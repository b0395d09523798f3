"""Intervals and scores, against scipy and scikit-learn."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, t
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_recall_fscore_support

from study.statistics import accuracy_interval, confusion, most_confused, scores

CLASSES = ("ant", "bee", "cat", "dog")


def correct(*right_of_n: tuple[int, int]) -> np.ndarray:
    """A row a seed with that many right answers out of n."""
    return np.array([[i < right for i in range(n)] for right, n in right_of_n])


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions that are right two times of three."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 4, 300)
    return label, np.where(generator.random(300) < 0.66, label, generator.integers(0, 4, 300))


# Intervals


@pytest.mark.parametrize("right", [0, 1, 7, 50, 99, 100])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_with_one_seed_the_interval_is_wilsons(right: int, level: float) -> None:
    wilson = binomtest(right, 100).proportion_ci(level, method="wilson")
    assert accuracy_interval(correct((right, 100)), level=level) == pytest.approx((wilson.low, wilson.high))


def test_wilsons_interval_is_the_published_one() -> None:
    """81 of 263, two-sided 95 %: 0.2553 to 0.3662 (Newcombe 1998, table I)."""
    assert accuracy_interval(correct((81, 263))) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("right", [0, 3, 20, 37, 40])
def test_the_interval_of_errors_mirrors_that_of_successes(right: int) -> None:
    seen = correct((right, 40), (right, 40))
    low, high = accuracy_interval(seen)
    assert accuracy_interval(~seen) == pytest.approx((1 - high, 1 - low))


def test_the_interval_holds_the_mean_and_stays_within_0_and_1() -> None:
    for seen in (correct((0, 5)), correct((5, 5)), correct((0, 5), (5, 5)), correct((3, 9), (4, 9), (9, 9))):
        low, high = accuracy_interval(seen)
        assert 0 <= low <= seen.mean() <= high <= 1


def test_the_order_of_seeds_and_images_does_not_matter() -> None:
    seen = correct((30, 40), (34, 40), (29, 40))
    shuffled = np.random.default_rng(0).permuted(seen[::-1], axis=1)
    assert accuracy_interval(shuffled) == pytest.approx(accuracy_interval(seen))


def test_more_images_narrow_the_interval_and_more_confidence_widens_it() -> None:
    widths = [width(accuracy_interval(correct((8 * n, 10 * n)))) for n in (1, 10, 100)]
    assert all(few > many for few, many in pairwise(widths))
    levels = [width(accuracy_interval(correct((80, 100), (83, 100)), level=level)) for level in (0.8, 0.95, 0.99)]
    assert all(narrow < wide for narrow, wide in pairwise(levels))


def test_seeds_that_agree_add_nothing_to_the_images_and_seeds_that_differ_widen_the_interval() -> None:
    widths = [width(accuracy_interval(correct((80 - d, 100), (80, 100), (80 + d, 100)))) for d in (0, 2, 5, 10)]
    assert widths[0] == pytest.approx(width(accuracy_interval(correct((80, 100)))))
    assert all(agree < differ for agree, differ in pairwise(widths))


def test_more_seeds_with_the_same_spread_narrow_the_interval() -> None:
    few = correct((78, 100), (82, 100))
    assert width(accuracy_interval(np.tile(few, (4, 1)))) < width(accuracy_interval(few))


def test_images_and_seeds_are_joined_in_squares() -> None:
    seen = correct((150, 200), (160, 200), (158, 200))
    accuracies = np.array([0.75, 0.8, 0.79])
    wilson = binomtest(156, 200).proportion_ci(0.95, method="wilson")
    seeds = t.ppf(0.975, 2) * accuracies.std(ddof=1) / sqrt(3)
    wanted = (0.78 - sqrt((0.78 - wilson.low) ** 2 + seeds**2), 0.78 + sqrt((wilson.high - 0.78) ** 2 + seeds**2))
    assert accuracy_interval(seen) == pytest.approx(wanted)


def test_the_interval_of_one_seed_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    intervals = [accuracy_interval(generator.random((1, 150)) < 0.85) for _ in range(1000)]
    assert np.mean([low <= 0.85 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


def test_the_interval_over_seeds_covers_a_recipe_whose_seeds_differ() -> None:
    """Wilson's interval of one seed would cover the recipe's mean in 85 % of studies here."""
    generator = np.random.default_rng(0)
    covered, alone = [], []
    for _ in range(1000):
        accuracies = np.clip(generator.normal(0.85, 0.03, 3), 0, 1)
        seen = generator.random((3, 400)) < accuracies[:, None]
        low, high = accuracy_interval(seen)
        covered.append(low <= 0.85 <= high)
        low, high = accuracy_interval(seen[:1])
        alone.append(low <= 0.85 <= high)
    assert np.mean(covered) > 0.94
    assert np.mean(alone) < 0.85


# Scores


def test_scores_are_scikit_learns(answers: tuple[np.ndarray, np.ndarray]) -> None:
    label, predicted = answers
    seen = scores(label, predicted, CLASSES)
    assert seen["accuracy"] == pytest.approx(accuracy_score(label, predicted))
    assert seen["macro_f1"] == pytest.approx(f1_score(label, predicted, average="macro"))
    assert seen["mean_class_accuracy"] == pytest.approx(balanced_accuracy_score(label, predicted))
    precision, recall, f1, support = precision_recall_fscore_support(label, predicted)
    assert [row["class"] for row in seen["per_class"]] == list(CLASSES)
    for i, row in enumerate(seen["per_class"]):
        wanted = (precision[i], recall[i], f1[i], support[i])
        assert (row["precision"], row["recall"], row["f1-score"], row["support"]) == pytest.approx(wanted)


def test_a_class_without_test_images_has_a_row_and_counts_in_no_mean() -> None:
    label, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    seen = scores(label, predicted, CLASSES)
    assert [row["support"] for row in seen["per_class"]] == [2, 2, 0, 0]
    assert seen["mean_class_accuracy"] == pytest.approx(0.75)
    assert seen["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)


def test_a_class_that_is_never_predicted_scores_zero_without_a_warning() -> None:
    seen = scores(np.array([0, 1, 2, 3]), np.array([0, 0, 0, 0]), CLASSES)
    assert [row["precision"] for row in seen["per_class"]] == [0.25, 0.0, 0.0, 0.0]
    assert seen["accuracy"] == pytest.approx(0.25)


def test_classes_may_be_named_like_the_rows_of_a_report() -> None:
    names = ("accuracy", "macro avg", "weighted avg")
    seen = scores(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]), names)
    assert [row["class"] for row in seen["per_class"]] == list(names)
    assert [row["support"] for row in seen["per_class"]] == [1, 1, 2]


def test_the_confusion_matrix_has_the_true_class_by_row() -> None:
    label, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    assert confusion(label, predicted, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_the_most_confused_pairs_come_first_and_right_answers_are_none() -> None:
    matrix = np.array([[90, 3, 0], [7, 80, 1], [0, 5, 70]])
    wanted = [(1, 0, 7), (2, 1, 5), (0, 1, 3), (1, 2, 1)]
    assert most_confused(matrix, 2) == wanted[:2]
    assert most_confused(matrix, 10) == wanted
    assert most_confused(np.diag([3, 4]), 10) == []
    assert matrix.trace() == 240  # it is left as it was
