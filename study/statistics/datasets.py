"""Models over several datasets (Demšar 2006)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

FEWEST = 5
TOO_FEW = (
    "no critical-difference diagram: it ranks models within each dataset and needs at least {fewest} datasets, "
    "there are {n}. Ranks over fewer take too few values for Friedman's test to tell models apart; the paired "
    "differences on each dataset say what there is"
)


@dataclass(frozen=True)
class CriticalDifference:
    """Mean ranks (1 is best) and how far apart two have to be.

    Attributes:
        friedman_p: of the hypothesis that all models are equal.
        distance: Nemenyi's critical difference of mean ranks, at 5 %, over all pairs.
    """

    mean_ranks: dict[str, float]
    friedman_p: float
    distance: float

    def different(self, a: str, b: str) -> bool:
        return self.friedman_p < 0.05 and abs(self.mean_ranks[a] - self.mean_ranks[b]) >= self.distance


def critical_difference(accuracy: Mapping[str, np.ndarray]) -> CriticalDifference:
    """Friedman's test, and Nemenyi's after it.

    Args:
        accuracy: by model, (datasets,), in one order.

    Raises:
        ValueError: with fewer than five datasets, saying why; with fewer than three models.
    """
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    table = np.stack(list(accuracy.values()), axis=1)
    n, models = table.shape
    if n < FEWEST:
        raise ValueError(TOO_FEW.format(fewest=FEWEST, n=n))
    if models < 3:
        raise ValueError(f"Friedman's test compares at least 3 models, got {models}: see the paired difference")
    mean_ranks = rankdata(-table, axis=1).mean(axis=0)
    distance = studentized_range.isf(0.05, models, np.inf) / sqrt(2) * sqrt(models * (models + 1) / (6 * n))
    same = (table == table[:, :1]).all()
    friedman_p = 1.0 if same else float(friedmanchisquare(*table.T).pvalue)
    return CriticalDifference(dict(zip(accuracy, mean_ranks.tolist(), strict=True)), friedman_p, float(distance))
