"""Paired tests of candidates against the leader of a race, on the images that all of them were measured on.

The training images of a subset are few, so accuracies differ by chance: a candidate is only behind where the test says
so. And curves of accuracy cross: what is behind on few images may be ahead on all of them. So a gap must be larger than
a margin for each doubling of the images that is still to come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

import numpy as np

from study.statistics.comparison import contrast_variance
from study.statistics.intervals import Interval

LEVEL = 0.05  # of a race: how often it may drop the one that is best on the subset


@dataclass(frozen=True)
class Gap:
    """By how much a candidate is behind the leader, in accuracy on one subset.

    Attributes:
        interval: 95 %, for this one alone, over images.
        allowed: by how much it may be behind and stay: the margin for the doublings to come.
        p: of the hypothesis that it is not further behind than that; Holm's, over all that were tested with it.
    """

    images: int
    mean: float
    interval: Interval
    allowed: float
    p: float


def doublings(images: int, of: int) -> float:
    return log2(of / images)


def gaps(leader: np.ndarray, others: Mapping[str, np.ndarray], *, allowed: float) -> dict[str, Gap]:
    """Each candidate against the leader.

    Args:
        leader: (N,) bool, its answers.
        others: (N,) bool each, the same images in the same order.
        allowed: by how much one may be behind.
    """
    from scipy.special import ndtr

    if not others:
        return {}
    answers = np.stack(list(others.values()))[:, None, :]
    mean, variance = contrast_variance([(1.0, leader[None, None, :]), (-1.0, answers)])
    error = np.sqrt(variance.total)
    half = variance.critical(0.025) * error
    ps = holm(ndtr(-(mean - allowed) / error))
    return {
        name: Gap(
            len(leader),
            float(leader.mean() - answers[i, 0].mean()),
            Interval(float(mean[i] - half[i]), float(mean[i] + half[i])),
            allowed,
            float(ps[i]),
        )
        for i, name in enumerate(others)
    }


def holm(ps: np.ndarray) -> np.ndarray:
    """Adjusted for all of them. As statsmodels does, whose import takes longer than a small race."""
    order = np.argsort(ps)
    stepped = np.maximum.accumulate(ps[order] * np.arange(len(ps), 0, -1))
    adjusted = np.empty_like(ps)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
