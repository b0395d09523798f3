"""What mattered in a search: how important each hyperparameter was, where the good values lie, what to widen.

Pure functions on a record's trials. A search does not sample evenly, it goes where it was good, and ASHA stops most
trials early; so what these functions say is a hint where to look, with the number of trials behind it, not a finding.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from study.design.space import DEPTH
from study.design.states import RunStatus
from study.results.point import Domain, metric, searched
from trainables.choices import choose
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

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
        by_chance: of each share, how often one at least as large came out when the trials' results were shuffled. A
            search in which nothing matters has a largest share of 0.6 too, but one that is as often had by chance.
        note: what the shares rest on, in a sentence.
    """

    evaluator: str
    shares: dict[str, float] | None
    by_chance: dict[str, float] | None
    note: str


def importance(record: "Record", evaluator: str = "ped-anova", *, shuffles: int = 99) -> Importance:
    """By one of Optuna's evaluators, over the completed and the pruned trials, with the best result that each had.

    Pruned trials count because ASHA prunes where it was bad: without them there is little to tell good from bad. But
    theirs is the best result of fewer epochs. Failed ones have none. What was fixed was not searched: it is left out.

    Args:
        shuffles: for `by_chance`, which is then at least 1 / (shuffles + 1). PED-ANOVA takes 10 ms each, fANOVA 200.
    """
    choose("evaluator", evaluator, EVALUATORS)
    domains, by = searched(record), metric(record)
    space = distributions(domains)
    rows = [row for row in with_result(record) if inside(row, domains)]
    pruned = sum(row["status"] == RunStatus.PRUNED for row in rows)
    note = f"{len(rows)} trials with a validation {by.words}, {pruned} of them pruned after fewer epochs"
    if len(rows) < LEAST_TRIALS[evaluator]:
        return Importance(evaluator, None, None, f"{note}; {evaluator} needs at least {LEAST_TRIALS[evaluator]}")
    results = np.array([by.of(row) for row in rows])
    if np.ptp(results) == 0:
        return Importance(evaluator, None, None, f"{note}; all have the same")
    shares = shares_of(rows, results, by, space, evaluator)
    draw = np.random.default_rng(0)
    shuffled = [shares_of(rows, draw.permutation(results), by, space, evaluator) for _ in range(shuffles)]
    chance = {
        name: (1 + sum(other[name] >= share for other in shuffled)) / (1 + shuffles) for name, share in shares.items()
    }
    return Importance(evaluator, shares, chance, note)


def shares_of(
    rows: Sequence["Row"], results: np.ndarray, by: Metric, space: Mapping[str, BaseDistribution], evaluator: str
) -> dict[str, float]:
    """What the evaluator says of an Optuna study in memory that holds these trials.

    Args:
        rows: trials, each with a value of every hyperparameter of the space.
        results: (trials,) float64, what each reached by the metric.
        by: the metric; it says whether larger or smaller is better.
        space: Optuna's distribution of each searched hyperparameter.
        evaluator: a name in EVALUATORS.

    Returns:
        The share of each hyperparameter, the largest first.
    """
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="minimize" if by is Metric.LOSS else "maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(
                    value=result, params={name: row[name] for name in space}, distributions=dict(space)
                )
                for row, result in zip(rows, results.tolist(), strict=True)
            ]
        )
        return get_param_importances(study, evaluator=EVALUATORS[evaluator]())
    finally:
        optuna.logging.set_verbosity(before)


def distributions(space: Mapping[str, Domain]) -> dict[str, BaseDistribution]:
    """The searched space of a record as Optuna's distributions."""
    return {name: distribution(domain) for name, domain in space.items()}


def distribution(domain: Domain) -> BaseDistribution:
    """`low, high, log` of a range, or its `choices`."""
    if "choices" in domain:
        return CategoricalDistribution(list(domain["choices"]))
    whole = isinstance(domain["low"], int) and isinstance(domain["high"], int)
    return (IntDistribution if whole else FloatDistribution)(domain["low"], domain["high"], log=domain["log"])


def with_result(record: "Record") -> list["Row"]:
    """The trials that did not fail and have a value of the study's metric."""
    by = metric(record)
    return [row for row in record.trials if row["status"] != RunStatus.FAILED and by.of(row) is not None]


def inside(row: "Row", space: Mapping[str, Domain]) -> bool:
    """Whether a trial is a point of the space: the paper's own need not be, nor one of a record that is not whole."""
    return all(
        row.get(name) is not None
        and (row[name] in domain["choices"] if "choices" in domain else domain["low"] <= row[name] <= domain["high"])
        for name, domain in space.items()
    )


def at_the_edge(winner: "Row", space: Mapping[str, Domain], backbone_stages: int) -> list[str]:
    """A sentence for each hyperparameter of the winner within 5 % of a bound of its range (in log where that is).

    A better value may lie beyond it. Not where nothing does: beyond the bounds that are declared, and freezing more
    than the whole backbone. A choice among several has no edge.
    """
    sentences = []
    for name, domain in space.items():
        if "choices" in domain or winner.get(name) is None:
            continue
        declared = DECLARED[name]
        scale: Callable[[float], float] = math.log if domain["log"] else float
        low, high, value = scale(domain["low"]), scale(domain["high"]), scale(winner[name])
        most = backbone_stages if name == DEPTH else declared.high
        ends = {
            "lower": (value - low, domain["low"] <= declared.low),
            "upper": (high - value, domain["high"] >= most),
        }
        for end, (distance, natural) in ends.items():
            if high > low and distance <= EDGE * (high - low) and not natural:
                sentences.append(
                    f"the winner's {declared.title} {declared.format(winner[name])} is at the {end} edge of what was "
                    f"searched, {declared.format(domain['low'])} to {declared.format(domain['high'])}: widen that "
                    "range, a better one may lie beyond it"
                )
    return sentences
