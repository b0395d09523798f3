"""Test accuracy by the budget of the search: what a smaller one would have been expected to reach, over repeats.

Tested is what the whole search has found. What fewer trials would have found is known on validation
(`equal_compute.short_of`), and what that falls short of the whole search is taken off, in each repeat by itself.
Nothing more is tested: a point for every budget would be a look at the test set for every budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.comparison.equal_compute import KINDS, costs, short_of
from study.comparison.repeats import each
from study.comparison.rows import Row
from study.statistics.comparison import SIGNIFICANCE

POINTS = 20


@dataclass(frozen=True)
class ByBudget:
    """Of one row; arrays (budgets,), from one trial to the whole search.

    Attributes:
        kind: of KINDS.
        budget: of the search, in its unit.
        trials: how many that is, on average over repeats.
        accuracy: expected on test.
        low, high: 95 %: the interval of the row's accuracy, and how much what is taken off varies between repeats.
    """

    kind: str
    budget: np.ndarray
    trials: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curves(row: Row) -> dict[str, ByBudget]:
    """By kind of budget; those whose costs the record tells."""
    return {kind: found for kind in KINDS if (found := by_budget(row, kind))}


def by_budget(row: Row, kind: str) -> ByBudget | None:
    """None where what a trial costs is not known."""
    studies = each(row)
    spent = [costs(one.record, kind) for one in studies]
    if not all(one and min(one) > 0 for one in spent):
        return None
    budgets = np.geomspace(min(map(np.mean, spent)), max(map(sum, spent)), POINTS)
    found = np.array(
        [[short_of(one, cost, budget) for one, cost in zip(studies, spent, strict=True)] for budget in budgets]
    )
    trials, short = found[..., 0], found[..., 1]
    low, high = row.accuracy.interval
    accuracy = row.accuracy.mean - short.mean(axis=1)
    varying = spread_of_mean(short)
    return ByBudget(
        kind,
        budgets,
        trials.mean(axis=1),
        accuracy,
        np.maximum(accuracy - np.hypot(row.accuracy.mean - low, varying), 0),
        np.minimum(accuracy + np.hypot(high - row.accuracy.mean, varying), 1),
    )


def spread_of_mean(short: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of the mean over repeats, from (budgets, repeats); 0 with one, which tells none."""
    from scipy.special import stdtrit

    repeats = short.shape[1]
    if repeats == 1:
        return np.zeros(len(short))
    t = -float(stdtrit(repeats - 1, SIGNIFICANCE / 2))
    return np.asarray(t * short.std(axis=1, ddof=1) / np.sqrt(repeats))


def as_json(row: Row) -> dict[str, dict[str, Sequence[float]]]:
    names = ("budget", "trials", "accuracy", "low", "high")
    return {kind: {name: getattr(one, name).tolist() for name in names} for kind, one in curves(row).items()}
