"""The same comparison at equal compute: a model whose trials cost less may have more of them.

All rows of a comparison have as many trials. What a search would have found with less is known on validation: the
expected best of fewer trials (Dodge et al. 2019). What that falls short of the whole search's is taken off the row's
test accuracy, in each repeat; between repeats it varies, and this is added to the variance of a difference. The budget
is what the cheapest search of the rows had: of device-seconds, as they were spent, and of training FLOPs, counted as if
nothing was stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from study.comparison.groups import Group
from study.comparison.repeats import each
from study.comparison.rows import Row
from study.design.states import RunStatus
from study.results.record import Record
from study.statistics import Contrast, Interval, adjusted, expected_best
from study.statistics.comparison import SIGNIFICANCE, bounds, contrast_p

KINDS = {"device_seconds": "device-seconds", "training_flops": "training FLOPs"}


@dataclass(frozen=True)
class EqualCompute:
    """Of the rows of a group.

    Attributes:
        kind: of KINDS.
        budget: what each search is given.
        trials: by row name, how many that is, on average over repeats.
        accuracy: by row name, what would have been expected on test.
        differences: by two row names in the order of these accuracies.
    """

    kind: str
    budget: float
    trials: dict[str, float]
    accuracy: dict[str, float]
    differences: dict[tuple[str, str], Contrast]

    def order(self) -> list[str]:
        return sorted(self.accuracy, key=lambda name: -self.accuracy[name])


def equal_compute(group: Group, kind: str) -> EqualCompute | None:
    """None where rows are not compared in pairs, or what their trials cost is not known."""
    if len(group.rows) < 2 or group.not_paired:
        return None
    spent = {row.name: [costs(one.record, kind) for one in each(row)] for row in group.rows}
    if not all(one and min(one) > 0 for several in spent.values() for one in several):
        return None
    budget = min(sum(one) for several in spent.values() for one in several)
    trials, short = {}, {}
    for row in group.rows:
        found = [short_of(one, cost, budget) for one, cost in zip(each(row), spent[row.name], strict=True)]
        trials[row.name] = float(np.mean([n for n, _ in found]))
        short[row.name] = np.array([by for _, by in found])
    accuracy = {row.name: row.accuracy.mean - float(short[row.name].mean()) for row in group.rows}
    pairs = {}
    for (a, b), one in group.differences.items():
        better, worse = (a, b) if accuracy[a] >= accuracy[b] else (b, a)
        pairs[better, worse] = moved(one, accuracy[better] - accuracy[worse], [short[better], short[worse]])
    return EqualCompute(kind, budget, trials, accuracy, adjusted(pairs))


def costs(record: Record, kind: str) -> list[float]:
    """Of every trial, failed ones included; empty where one is not known."""
    if kind == "device_seconds":
        return [row.get("total_seconds") or 0.0 for row in record.trials]
    measured = record.study.cost
    if not measured or not measured.stage_flops or any(row.get("freeze_depth") is None for row in record.trials):
        return []
    stages, images = measured.stage_flops, record.data.sizes["train"]
    return [
        float((sum(stages) + 2 * sum(stages[row["freeze_depth"] :])) * images * max(row.get("epochs") or 0, 1))
        for row in record.trials
    ]


def short_of(row: Row, cost: Sequence[float], budget: float) -> tuple[float, float]:
    """How many trials of one study a budget pays for, and what the best of them is expected to fall short by."""
    known = [
        trial["val_accuracy"]
        for trial in row.record.trials
        if trial["status"] != RunStatus.FAILED and trial.get("val_accuracy") is not None
    ]
    affordable = max(1.0, budget / (sum(cost) / len(cost)))
    if not known or affordable >= len(cost):
        return float(len(cost)), 0.0
    curve = expected_best(np.array(known), sum(cost), replicates=1).accuracy
    # of the trials that gave a value as large a share
    place = max(1.0, affordable * len(known) / len(cost))
    return affordable, float(curve[-1] - np.interp(place, np.arange(1, len(curve) + 1), curve))


def moved(one: Contrast, mean: float, short: Sequence[np.ndarray]) -> Contrast:
    """A difference with another mean, and the variance between repeats of what was taken off; p is not adjusted."""
    assert one.variance is not None
    extra = sum(float(values.var(ddof=1)) / len(values) for values in short if len(values) > 1)
    variance = replace(one.variance, seeds=one.variance.seeds + extra)
    low, high = bounds(np.array(mean), variance, 1 - SIGNIFICANCE)
    p = contrast_p(np.array(mean), variance)
    return Contrast(
        mean, Interval(float(low), float(high)), p, p, one.covers_seeds, repeats=one.repeats, variance=variance
    )


def words(group: Group) -> str:
    """Whether equal compute changes who is ahead, in a sentence or two; empty where that is not known."""
    return " ".join(told(group, found) for kind in KINDS if (found := equal_compute(group, kind)))


def told(group: Group, found: EqualCompute) -> str:
    label = {row.name: row.label for row in group.rows}
    first, *others = found.order()
    beaten = [name for name in others if found.differences[first, name].different]
    apart = [name for name in others if name not in beaten]
    reached = ", ".join(
        f"{label[name]} {found.accuracy[name]:.2%} ({found.trials[name]:.0f} trials)" for name in found.order()
    )
    clauses = [f"beats {listed(label, found, first, beaten)}"] if beaten else []
    clauses += [f"is not distinguishable from {listed(label, found, first, apart)}"] if apart else []
    verdict = " and ".join(clauses)
    return f"On {group.title}, with {amount(found)} of search for each: {reached}; {label[first]} {verdict}."


def listed(label: dict[str, str], found: EqualCompute, first: str, names: Sequence[str]) -> str:
    each = []
    for name in names:
        one = found.differences[first, name]
        low, high = (100 * end for end in one.interval)
        each.append(f"{label[name]} ({100 * one.mean:.1f} points [{low:.1f}, {high:.1f}])")
    return ", ".join(each)


def amount(found: EqualCompute) -> str:
    if found.kind == "device_seconds":
        return f"{found.budget:.0f} device-seconds"
    return f"{found.budget:.1e} training FLOPs"
