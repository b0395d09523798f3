"""Models against each other, paired by test image.

Two models answer the same images, each from seeds of its own. So what an image adds to both cancels, and what seeds add
does not. The interval of a difference and its test are one construction, that of `intervals`: p < 0.05 where the 95 %
interval leaves out 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from study.statistics.intervals import Interval, Variance, image_variances, images_alone, seed_variances

SIGNIFICANCE = 0.05
Key = TypeVar("Key")


@dataclass(frozen=True)
class Difference:
    """The accuracy of one model less that of another.

    Attributes:
        interval: 95 %, for this pair alone.
        p: of the hypothesis that the two recipes are equally accurate.
        p_adjusted: Holm's, over all pairs that were compared.
        mcnemar_p: exact McNemar test of one run against another, median over all pairs of seeds. It asks whether two
            trained networks differ, not whether two recipes do: seeds may differ too. Nothing is ranked by it.
        probability_better: share of pairs of seeds in which the first is more accurate, ties counting half
            (Bouthillier et al. 2021).
        covers_seeds: whether interval and p count the seeds. They cannot where a model has one seed only.
    """

    mean: float
    interval: Interval
    p: float
    p_adjusted: float
    mcnemar_p: float
    probability_better: float
    covers_seeds: bool

    @property
    def established(self) -> bool:
        """Whether one recipe is better than the other: never with a single seed."""
        return self.covers_seeds and self.p_adjusted < SIGNIFICANCE


def differences(correct: Mapping[str, np.ndarray]) -> dict[tuple[str, str], Difference]:
    """Every pair of models, in the order given.

    Args:
        correct: by model, (seeds, images) bool; the same images in the same order, as many seeds as each has.

    Raises:
        ValueError: models were tested on different numbers of images.
    """
    images = {name: values.shape[-1] for name, values in correct.items()}
    if len(set(images.values())) > 1:
        each = ", ".join(f"{name} has {n}" for name, n in images.items())
        raise ValueError(f"models are compared on the same test images, but {each}: compare studies of one test set")
    return adjusted({(a, b): difference(correct[a], correct[b]) for a, b in combinations(correct, 2)})


def adjusted(pairs: Mapping[Key, Difference]) -> dict[Key, Difference]:
    """The same differences, each p adjusted by Holm over all of them."""
    from statsmodels.stats.multitest import multipletests

    if not pairs:
        return {}
    ps = multipletests([pair.p for pair in pairs.values()], method="holm")[1]
    return {key: replace(pair, p_adjusted=float(p)) for (key, pair), p in zip(pairs.items(), ps, strict=True)}


def difference(a: np.ndarray, b: np.ndarray, *, level: float = 0.95) -> Difference:
    """One pair, (seeds, images) bool each; p is not adjusted."""
    low, high = difference_bounds(a, b, level=level)
    accuracies_a, accuracies_b = a.mean(axis=1), b.mean(axis=1)
    ahead = accuracies_a[:, None] - accuracies_b
    p = difference_p(a, b)
    return Difference(
        mean=float(accuracies_a.mean() - accuracies_b.mean()),
        interval=Interval(float(low), float(high)),
        p=p,
        p_adjusted=p,
        mcnemar_p=mcnemar_p(a, b),
        probability_better=float(((ahead > 0) + 0.5 * (ahead == 0)).mean()),
        covers_seeds=min(len(a), len(b)) > 1,
    )


def difference_variance(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Variance]:
    """The mean difference and its variance, (..., seeds, images) bool each.

    Two imaginary images are added, one that only the first model gets right and one that only the second does (Bonett
    & Price 2012), so that a few images on which models differ, or none, are no proof. With several seeds they weigh as
    much less as the seeds' mean varies less. One seed of either model leaves the seeds out.
    """
    seeds_a, seeds_b, images = a.shape[-2], b.shape[-2], a.shape[-1] + 2
    each = a.mean(axis=-2) - b.mean(axis=-2)
    mean = each.sum(axis=-1) / images
    imaginary = 1 / seeds_a + 1 / seeds_b
    over_images = (((each**2).sum(axis=-1) + imaginary) / images - mean**2) / images
    if min(seeds_a, seeds_b) == 1:
        return mean, Variance(over_images, np.zeros_like(mean), np.ones_like(mean))
    (mean_a, one_a), (mean_b, one_b) = image_variances(a), image_variances(b)
    between_a, left_a = seed_variances(a.mean(axis=-1), mean_a, one_a)
    between_b, left_b = seed_variances(b.mean(axis=-1), mean_b, one_b)
    between = between_a + between_b
    alone = images_alone(over_images - left_a - left_b, between, one_a / seeds_a + one_b / seeds_b)
    # Welch & Satterthwaite's degrees of freedom of a sum of two variances
    uncertain = between_a**2 / (seeds_a - 1) + between_b**2 / (seeds_b - 1)
    df = np.divide(between**2, uncertain, out=np.ones_like(mean), where=uncertain > 0)
    return mean, Variance(alone, between, df)


def difference_bounds(a: np.ndarray, b: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the difference for many studies at once: (..., seeds, images)."""
    mean, variance = difference_variance(a, b)
    half = variance.critical((1 - level) / 2) * np.sqrt(variance.total)
    return np.maximum(mean - half, -1), np.minimum(mean + half, 1)


def difference_p(a: np.ndarray, b: np.ndarray) -> float:
    """The p at which the interval of level 1 - p ends at 0."""
    from scipy.optimize import brentq

    mean, variance = difference_variance(a, b)
    statistic = float(abs(mean) / np.sqrt(variance.total))
    smallest = 1e-9
    if variance.critical(smallest / 2) <= statistic:
        return smallest
    return float(brentq(lambda p: float(variance.critical(p / 2)) - statistic, smallest, 1, xtol=1e-9))


def mcnemar_p(a: np.ndarray, b: np.ndarray) -> float:
    """Median, over pairs of seeds, of the exact McNemar test's p."""
    from scipy.stats import binom

    only_a, only_b = (x.astype(int) @ (~y).T.astype(int) for x, y in ((a, b), (b, a)))
    only_b = only_b.T
    each = 2 * binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5)
    return float(np.median(np.minimum(each, 1)))


def ranks(compared: Mapping[tuple[str, str], Difference]) -> dict[str, int]:
    """1 + the number of models that are established to be better: what is not established shares a rank."""
    worse = {name: 0 for pair in compared for name in pair}
    for (first, second), difference in compared.items():
        if difference.established:
            worse[second if difference.mean > 0 else first] += 1
    return {name: 1 + better for name, better in worse.items()}
