"""Equal within a margin, and the smallest difference that could have been found."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from study.statistics import Interval, adjusted, signed_rank, within
from study.statistics.comparison import Difference, difference
from study.statistics.intervals import Variance


def variance(sd: float, *, seeds: float = 0.0) -> Variance:
    return Variance(np.array((1 - seeds) * sd**2), np.array(seeds * sd**2), np.array(4.0))


@pytest.mark.parametrize(
    ("mean", "sd", "verdict"),
    [(0.0, 0.001, "equal"), (0.02, 0.002, "better"), (-0.02, 0.002, "worse"), (0.0, 0.01, "undecided")],
)
def test_a_difference_is_equal_better_worse_or_undecided(mean: float, sd: float, verdict: str) -> None:
    found = within(mean, variance(sd), 0.005)
    assert found.verdict == verdict
    assert found.worse + found.equal + found.better == pytest.approx(1)


def test_the_probabilities_are_those_of_the_normal_where_images_are_all_that_varies() -> None:
    found = within(0.002, variance(0.003), 0.005)
    assert found.better == pytest.approx(norm.sf(0.005, 0.002, 0.003), abs=1e-6)
    assert found.worse == pytest.approx(norm.cdf(-0.005, 0.002, 0.003), abs=1e-6)


def test_few_seeds_make_equality_less_sure() -> None:
    assert within(0.0, variance(0.002, seeds=1.0), 0.005).equal < within(0.0, variance(0.002), 0.005).equal


def test_where_the_rest_is_one_samples_spread_the_probabilities_are_students() -> None:
    values = np.array([0.01, 0.013, 0.004, 0.02])
    over = Variance(np.array(0.0), np.array(values.var(ddof=1) / 4), np.array(3.0))
    found = within(float(values.mean()), over, 0.005)
    assert found.better == pytest.approx(1 - ttest_1samp(values, 0.005, alternative="greater").pvalue)


def test_over_datasets_small_differences_are_equal_and_large_ones_are_not() -> None:
    assert signed_rank([0.001, -0.001, 0.002, 0.0, 0.001, -0.002, 0.001, 0.0], 0.005).verdict == "equal"
    assert signed_rank([0.02, 0.03, 0.01, 0.05, 0.02, 0.03, 0.04, 0.02], 0.005).verdict == "better"
    assert signed_rank([0.02, -0.03, 0.01, -0.05, 0.02, -0.03], 0.005).verdict == "undecided"


def one(mean: float, p: float, sd: float = 0.01) -> Difference:
    return Difference(mean, Interval(-1, 1), p, p, True, 0.5, 0.5, variance=variance(sd))


def test_what_could_be_found_follows_from_the_pairs_that_are_not_told_apart() -> None:
    alone = adjusted({"a": one(0.001, 0.9)})["a"].smallest
    assert alone == pytest.approx((norm.isf(0.025) + norm.isf(0.2)) * 0.01, rel=1e-4)
    two = adjusted({"a": one(0.001, 0.9), "b": one(0.1, 1e-6)})
    assert two["a"].smallest == pytest.approx(alone)  # the other was told apart before it
    three = adjusted({"a": one(0.001, 0.9), "b": one(0.002, 0.8), "c": one(0.1, 1e-6)})
    assert three["a"].smallest == pytest.approx((norm.isf(0.0125) + norm.isf(0.2)) * 0.01, rel=1e-4)
    assert {pair.among for pair in three.values()} == {3}


def test_with_one_seed_nothing_could_have_been_found() -> None:
    correct = np.random.default_rng(0).random((1, 200)) < 0.9
    assert adjusted({"a": difference(correct, ~correct)})["a"].smallest is None
