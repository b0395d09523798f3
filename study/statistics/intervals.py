"""Intervals of a model's scores, over the seeds that trained it and the images that tested it.

Seeds are crossed with images: every seed answers the same images. An answer is the model's accuracy, plus what the
seed adds, plus what the image adds, plus what is left. The mean over all answers has two independent errors: what the
images add, and the seeds' means about it. The latter's variance is seen between few seeds, so it has Student's t with
one degree of freedom less than seeds; the former's between many images, so it has the normal. The critical value of
both together lies between the two, by their shares (Cochran & Cox 1950).

Leading axes of the arrays are studies: the benchmark simulates thousands at once.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

HALF_AN_ERROR = 0.5


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Variance:
    """What a mean over seeds and images owes to each; arrays of one shape.

    Attributes:
        images: the part of the images; with one seed also of what is left after seeds and images.
        seeds: the part of the seeds and of what is left; 0 with one seed, of which nothing can be said.
        df: degrees of freedom of the part of the seeds.
    """

    images: np.ndarray
    seeds: np.ndarray
    df: np.ndarray

    @property
    def total(self) -> np.ndarray:
        return self.images + self.seeds

    def critical(self, tail: float) -> np.ndarray:
        """Cochran and Cox's critical value: the t' of which `tail` lies on either side."""
        from scipy.special import ndtri, stdtrit

        share = np.divide(self.seeds, self.total, out=np.zeros_like(self.total), where=self.total > 0)
        return -(1 - share) * ndtri(tail) - share * stdtrit(self.df, tail)


def seed_variances(values: np.ndarray, of_mean: np.ndarray, of_one: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the mean over two seeds or more: between seeds, and how much of it is what is left.

    Args:
        values: (..., seeds).
        of_mean: (...) variance, over images, of the mean over seeds.
        of_one: (...) variance, over images, of the value of one seed, averaged over seeds.
    """
    seeds = values.shape[-1]
    return values.var(axis=-1, ddof=1) / seeds, (of_one - of_mean) / (seeds - 1)


def images_alone(without_left: np.ndarray, between: np.ndarray, independent: np.ndarray) -> np.ndarray:
    """The part of the images. Where seeds happen to have one accuracy, at least that of independent answers."""
    return np.maximum(without_left, np.where(between > 0, 0, independent))


def image_variances(correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance over images of the mean accuracy, and of one seed's, from (..., seeds, images) bool."""
    images = correct.shape[-1]
    accuracies = correct.mean(axis=-1)
    of_one = (accuracies * (1 - accuracies)).mean(axis=-1) / images
    return correct.mean(axis=-2).var(axis=-1) / images, of_one


def accuracy_interval(correct: np.ndarray, *, level: float = 0.95) -> Interval:
    """Interval of the accuracy of a recipe, over seeds and test images; with one seed over images only (Wilson's).

    Args:
        correct: (seeds, images) bool, the same test images in every row.
    """
    low, high = accuracy_bounds(correct, level=level)
    return Interval(float(low), float(high))


def accuracy_bounds(correct: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The same for many studies at once, from (..., seeds, images) bool."""
    return score_bounds(correct.mean(axis=-1), *image_variances(correct), correct.shape[-1], level)


def score_bounds(
    values: np.ndarray, of_mean: np.ndarray, of_one: np.ndarray, images: int, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end of the interval of a score that is a share, for many studies at once.

    Wilson's interval with as many images as the variance is worth (Franco et al. 2019), so it stays within 0 and 1.

    Where nearly all answers are right, the seeds' answers to the few hard images say little on how far seeds agree. So
    half an error is added on which all agree: it counts beside the n p (1 - p) that were seen, and weighs nothing where
    errors are many.

    Args:
        values: (..., seeds) the score of every seed, in [0, 1].
        of_mean: (...) variance, over images, of the mean over seeds.
        of_one: (...) variance, over images, of the score of one seed, averaged over seeds.
        images: of the test set.
        level: 0.95 for 95 %.

    Returns:
        The two ends, (...) each, in [0, 1].
    """
    mean = values.mean(axis=-1)
    binomial = mean * (1 - mean)
    observed = images * binomial
    effect = np.divide(of_mean * images, binomial, out=np.ones_like(mean), where=binomial > 0)
    effect = np.maximum(effect, (observed * effect + HALF_AN_ERROR) / (observed + HALF_AN_ERROR))
    over_images = binomial / images * effect
    variance = Variance(over_images, np.zeros_like(mean), np.ones_like(mean))
    if (seeds := values.shape[-1]) > 1:
        between, left = seed_variances(values, of_mean, of_one)
        alone = images_alone(over_images - left, between, of_one / seeds)
        variance = Variance(alone, between, np.full_like(mean, seeds - 1))
    return wilson(mean, variance, images, level)


def wilson(mean: np.ndarray, variance: Variance, images: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share, with as many images as its variance is worth; `images` where it has none."""
    binomial = mean * (1 - mean)
    worth = np.divide(
        binomial, variance.total, out=np.full_like(mean, images), where=(binomial > 0) & (variance.total > 0)
    )
    z = variance.critical((1 - level) / 2)
    middle = (mean + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(binomial / worth + z**2 / (4 * worth**2))
    return np.clip(middle - half, 0, mean), np.clip(middle + half, mean, 1)


def score_intervals(
    label: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    *,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of accuracy, macro-F1 and mean class accuracy, over seeds and test images.

    The variance over images of the latter two is the bootstrap's: images are drawn anew, the same for every seed. The
    seeds are not drawn: three of them, drawn with replacement, vary by a third too little. Their part is as above.

    Args:
        label: (images,) int64, true classes.
        predicted: (seeds, images) int64, predicted classes.
        classes: how many there are.
        level: 0.95 for 95 %.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        By name of the score: accuracy, macro_f1, mean_class_accuracy.
    """
    images = len(label)
    drawn = np.random.default_rng(seed).integers(images, size=(replicates, images))
    weights = np.stack([np.bincount(row, minlength=images) for row in drawn], axis=1)
    observed, resampled = (class_means(label, predicted, classes, w) for w in (np.ones((images, 1)), weights))
    intervals = {"accuracy": accuracy_interval(predicted == label, level=level)}
    for name, values in observed.items():
        of_mean = resampled[name].mean(axis=0).var(ddof=1)
        of_one = resampled[name].var(axis=1, ddof=1).mean()
        low, high = score_bounds(values[:, 0], of_mean, of_one, images, level)
        intervals[name] = Interval(float(low), float(high))
    return intervals


def class_means(label: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Macro-F1 and mean class accuracy (seeds, replicates) where image i counts weights[i] times.

    A class without images has no recall: it counts in no mean.

    Args:
        weights: (images, replicates).
    """
    support = counts(label, classes, weights)
    present = support > 0
    f1, recall = [], []
    for one in predicted:
        right = counts(label, classes, weights * (one == label)[:, None])
        f1.append(2 * right / np.maximum(support + counts(one, classes, weights), 1))
        recall.append(right / np.maximum(support, 1))
    return {
        "macro_f1": np.stack([values.mean(axis=0, where=present) for values in f1]),
        "mean_class_accuracy": np.stack([values.mean(axis=0, where=present) for values in recall]),
    }


def counts(index: np.ndarray, classes: int, weights: np.ndarray) -> Any:
    """(images,) classes and (images, replicates) weights -> (classes, replicates): how often each class occurs."""
    from scipy.sparse import csr_array

    images = len(index)
    return csr_array((np.ones(images), (index, np.arange(images))), shape=(classes, images)) @ weights
