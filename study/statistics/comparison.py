"""Models against each other, paired by test image.

Models answer the same images, each from seeds of its own. So what an image adds to both cancels, and what seeds add
does not. The interval of a difference and its test are one construction, that of `intervals`: p < 0.05 where the 95 %
interval leaves out 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from study.statistics.intervals import Interval, Variance, image_variances, images_alone, seed_variances

SIGNIFICANCE = 0.05
POWER = 0.8
Key = TypeVar("Key")
Compared = TypeVar("Compared", bound="Contrast")
Weighted = Sequence[tuple[float, np.ndarray]]  # weights and answers, (..., seeds, images) bool


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of models' accuracies whose weights add up to 0: whether recipes differ.

    Attributes:
        interval: 95 %, for this one alone.
        p: of the hypothesis that it is 0.
        p_adjusted: Holm's, over all that were compared.
        covers_seeds: whether interval and p count the seeds. They cannot where a model has one seed only.
        repeats: of the whole procedure, that interval and p count.
        among: how many were compared, and p adjusted over.
        smallest: what would have been found in 80 % of such comparisons, after Holm; None where nothing could be.
        variance: of the mean; None for what was not computed here.
    """

    mean: float
    interval: Interval
    p: float
    p_adjusted: float
    covers_seeds: bool
    repeats: int = field(default=1, kw_only=True)
    among: int = field(default=1, kw_only=True)
    smallest: float | None = field(default=None, kw_only=True)
    variance: Variance | None = field(default=None, kw_only=True, repr=False, compare=False)

    @property
    def different(self) -> bool:
        """Whether it is not 0, given what was not repeated: never with a single seed."""
        return self.covers_seeds and self.p_adjusted < SIGNIFICANCE

    @property
    def established(self) -> bool:
        """Whether it is not 0 over searches, splits and draws too: never with a single repeat."""
        return self.different and self.repeats > 1

    def to_be_found(self, level: float) -> float | None:
        """The smallest that is told from 0 in 80 % of such comparisons, at a level of significance."""
        if self.variance is None or not self.covers_seeds:
            return None
        both = self.variance.critical(level / 2) + self.variance.critical(1 - POWER)
        return float(both * np.sqrt(self.variance.total))


@dataclass(frozen=True)
class Difference(Contrast):
    """The accuracy of one model less that of another.

    Attributes:
        mcnemar_p: exact McNemar test of one run against another, median over all pairs of seeds. It asks whether two
            trained networks differ, not whether two recipes do: seeds may differ too. Nothing is ranked by it.
        probability_better: share of pairs of seeds in which the first is more accurate, ties counting half
            (Bouthillier et al. 2021); with repeats of pairs of these.
        again: where the difference of another replication of as many repeats lies, 95 %; None without repeats.
    """

    mcnemar_p: float
    probability_better: float
    again: Interval | None = field(default=None, kw_only=True)


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


def to_be_found(smallest: float, digits: int = 1) -> str:
    """A difference of accuracies in points; `none` where it is more than there can be."""
    return f"{100 * smallest:.{digits}f}" if smallest < 1 else "none"


def adjusted(pairs: Mapping[Key, Compared]) -> dict[Key, Compared]:
    """The same, each p adjusted by Holm over all of them.

    Holm tests what is not found to differ at the level of significance divided by how many of these there are: what
    could have been found follows from that.
    """
    from statsmodels.stats.multitest import multipletests

    if not pairs:
        return {}
    ps = multipletests([pair.p for pair in pairs.values()], method="holm")[1]
    level = SIGNIFICANCE / max(1, sum(p >= SIGNIFICANCE for p in ps))
    return {
        key: replace(pair, p_adjusted=float(p), among=len(pairs), smallest=pair.to_be_found(level))
        for (key, pair), p in zip(pairs.items(), ps, strict=True)
    }


def contrast(weighted: Weighted) -> Contrast:
    """Of (seeds, images) bool each; p is not adjusted."""
    mean, variance = contrast_variance(weighted)
    half = variance.critical(SIGNIFICANCE / 2) * np.sqrt(variance.total)
    p = contrast_p(mean, variance)
    return Contrast(
        mean=float(sum(weight * correct.mean() for weight, correct in weighted)),
        interval=Interval(float(mean - half), float(mean + half)),
        p=p,
        p_adjusted=p,
        covers_seeds=min(len(correct) for _, correct in weighted) > 1,
        variance=variance,
    )


def difference(a: np.ndarray, b: np.ndarray, *, level: float = 0.95) -> Difference:
    """One pair, (seeds, images) bool each; p is not adjusted."""
    mean, variance = contrast_variance([(1, a), (-1, b)])
    low, high = bounds(mean, variance, level)
    accuracies_a, accuracies_b = a.mean(axis=1), b.mean(axis=1)
    ahead = accuracies_a[:, None] - accuracies_b
    p = contrast_p(mean, variance)
    return Difference(
        mean=float(accuracies_a.mean() - accuracies_b.mean()),
        interval=Interval(float(low), float(high)),
        p=p,
        p_adjusted=p,
        mcnemar_p=mcnemar_p(a, b),
        probability_better=float(((ahead > 0) + 0.5 * (ahead == 0)).mean()),
        covers_seeds=min(len(a), len(b)) > 1,
        variance=variance,
    )


def contrast_variance(weighted: Weighted) -> tuple[np.ndarray, Variance]:
    """The mean (...) of a weighted sum of accuracies, and its variance.

    Two imaginary images are added, one for each sign (for two models: one that only the first gets right and one that
    only the second does, Bonett & Price 2012), so that a few images on which models differ, or none, are no proof. With
    several seeds they weigh as much less as the seeds' mean varies less. One seed of any model leaves the seeds out.
    """
    images = weighted[0][1].shape[-1] + 2
    each = sum(weight * correct.mean(axis=-2) for weight, correct in weighted)
    mean = each.sum(axis=-1) / images
    imaginary = sum(weight**2 / correct.shape[-2] for weight, correct in weighted)
    over_images = (((each**2).sum(axis=-1) + imaginary) / images - mean**2) / images
    if min(correct.shape[-2] for _, correct in weighted) == 1:
        return mean, Variance(over_images, np.zeros_like(mean), np.ones_like(mean))
    left, between, uncertain, independent = (np.zeros_like(mean) for _ in range(4))
    for weight, correct in weighted:
        seeds = correct.shape[-2]
        of_mean, of_one = image_variances(correct)
        between_seeds, of_left = seed_variances(correct.mean(axis=-1), of_mean, of_one)
        left += weight**2 * of_left
        between += weight**2 * between_seeds
        independent += weight**2 * of_one / seeds
        uncertain += weight**4 * between_seeds**2 / (seeds - 1)
    # Welch & Satterthwaite's degrees of freedom of a sum of variances
    df = np.divide(between**2, uncertain, out=np.ones_like(mean), where=uncertain > 0)
    return mean, Variance(images_alone(over_images - left, between, independent), between, df)


def difference_bounds(a: np.ndarray, b: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end (...) of the difference for many studies at once, from (..., seeds, images) bool each."""
    return bounds(*contrast_variance([(1, a), (-1, b)]), level)


def bounds(mean: np.ndarray, variance: Variance, level: float) -> tuple[np.ndarray, np.ndarray]:
    half = variance.critical((1 - level) / 2) * np.sqrt(variance.total)
    return np.maximum(mean - half, -1), np.minimum(mean + half, 1)


def contrast_p(mean: np.ndarray, variance: Variance) -> float:
    """The p at which the interval of level 1 - p ends at 0."""
    from scipy.optimize import brentq

    statistic = float(abs(mean) / np.sqrt(variance.total))
    smallest = 1e-9
    if variance.critical(smallest / 2) <= statistic:
        return smallest
    return float(brentq(lambda p: float(variance.critical(p / 2)) - statistic, smallest, 1, xtol=1e-9))


def mcnemar_p(a: np.ndarray, b: np.ndarray) -> float:
    """Median, over pairs of seeds, of the exact McNemar test's p; (seeds, images) bool each."""
    from scipy.stats import binom

    only_a, only_b = (x.astype(int) @ (~y).T.astype(int) for x, y in ((a, b), (b, a)))
    only_b = only_b.T
    each = 2 * binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5)
    return float(np.median(np.minimum(each, 1)))


def ranks(compared: Mapping[tuple[str, str], Difference]) -> dict[str, int]:
    """1 + the number of models that are found to be better.

    Models of one rank may differ, and those of two may not be distinguishable: `letters` says which.
    """
    worse = {name: 0 for pair in compared for name in pair}
    for (first, second), difference in compared.items():
        if difference.different:
            worse[second if difference.mean > 0 else first] += 1
    return {name: 1 + better for name, better in worse.items()}
