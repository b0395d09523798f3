"""Intervals and differences over repeats of a whole procedure: search, split, draw of a part, seeds.

A study's answer to an image is its recipe's accuracy, plus what the repeat adds (another search, another draw of the
training images, another split), plus what the seed within the repeat adds, plus what the image adds, plus what is left.
Seeds within one repeat say nothing of the first of these: an interval over them alone is one given this search, split
and draw, and more seeds make it shorter around the wrong place (Bouthillier et al. 2021).

**The same test images in every repeat** (an official test set). Repeats are crossed with images as seeds are in
`intervals`, and every repeat counts as one answer: the mean over its seeds. What repeats add is seen between R of them
and has Student's t; what images add, between many of them, the normal's. Both together have Cochran and Cox's critical
value. The variance of two models' repeats is added with Welch and Satterthwaite's degrees of freedom. That repeats of
one number share their split and draw is not used: it can only make intervals wider than they need be. The spread
between repeats counts at least as much as that of their seeds explains, which more degrees of freedom tell.

**Test images of their own in every repeat** (splits drawn anew of one dataset). Models are paired within a repeat, by
its images. A repeat's difference d_r has a variance over repeats, S^2, in which images, seeds, searches and splits all
are. What a repeat's own images explain of it is known from many images, has the normal's critical value, and counts for
the mean as often as the repeats share images. What its seeds explain counts as 1/R. The rest is that of searches and
splits (as in a random-effects meta-analysis, DerSimonian & Laird 1986); as training sets overlap, it counts not as 1/R
but as 1/R + n_test/n_train (Nadeau & Bengio 2003, who count all of S^2 so, and cover 99 % in the simulation here where
models' images are most of it). Both have Student's t with R - 1 degrees of freedom.

**Another replication.** An interval of the truth holds the mean of a replication of the same size in fewer than 95 %
of cases, for that has an error of its own (Cumming & Maillardet 2006). `again` is the interval for that mean: other
searches, splits and draws of the same data, so what its images add cancels, and twice the repeats' part is left.

Nadeau, Bengio (2003): Inference for the generalization error. Machine Learning 52. `python -m benchmarks.repeats`
simulates it, `python -m benchmarks.replication` asks real studies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np

from study.statistics.comparison import SIGNIFICANCE, Contrast, Difference, contrast_p, contrast_variance, mcnemar_p
from study.statistics.intervals import (
    Interval,
    Variance,
    class_means,
    image_variances,
    images_alone,
    score_bounds,
    seed_variances,
    wilson,
)

Answers = Sequence[np.ndarray]  # of each repeat (seeds, images) bool
Weighted = Sequence[tuple[float, Answers]]


@dataclass(frozen=True)
class Design:
    """How the repeats of a comparison are related.

    Attributes:
        same_images: whether all of them have one test set.
        test_over_train: how many test images there are for each that the tested runs trained on.
        images_counted: by how much the variance that the images of one repeat add is to be multiplied for the mean:
            1 where all repeats have the same, 1 over their number where no two share any.
    """

    same_images: bool
    test_over_train: float = 0.0
    images_counted: float = 1.0

    @classmethod
    def of(cls, index: Sequence[np.ndarray], trained: int) -> Self:
        """Of repeats whose test images are known by their places in the dataset, (images,) each."""
        _, times = np.unique(np.concatenate(index), return_counts=True)
        counted = len(index[0]) * float(((times / sum(map(len, index))) ** 2).sum())
        return cls(all(np.array_equal(one, index[0]) for one in index), len(index[0]) / trained, counted)


@dataclass(frozen=True)
class Estimate:
    """A mean over repeats: its variance for the truth, and what another replication of the same size adds to it."""

    mean: float
    variance: Variance
    between: float
    df: float

    def interval(self, *, level: float = 0.95) -> Interval:
        half = float(self.variance.critical((1 - level) / 2)) * sqrt(float(self.variance.total))
        return Interval(self.mean - half, self.mean + half)

    def contrast(self, *, repeats: int) -> Contrast:
        p = contrast_p(np.array(self.mean), self.variance)
        return Contrast(
            self.mean,
            self.interval(level=1 - SIGNIFICANCE),
            p,
            p,
            covers_seeds=True,
            repeats=repeats,
            variance=self.variance,
        )

    def again(self, *, level: float = 0.95) -> Interval:
        """Where the mean of another replication lies."""
        from scipy.special import stdtrit

        half = -float(stdtrit(self.df, (1 - level) / 2)) * sqrt(2 * self.between)
        return Interval(self.mean - half, self.mean + half)


def contrast_of_repeats(weighted: Weighted, design: Design) -> Estimate:
    """Of a weighted sum of models' accuracies, over two repeats or more.

    Args:
        weighted: weights that add up to 0, and the answers of each model; with test images of their own in every
            repeat, as many repeats of each model, in one order.
    """
    return crossed(weighted) if design.same_images else drawn_anew(weighted, design)


def crossed(weighted: Weighted) -> Estimate:
    """Where all repeats answered the same images; two imaginary ones are added, as in `contrast_variance`."""
    images = weighted[0][1][0].shape[-1] + 2
    each = sum(weight * means(answers).mean(axis=0) for weight, answers in weighted)
    mean = float(each.sum() / images)
    imaginary = sum(weight**2 / sum(map(len, answers)) for weight, answers in weighted)
    over_images = (float((each**2).sum() + imaginary) / images - mean**2) / images
    between, left, independent, uncertain = 0.0, 0.0, 0.0, 0.0
    for weight, answers in weighted:
        part, of_left, of_one = spread(answers)
        between += weight**2 * part
        left += weight**2 * of_left
        independent += weight**2 * of_one / len(answers)
        uncertain += (weight**2 * part) ** 2 / (len(answers) - 1)
    df = between**2 / uncertain if uncertain else 1.0
    alone = images_alone(np.array(over_images - left), np.array(between), np.array(independent))
    variance = Variance(np.maximum(alone, 0.0), np.array(between), np.array(df))
    plain = float(sum(weight * means(answers).mean() for weight, answers in weighted))
    return Estimate(plain, variance, between, df)


def means(answers: Answers) -> np.ndarray:
    """(repeats, images): over the seeds of each."""
    return np.stack([one.mean(axis=0) for one in answers])


def spread(answers: Answers) -> tuple[float, float, float]:
    """Of a model's mean over repeats of one test set: its variance between repeats, and how much of it is what is left.

    It is at least what the repeats' seeds explain. And the variance over images of one repeat's accuracy.
    """
    of_repeat = means(answers)
    images = of_repeat.shape[1]
    of_mean, of_one = of_repeat.mean(axis=0).var() / images, of_repeat.var(axis=1).mean() / images
    between, left = seed_variances(of_repeat.mean(axis=1), of_mean, of_one)
    return max(float(between), of_seeds(answers) / len(answers)), float(left), float(of_one)


def of_seeds(answers: Answers) -> float:
    """The variance of a repeat's accuracy that its seeds explain, on average; 0 with one seed each."""
    several = [one.mean(axis=1).var(ddof=1) / len(one) for one in answers if len(one) > 1]
    return float(np.mean(several)) if several else 0.0


def drawn_anew(weighted: Weighted, design: Design) -> Estimate:
    """Where every repeat has test images of its own."""
    within = [
        contrast_variance([(weight, answers[repeat]) for weight, answers in weighted])
        for repeat in range(len(weighted[0][1]))
    ]
    each = np.array(
        [sum(weight * answers[r].mean() for weight, answers in weighted) for r in range(len(weighted[0][1]))]
    )
    images = float(np.mean([variance.images for _, variance in within]))
    seeds = float(np.mean([variance.seeds for _, variance in within]))
    return over_splits(each, images, seeds, design)


def over_splits(values: np.ndarray, images: float, seeds: float, design: Design) -> Estimate:
    """The mean of a value of every split.

    Args:
        values: (repeats,).
        images, seeds: how much of a value's variance each explains.
    """
    repeats = len(values)
    squared = float(values.var(ddof=1))
    rest = max(squared - images - seeds, 0.0)
    beyond_images = seeds / repeats + rest * (1 / repeats + design.test_over_train)
    of_images = images * design.images_counted
    variance = Variance(np.array(of_images), np.array(beyond_images), np.array(float(repeats - 1)))
    return Estimate(float(values.mean()), variance, max(squared, seeds) / repeats, repeats - 1)


def difference_of_repeats(a: Answers, b: Answers, design: Design) -> Difference:
    """Of one pair of models, over two repeats or more of each; p is not adjusted."""
    found = contrast_of_repeats([(1.0, a), (-1.0, b)], design)
    low, high = found.interval(level=1 - SIGNIFICANCE)
    p = contrast_p(np.array(found.mean), found.variance)
    of_a, of_b = (np.array([one.mean() for one in answers]) for answers in (a, b))
    ahead = of_a[:, None] - of_b if design.same_images else of_a - of_b
    paired = list(zip(a, b, strict=False))
    return Difference(
        mean=found.mean,
        interval=Interval(max(low, -1.0), min(high, 1.0)),
        p=p,
        p_adjusted=p,
        mcnemar_p=float(np.median([mcnemar_p(*pair) for pair in paired])),
        probability_better=float(((ahead > 0) + 0.5 * (ahead == 0)).mean()),
        covers_seeds=True,
        repeats=min(len(a), len(b)),
        variance=found.variance,
        again=found.again(),
    )


def accuracy_of_repeats(answers: Answers, design: Design, *, level: float = 0.95) -> Interval:
    """Interval of the accuracy of a whole procedure, over two repeats or more."""
    accuracies = np.array([one.mean() for one in answers])
    if design.same_images:
        of_repeat = means(answers)
        images = of_repeat.shape[1]
        between, left, of_one = spread(answers)
        over_images = np.array(of_repeat.mean(axis=0).var() / images - left)
        alone = images_alone(over_images, np.array(between), np.array(of_one / len(answers)))
        variance = Variance(np.maximum(alone, 0.0), np.array(between), np.array(float(len(answers) - 1)))
    else:
        images = sum(one.shape[1] for one in answers)
        of_images = float(np.mean([image_variances(one)[0] for one in answers]))
        variance = over_splits(accuracies, of_images, of_seeds(answers), design).variance
    low, high = wilson(np.array(accuracies.mean()), variance, images, level)
    return Interval(float(low), float(high))


def scores_of_repeats(
    label: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    classes: int,
    design: Design,
    *,
    level: float = 0.95,
    replicates: int = 500,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of macro-F1 and mean class accuracy, over two repeats or more; over images by a bootstrap.

    Args:
        label: of each repeat (images,) true classes.
        predicted: of each repeat (seeds, images) predicted classes.
        classes: how many there are.
        design: how the repeats are related.
        level: 0.95 for 95 %.
        replicates, seed: of the bootstrap.

    Returns:
        By name of the score: macro_f1, mean_class_accuracy.
    """
    found: dict[str, list[tuple[float, np.ndarray]]] = {}
    for truth, answers in zip(label, predicted, strict=True):
        images = len(truth)
        drawn = np.random.default_rng(seed).integers(images, size=(replicates, images))  # of one test set the same
        weights = np.stack([np.bincount(row, minlength=images) for row in drawn], axis=1)
        once = class_means(truth, answers, classes, np.ones((images, 1)))
        resampled = class_means(truth, answers, classes, weights)
        for name, values in once.items():
            found.setdefault(name, []).append((float(values.mean()), resampled[name].mean(axis=0)))
    intervals = {}
    for name, each in found.items():
        values = np.array([value for value, _ in each])
        of_one = float(np.mean([draws.var(ddof=1) for _, draws in each]))
        if design.same_images:
            of_mean = float(np.mean([draws for _, draws in each], axis=0).var(ddof=1))
            low, high = score_bounds(values, np.array(of_mean), np.array(of_one), len(label[0]), level)
        else:
            variance = over_splits(values, of_one, 0.0, design).variance
            low, high = wilson(np.array(values.mean()), variance, sum(map(len, label)), level)
        intervals[name] = Interval(float(low), float(high))
    return intervals
