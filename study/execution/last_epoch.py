"""After how many epochs of its schedule a test run stops, by the curves of the winner's replicates on validation.

Their best epoch is nearly uniform over a plateau, so what one search takes for best another does not: it costs nothing
on average, and adds to the variance between searches. `python -m benchmarks.last_epoch` measured the rules here;
docs/decisions.md has the figures.
"""

from collections.abc import Callable, Sequence
from statistics import median_low

import numpy as np

Curves = Sequence[Sequence[float]]  # of each replicate, the merit of every epoch: larger is better
SPAN = 3  # epochs that are averaged


def median_of_best(curves: Curves) -> int:
    """The median over replicates of the epoch that was best: the rule of protocol 1."""
    return median_low([int(np.argmax(curve)) + 1 for curve in curves])


def whole_schedule(curves: Curves) -> int:
    return min(map(len, curves))


def best_of_smoothed(curves: Curves) -> int:
    """The best epoch of the mean over replicates, each value the mean of up to three neighbours."""
    return int(np.argmax(smoothed(curves))) + 1


def last_as_good(curves: Curves) -> int:
    """The last epoch whose smoothed mean is less than a standard error below the best: what is no worse is steadier."""
    mean = smoothed(curves)
    known = np.array([curve[: len(mean)] for curve in curves])
    error = float(known.std(axis=0, ddof=1).mean() / np.sqrt(len(known))) if len(known) > 1 else 0.0
    return int(np.flatnonzero(mean >= mean.max() - error)[-1]) + 1


def smoothed(curves: Curves) -> np.ndarray:
    mean = np.mean([curve[: whole_schedule(curves)] for curve in curves], axis=0)
    half = SPAN // 2
    return np.array([mean[max(0, i - half) : i + half + 1].mean() for i in range(len(mean))])


RULES: dict[str, Callable[[Curves], int]] = {
    "median of best": median_of_best,
    "best of smoothed": best_of_smoothed,
    "last as good": last_as_good,
    "whole schedule": whole_schedule,
}
