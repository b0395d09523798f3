"""Intervals, scores and comparisons, against the libraries, published figures and simulated truth."""

import re
from dataclasses import replace
from itertools import combinations, pairwise
from math import sqrt

import numpy as np
import pytest
from scipy.stats import binomtest, friedmanchisquare, mannwhitneyu, norm, t
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_recall_fscore_support
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from study.statistics import (
    Difference,
    Interval,
    accuracy_interval,
    confused,
    confusion,
    contrast,
    critical_difference,
    differences,
    expected_best,
    letters,
    most_confused,
    ranks,
    score_intervals,
    scores,
)
from study.statistics.comparison import difference

CLASSES = ("ant", "bee", "cat", "dog")


def correct(*right_of_n: tuple[int, int]) -> np.ndarray:
    """a row per seed with that many right answers out of n."""
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
    shuffled = np.random.default_rng(0).permutation(seen[::-1], axis=1)
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


def test_seeds_that_are_right_on_other_images_are_worth_more_than_seeds_that_agree() -> None:
    agree = np.tile(np.arange(200) < 160, (10, 1))
    differ = np.stack([np.roll(row, 20 * i) for i, row in enumerate(agree)])
    assert width(accuracy_interval(differ)) < 0.5 * width(accuracy_interval(agree))


def test_with_very_many_images_the_interval_is_students_over_seeds() -> None:
    seen = correct((75_000, 100_000), (80_000, 100_000), (79_000, 100_000))
    accuracies = np.array([0.75, 0.8, 0.79])
    half = t.ppf(0.975, 2) * accuracies.std(ddof=1) / sqrt(3)
    assert width(accuracy_interval(seen)) / 2 == pytest.approx(half, rel=0.06)


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
    assert np.mean(covered) == pytest.approx(0.96, abs=0.025)
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
    pairs = np.array([(0, 0, 90), (0, 1, 3), (1, 0, 7), (1, 1, 80), (1, 2, 1), (2, 1, 5), (2, 2, 70)])
    wanted = [(1, 0, 7), (2, 1, 5), (0, 1, 3), (1, 2, 1)]
    assert most_confused(pairs, 2) == wanted[:2]
    assert most_confused(pairs, 10) == wanted
    assert most_confused(pairs[[0, 3]], 10) == []


def test_the_pairs_that_occur_are_the_confusion_matrix_without_its_zeros() -> None:
    label, predicted = np.random.default_rng(0).integers(0, 9, (2, 60))
    matrix = np.zeros((9, 9), int)
    for true, taken_for, count in confused(label, predicted):
        matrix[true, taken_for] = count
    assert np.array_equal(matrix, confusion(label, predicted, 9))
    assert (confused(label, predicted)[:, 2] > 0).all()


def test_the_intervals_of_scores_hold_the_scores_and_those_of_accuracy_are_wilsons(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    label, predicted = answers
    found, seen = score_intervals(label, predicted[None], 4), scores(label, predicted, CLASSES)
    assert set(found) == {"accuracy", "macro_f1", "mean_class_accuracy"}
    assert found["accuracy"] == accuracy_interval((label == predicted)[None])
    for name, interval in found.items():
        assert interval.low < seen[name] < interval.high
    assert score_intervals(label, predicted[None], 4) == found


def test_where_classes_are_alike_the_mean_over_classes_is_as_sure_as_the_accuracy() -> None:
    label = np.repeat(np.arange(4), 100)
    predicted = np.where(np.arange(400) % 10 < 8, label, (label + 1) % 4)
    found = score_intervals(label, predicted[None], 4, replicates=4000)
    assert width(found["mean_class_accuracy"]) == pytest.approx(width(found["accuracy"]), rel=0.05)


def test_a_rare_class_makes_the_mean_over_classes_less_sure_than_the_accuracy() -> None:
    label = np.repeat([0, 1], [390, 10])
    predicted = np.where(np.arange(400) % 10 < 8, label, 1 - label)
    found = score_intervals(label, predicted[None], 2)
    assert width(found["mean_class_accuracy"]) > 2 * width(found["accuracy"])


def test_a_class_without_test_images_changes_no_interval() -> None:
    label, predicted = np.repeat([0, 1], 50), np.repeat([0, 1, 0], [40, 50, 10])
    assert score_intervals(label, predicted[None], 3) == score_intervals(label, predicted[None], 2)


@pytest.mark.parametrize("right", [0, 1])
def test_all_right_and_all_wrong_have_an_interval_that_is_not_a_point(right: int) -> None:
    label = np.repeat([0, 1], 50)
    for low, high in score_intervals(label, np.tile(label if right else 1 - label, (3, 1)), 2).values():
        assert low <= right <= high
        assert 0.02 < high - low < 0.08


# Differences


def models(
    *accuracies: float, seeds: int = 3, images: int = 300, spread: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """By name, (seeds, images) bool: models that find the same images hard, and whose seeds vary."""
    generator = np.random.default_rng(seed)
    hard = generator.normal(size=images)
    found = {}
    for name, accuracy in zip("abcdefgh", accuracies, strict=False):
        of_seed = (spread / norm.pdf(norm.ppf(accuracy))) ** 2
        known = sqrt(0.7 * (1 - of_seed)) * hard + sqrt(of_seed) * generator.normal(size=(seeds, 1))
        left = sqrt(0.3 * (1 - of_seed)) * generator.normal(size=(seeds, images))
        found[name] = norm.ppf(accuracy) + known + left > 0
    return found


def test_with_one_seed_the_difference_is_bonett_and_prices() -> None:
    """40 images on which only the first is right, 16 only the second, of 200."""
    a, b = np.array([[True] * 160 + [False] * 40]), np.array([[True] * 120 + [False] * 40 + [True] * 16 + [False] * 24])
    found = difference(a, b)
    one, other = 41 / 202, 17 / 202
    half = norm.ppf(0.975) * sqrt((one + other - (one - other) ** 2) / 202)
    assert found.mean == pytest.approx(0.12)
    assert found.interval == pytest.approx((one - other - half, one - other + half))
    assert found.p == pytest.approx(2 * norm.sf((one - other) / (half / norm.ppf(0.975))), abs=1e-9)
    assert found.mcnemar_p == pytest.approx(binomtest(16, 56).pvalue)


def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0() -> None:
    different = []
    for seed in range(60):
        seen = models(0.8, 0.84, seeds=2 + seed % 4, spread=0.01, seed=seed)
        found = difference(seen["a"], seen["b"])
        different.append(found.p < 0.05)
        assert different[-1] == (not found.interval.low <= 0 <= found.interval.high)
    assert 10 < sum(different) < 50


def test_a_difference_turned_round_is_its_negative() -> None:
    seen = models(0.8, 0.9, spread=0.02)
    there, back = difference(seen["a"], seen["b"]), difference(seen["b"], seen["a"][:2])
    again = difference(seen["a"][:2], seen["b"])
    assert back.interval == pytest.approx((-again.interval.high, -again.interval.low))
    assert back.p == pytest.approx(again.p)
    assert back.probability_better == pytest.approx(1 - again.probability_better)
    assert there.mean < 0


def test_pairing_narrows_the_interval_where_models_find_the_same_images_hard() -> None:
    seen = models(0.8, 0.84)
    shuffled = np.random.default_rng(0).permutation(seen["b"], axis=1)
    assert width(difference(seen["a"], seen["b"]).interval) < 0.85 * width(difference(seen["a"], shuffled).interval)


def test_identical_models_are_not_different() -> None:
    seen = models(0.9)["a"]
    for found in (difference(seen, seen), difference(seen[:1], seen[:1]), difference(seen | True, seen | True)):
        assert (found.mean, found.p, found.p_adjusted) == pytest.approx((0, 1, 1))
        assert found.mcnemar_p > 0.5
        assert found.probability_better == 0.5
        assert found.interval.low < 0 < found.interval.high
        assert not found.different


def test_all_right_against_all_wrong_is_different() -> None:
    right = np.ones((3, 100), dtype=bool)
    found = difference(right, ~right)
    assert found.mean == 1
    assert 0.9 < found.interval.low < found.interval.high == 1
    assert found.p < 1e-6
    assert found.different


def test_models_may_have_different_numbers_of_seeds() -> None:
    seen = models(0.75, 0.9, seeds=5, spread=0.01)
    found = difference(seen["a"][:2], seen["b"])
    assert found.covers_seeds
    assert found.mean == pytest.approx(seen["a"][:2].mean() - seen["b"].mean())
    assert found.interval.low < found.mean < found.interval.high < 0


def test_with_a_single_seed_nothing_is_different_however_small_p_is() -> None:
    seen = models(0.6, 0.95)
    found = difference(seen["a"][:1], seen["b"])
    assert found.p_adjusted < 1e-6
    assert not found.covers_seeds
    assert not found.different


def test_the_probability_of_being_better_is_mann_and_whitneys() -> None:
    seen = models(0.85, 0.86, seeds=5, spread=0.02)
    a, b = seen["a"], seen["b"][:4]
    wanted = mannwhitneyu(a.mean(axis=1), b.mean(axis=1)).statistic / 20
    assert difference(a, b).probability_better == pytest.approx(wanted)


def test_mcnemar_is_the_median_over_pairs_of_seeds() -> None:
    seen = models(0.8, 0.87, seeds=3, spread=0.02)
    a, b = seen["a"], seen["b"]
    tables = [[[(x & y).sum(), (x & ~y).sum()], [(~x & y).sum(), (~x & ~y).sum()]] for x in a for y in b]
    each = [mcnemar(table, exact=True).pvalue for table in tables]
    assert difference(a, b).mcnemar_p == pytest.approx(sorted(each)[4])


def test_holms_adjustment_is_over_all_pairs() -> None:
    found = differences(models(0.7, 0.78, 0.8, 0.9, spread=0.01))
    assert list(found) == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    wanted = multipletests([one.p for one in found.values()], method="holm")[1]
    assert [one.p_adjusted for one in found.values()] == pytest.approx(wanted)
    assert any(one.p_adjusted > one.p for one in found.values())


def test_one_model_has_no_difference_and_other_images_cannot_be_compared() -> None:
    seen = models(0.8)["a"]
    assert differences({"a": seen}) == {}
    with pytest.raises(ValueError, match="resnet has 300, vit has 299"):
        differences({"resnet": seen, "vit": seen[:, 1:]})


# Gains


def test_a_contrast_of_two_models_is_their_difference() -> None:
    seen = models(0.8, 0.85, seeds=4, spread=0.02)
    one, same = difference(seen["b"], seen["a"]), contrast([(1, seen["b"]), (-1, seen["a"])])
    assert (one.mean, one.p) == pytest.approx((same.mean, same.p))
    assert one.interval == pytest.approx(same.interval)


def test_what_one_model_gains_more_than_another_is_the_difference_of_their_gains_and_less_certain_than_either() -> None:
    seen = models(0.6, 0.7, 0.65, 0.9, seeds=4, spread=0.01)
    gain, other = ([(1, seen[after]), (-1, seen[before])] for before, after in (("a", "b"), ("c", "d")))
    more = contrast([*other, *((-weight, correct) for weight, correct in gain)])
    assert more.mean == pytest.approx(contrast(other).mean - contrast(gain).mean)
    width = {name: one.interval.high - one.interval.low for name, one in (("gain", contrast(gain)), ("more", more))}
    assert width["more"] > width["gain"]
    assert more.different
    assert not contrast([(1, seen["a"][:1]), (-1, seen["d"][:1])]).different


def test_equal_gains_are_told_apart_in_1_study_of_20() -> None:
    found = []
    for seed in range(150):
        seen = models(0.7, 0.8, 0.8, 0.9, seeds=3, images=500, spread=0.02, seed=seed)
        found.append(contrast([(1, seen["b"]), (-1, seen["a"]), (-1, seen["d"]), (1, seen["c"])]).p < 0.05)
    assert np.mean(found) < 0.08


# Ranks


def decided(mean: float, different: bool) -> Difference:
    return Difference(mean, Interval(-1, 1), 0.01, 0.01 if different else 0.2, True, 0.5, 0.5)


def test_a_rank_counts_the_better_models_and_equal_ranks_may_differ() -> None:
    pairs = {("a", "b"): decided(-0.01, False), ("a", "c"): decided(0.1, True), ("b", "c"): decided(0.11, True)}
    assert ranks(pairs) == {"a": 1, "b": 1, "c": 3}


def test_a_second_rank_may_not_be_distinguishable_from_a_first() -> None:
    """b is not found to differ from either neighbour, so its rank is 1; c is worse than a alone."""
    pairs = {("a", "b"): decided(0.02, False), ("c", "a"): decided(-0.04, True), ("b", "c"): decided(0.02, False)}
    assert ranks(pairs) == {"a": 1, "b": 1, "c": 2}


def test_a_difference_is_established_only_over_several_repeats() -> None:
    one = decided(0.1, True)
    assert one.different
    assert not one.established
    assert replace(one, repeats=2).established


def test_models_share_a_letter_exactly_where_they_are_not_told_apart() -> None:
    generator = np.random.default_rng(0)
    names = [f"m{i}" for i in range(9)]
    for _ in range(50):
        different = [pair for pair in combinations(names, 2) if generator.random() < 0.5]
        found = {name: set(re.findall(r"[a-z]\d*", word)) for name, word in letters(names, different).items()}
        assert all(found.values())
        for a, b in combinations(names, 2):
            assert bool(found[a] & found[b]) == ((a, b) not in different)


def test_letters_of_a_chain_overlap() -> None:
    """a is better than c alone, b is told apart from neither."""
    assert letters(["a", "b", "c"], [("a", "c")]) == {"a": "a", "b": "ab", "c": "b"}
    assert letters(["a", "b"], []) == {"a": "a", "b": "a"}


def test_a_single_seed_ranks_nobody() -> None:
    pairs = {("a", "b"): replace(decided(0.3, True), covers_seeds=False)}
    assert ranks(pairs) == {"a": 1, "b": 1}


# Calibration: benchmarks/calibration.py has the whole grid


def test_equal_models_whose_seeds_vary_are_told_apart_in_1_study_of_20_and_by_mcnemar_in_many() -> None:
    """McNemar's test asks another question: of one run against another it is right to be sure."""
    found = []
    for seed in range(150):
        seen = models(0.85, 0.85, seeds=3, images=1000, spread=0.02, seed=seed)
        found.append(difference(seen["a"], seen["b"]))
    assert np.mean([one.p < 0.05 for one in found]) < 0.07
    assert np.mean([one.mcnemar_p < 0.05 for one in found]) > 0.2


def test_the_intervals_over_classes_cover_the_truth_where_seeds_vary() -> None:
    generator, covered = np.random.default_rng(0), []
    for seed in range(150):
        right = models(0.85, images=400, spread=0.02, seed=seed)["a"]
        label = generator.integers(4, size=400)
        predicted = np.where(right, label, (label + generator.integers(1, 4, size=right.shape)) % 4)
        found = score_intervals(label, predicted, 4, replicates=100)
        covered.append([low <= 0.85 <= high for low, high in (found["macro_f1"], found["mean_class_accuracy"])])
    assert np.all(np.mean(covered, axis=0) > 0.92)


# Trials


def test_the_expected_best_of_n_trials_is_the_mean_over_all_draws() -> None:
    found = expected_best(np.array([0.5, 0.9, 0.7]), 30.0)
    assert found.trials.tolist() == [1, 2, 3]
    assert found.device_seconds == pytest.approx([10, 20, 30])
    pairs = [max(x, y) for x in (0.5, 0.7, 0.9) for y in (0.5, 0.7, 0.9)]
    assert found.accuracy[:2] == pytest.approx([0.7, np.mean(pairs)])


def test_the_expected_best_grows_with_the_budget_and_lies_in_its_interval() -> None:
    found = expected_best(np.random.default_rng(0).beta(8, 2, size=30), 900.0)
    assert np.all(np.diff(found.accuracy) > 0)
    assert np.all((found.low <= found.accuracy) & (found.accuracy <= found.high))
    assert found.interval(1).low < found.interval(30).low
    assert found.interval(30).high == pytest.approx(found.accuracy[-1], abs=0.02)


def test_one_trial_has_an_expected_best_and_none_has_not() -> None:
    assert expected_best(np.array([0.8]), 5.0).interval(1) == pytest.approx((0.8, 0.8))
    with pytest.raises(ValueError, match="no trial has a validation accuracy"):
        expected_best(np.array([]), 5.0)


# Datasets


def test_the_critical_difference_is_the_published_one() -> None:
    """Four classifiers on 14 datasets: 1.25 (Demšar 2006, section 3.2.3, from his table 5: q 2.569)."""
    generator = np.random.default_rng(0)
    table = {name: generator.random(14) for name in "abcd"}
    found = critical_difference(table)
    assert found.distance == pytest.approx(1.25, abs=0.005)
    assert found.friedman_p == pytest.approx(friedmanchisquare(*table.values()).pvalue)
    assert sum(found.mean_ranks.values()) == pytest.approx(1 + 2 + 3 + 4)


def test_the_best_model_has_the_lowest_mean_rank() -> None:
    base = np.linspace(0.5, 0.9, 8)
    found = critical_difference({"good": base + 0.05, "middle": base, "bad": base - 0.05})
    assert found.mean_ranks == {"good": 1, "middle": 2, "bad": 3}
    assert found.different("good", "bad")
    assert not found.different("good", "middle")


def test_models_that_are_equal_everywhere_are_not_told_apart() -> None:
    found = critical_difference(dict.fromkeys("abc", np.full(6, 0.8)))
    assert found.friedman_p == 1
    assert not found.different("a", "c")


def test_fewer_than_five_data_sets_have_no_critical_difference_and_are_told_why() -> None:
    with pytest.raises(ValueError, match="needs at least 5 datasets, there are 4"):
        critical_difference(dict.fromkeys("abc", np.linspace(0, 1, 4)))
    with pytest.raises(ValueError, match="at least 3 models, got 2"):
        critical_difference(dict.fromkeys("ab", np.linspace(0, 1, 5)))
