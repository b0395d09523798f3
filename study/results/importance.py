"""What mattered in a search: how important each hyperparameter was, where the good values lie, what to widen.

Pure functions on a record's trials. A search does not sample evenly, it goes where it was good, and ASHA stops most
trials early; so what these functions say is a hint where to look, with the number of trials behind it, not a finding.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from trainables.choices import choose

if TYPE_CHECKING:
    from study.results.record import Record, Row

EDGE = 0.05  # of a range

# Optuna's own quantile, a tenth, would leave two trials of twenty; a quarter found the important one more often
EVALUATORS: dict[str, Callable[[], BaseImportanceEvaluator]] = {
    "ped-anova": lambda: PedAnovaImportanceEvaluator(target_quantile=0.25),
    "fanova": lambda: FanovaImportanceEvaluator(seed=0),
}
# With fewer, the one hyperparameter that mattered did not come first in a tenth of synthetic searches and more
LEAST_TRIALS = {"ped-anova": 20, "fanova": 16}


@dataclass(frozen=True)
class Importance:
    """The share of each searched hyperparameter in what made trials good, the largest first; they add up to 1.

    Attributes:
        shares: None where the trials do not allow to say; `note` says why.
        by_chance: of each share, how often one at least as large came out when the trials' accuracies were shuffled. A
            search in which nothing matters has a largest share of 0.6 too, but one that is as often had by chance.
        note: what the shares rest on, in a sentence.
    """

    evaluator: str
    shares: dict[str, float] | None
    by_chance: dict[str, float] | None
    note: str


def importance(record: "Record", evaluator: str = "ped-anova", *, shuffles: int = 99) -> Importance:
    """By one of Optuna's evaluators, over the completed and the pruned trials, with the best accuracy that each had.

    Pruned trials count because ASHA prunes where it was bad: without them there is little to tell good from bad. But
    theirs is the best accuracy of fewer epochs. Failed ones have none. What was fixed was not searched: it is left out.

    Args:
        shuffles: for `by_chance`, which is then at least 1 / (shuffles + 1). PED-ANOVA takes 10 ms each, fANOVA 200.
    """
    choose("evaluator", evaluator, EVALUATORS)
    space = distributions(record.study["space"])
    rows = [row for row in with_accuracy(record) if inside(row, record.study["space"])]
    pruned = sum(row["status"] == "pruned" for row in rows)
    note = f"{len(rows)} trials with an accuracy, {pruned} of them pruned: theirs is of fewer epochs"
    if len(rows) < LEAST_TRIALS[evaluator]:
        return Importance(evaluator, None, None, f"{note}: {evaluator} needs at least {LEAST_TRIALS[evaluator]}")
    accuracies = np.array([row["val_accuracy"] for row in rows])
    if np.ptp(accuracies) == 0:
        return Importance(evaluator, None, None, f"{note}: all have the same")
    shares = shares_of(rows, accuracies, space, evaluator)
    draw = np.random.default_rng(0)
    others = [shares_of(rows, draw.permutation(accuracies), space, evaluator) for _ in range(shuffles)]
    chance = {
        name: (1 + sum(other[name] >= share for other in others)) / (1 + shuffles) for name, share in shares.items()
    }
    return Importance(evaluator, shares, chance, note)


def shares_of(
    rows: Sequence["Row"], accuracies: np.ndarray, space: Mapping[str, BaseDistribution], evaluator: str
) -> dict[str, float]:
    """What the evaluator says of an Optuna study in memory that holds these trials."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        searched = optuna.create_study(direction="maximize")
        searched.add_trials(
            [
                optuna.trial.create_trial(
                    value=accuracy, params={name: row[name] for name in space}, distributions=dict(space)
                )
                for row, accuracy in zip(rows, accuracies.tolist(), strict=True)
            ]
        )
        return get_param_importances(searched, evaluator=EVALUATORS[evaluator]())
    finally:
        optuna.logging.set_verbosity(before)


def distributions(space: Mapping[str, Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """The searched space of a record, `low, high, log` of each hyperparameter, as Optuna's distributions."""
    return {
        name: (IntDistribution if isinstance(d["low"], int) and isinstance(d["high"], int) else FloatDistribution)(
            d["low"], d["high"], log=d["log"]
        )
        for name, d in space.items()
    }


def with_accuracy(record: "Record") -> list["Row"]:
    return [row for row in record.trials if row["status"] != "failed" and row["val_accuracy"] is not None]


def inside(row: "Row", space: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a trial is a point of the space: the paper's own need not be, nor one of a record that is not whole."""
    return all(row[name] is not None and d["low"] <= row[name] <= d["high"] for name, d in space.items())


@dataclass(frozen=True)
class Point:
    """One trial in a slice. Where it was pruned its accuracy is that of fewer epochs."""

    trial_id: str
    value: float
    val_accuracy: float
    pruned: bool


def slices(record: "Record") -> dict[str, list[Point]]:
    """For each searched hyperparameter its value against the accuracy, in order of the value."""
    return {
        name: sorted(
            (
                Point(row["trial_id"], row[name], row["val_accuracy"], row["status"] == "pruned")
                for row in with_accuracy(record)
            ),
            key=lambda point: (point.value, point.trial_id),
        )
        for name in record.study["space"]
    }


@dataclass(frozen=True)
class BestLr:
    """The best trial at one freeze depth, of `trials` that were tried there."""

    lr: float
    val_accuracy: float
    pruned: bool
    trials: int


def best_lr_by_depth(record: "Record") -> dict[int, BestLr]:
    """For each freeze depth that was tried, the learning rate of its best trial; a completed one if there is one."""
    found = {}
    for depth in sorted({row["freeze_depth"] for row in with_accuracy(record)}):
        rows = [row for row in with_accuracy(record) if row["freeze_depth"] == depth]
        best = max(rows, key=lambda row: (row["status"] == "completed", row["val_accuracy"]))
        found[depth] = BestLr(best["lr"], best["val_accuracy"], best["status"] == "pruned", len(rows))
    return found


def at_the_edge(winner: "Row", space: Mapping[str, Mapping[str, Any]], backbone_stages: int) -> list[str]:
    """A sentence for each hyperparameter of the winner within 5 % of a bound of its range (in log where that is).

    A better value may lie beyond it. Not where nothing does: below 0, and freezing more than the whole backbone.
    """
    sentences = []
    for name, d in space.items():
        scale: Callable[[float], float] = math.log if d["log"] else float
        low, high, value = scale(d["low"]), scale(d["high"]), scale(winner[name])
        ends = {
            "lower": (value - low, d["low"] <= 0),
            "upper": (high - value, d["high"] >= limit(name, backbone_stages)),
        }
        for end, (distance, natural) in ends.items():
            if high > low and distance <= EDGE * (high - low) and not natural:
                sentences.append(
                    f"the winner's {name} {winner[name]:.2g} is at the {end} edge of what was searched, "
                    f"{d['low']:.2g} to {d['high']:.2g}: widen that range, a better one may lie beyond it"
                )
    return sentences


def limit(name: str, backbone_stages: int) -> float:
    """The largest value that a hyperparameter can have."""
    return backbone_stages if name == "freeze_depth" else math.inf
