"""Whether two models are equal for practical purposes: a difference within a margin (Benavoli et al. 2017).

A test that finds no difference does not say that there is none. These are probabilities that the second model is more
accurate by more than the margin, that both are equal within it, and that the first is more accurate, each from a flat
prior. A verdict needs 95 %.

Over repeats of the whole procedure the variance has Nadeau & Bengio's correction and Student's t (`study.statistics.
repeats`), and these are the probabilities of the Bayesian correlated t test; given one search, split and draw they are
those that seeds and images leave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from study.statistics.comparison import contrast_p
from study.statistics.intervals import Variance

SURE = 0.95
PRIOR = 0.5  # the weight of a dataset without a difference, in units of one dataset; Benavoli et al. 2017


@dataclass(frozen=True)
class Equivalence:
    """Attributes:
    margin: within which two accuracies count as equal, a fraction.
    worse, equal, better: the probabilities that the first less the second is below, within and above the margin.
    """

    margin: float
    worse: float
    equal: float
    better: float

    @property
    def verdict(self) -> Literal["worse", "equal", "better", "undecided"]:
        each = {"worse": self.worse, "equal": self.equal, "better": self.better}
        sure = [name for name, probability in each.items() if probability > SURE]
        return sure[0] if sure else "undecided"  # type: ignore[return-value]


def within(mean: float, variance: Variance, margin: float) -> Equivalence:
    """Of one difference with its variance: what that does not count, the search of a single repeat, is given."""
    above, below = (tail((sign * mean - margin), variance) for sign in (1, -1))
    return Equivalence(margin, below, max(0.0, 1 - above - below), above)


def tail(distance: float, variance: Variance) -> float:
    """The probability of more than 0 at a mean that lies so far above 0: the t' of `Variance.critical`."""
    beyond = contrast_p(np.array(distance), variance) / 2
    return 1 - beyond if distance > 0 else beyond


def signed_rank(differences: Sequence[float], margin: float, *, draws: int = 20_000, seed: int = 0) -> Equivalence:
    """The Bayesian signed-rank test, of the mean differences on several datasets.

    Datasets have Dirichlet weights, beside one imaginary dataset without a difference; the mean of every two of them
    lies below, within or above the margin.
    """
    values = np.array([0.0, *differences])
    means = (values[:, None] + values) / 2
    weights = np.random.default_rng(seed).dirichlet([PRIOR, *[1.0] * len(differences)], size=draws)
    shares = np.stack(
        [
            np.einsum("di,ij,dj->d", weights, where.astype(float), weights)
            for where in (means < -margin, abs(means) <= margin, means > margin)
        ]
    )
    worse, equal, better = (float((shares.argmax(axis=0) == i).mean()) for i in range(3))
    return Equivalence(margin, worse, equal, better)
