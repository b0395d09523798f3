"""What a search would have found with fewer trials."""

from dataclasses import dataclass

import numpy as np

from study.statistics.intervals import Interval


@dataclass(frozen=True)
class ExpectedBest:
    """Expected best validation accuracy by budget; arrays (trials,), entry n - 1 for n trials.

    `low` and `high` are how far it spreads over draws of the trials that were seen. They are no confidence interval.
    """

    trials: np.ndarray
    device_seconds: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def interval(self, trials: int) -> Interval:
        return Interval(float(self.low[trials - 1]), float(self.high[trials - 1]))


def expected_best(
    val_accuracy: np.ndarray, device_seconds: float, *, level: float = 0.95, replicates: int = 2000, seed: int = 0
) -> ExpectedBest:
    """Expected maximum of n trials drawn from those of a search (Dodge et al. 2019, equation 4), for every n up to all.

    It holds for trials that do not depend on each other; a sampler that learns comes later to its good ones. The spread
    is the bootstrap's over the trials that were seen, none of which is better than the best one. As a 95 % interval for
    what such a search reaches on average it is too short, the more so the nearer n is to all trials: docs/protocol.md
    has figures. Nothing that the trials say bounds it from above. Device-seconds are those of n trials of mean length,
    as in the paper.

    Args:
        val_accuracy: (trials,) of every trial that gave one.
        device_seconds: of the whole search: what failed has cost too.
    """
    n = len(val_accuracy)
    if n == 0:
        raise ValueError("no trial has a validation accuracy: there is no best one to expect")
    budget = np.arange(1, n + 1)
    cumulative = np.arange(n + 1)[:, None] / n
    weights = np.diff(cumulative**budget, axis=0)  # (values in order, budget)
    drawn = np.random.default_rng(seed).choice(val_accuracy, size=(replicates, n))
    curves = np.sort(drawn, axis=1) @ weights
    low, high = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ExpectedBest(budget, budget * device_seconds / n, np.sort(val_accuracy) @ weights, low, high)
