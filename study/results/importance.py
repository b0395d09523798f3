"""What mattered in a search: how important each hyperparameter was.

Pure functions on a record's trials. A search does not sample evenly, it goes where it was good, and ASHA stops most
trials early; so what these functions say is a hint where to look, with the number of trials behind it, not a finding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

from study.design.states import RunStatus
from study.results.point import Domain, metric, searched
from trainables.choices import choose
from trainables.metrics import Metric

if TYPE_CHECKING:
    from study.results.record import Record, Row

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
        shuffles: for `by_chance`, which is then at least 1 / (shuffles + 1). PED-ANOVA takes 5 ms each, fANOVA 200.
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
    judged = Judged(rows, by, space, evaluator)
    shares = judged.shares(results)
    draw = np.random.default_rng(0)
    shuffled = [judged.shares(draw.permutation(results)) for _ in range(shuffles)]
    chance = {
        name: (1 + sum(other[name] >= share for other in shuffled)) / (1 + shuffles) for name, share in shares.items()
    }
    return Importance(evaluator, shares, chance, note)


class Judged:
    """Trials as Optuna's evaluator sees them: in one Optuna study in memory, whose results are exchanged.

    To add the trials again for every shuffle took more than half of the time.
    """

    def __init__(
        self, rows: Sequence["Row"], by: Metric, space: Mapping[str, BaseDistribution], evaluator: str
    ) -> None:
        """Args:
        rows: trials, each with a value of every hyperparameter of the space.
        by: the metric; it says whether larger or smaller is better.
        space: Optuna's distribution of each searched hyperparameter.
        evaluator: a name in EVALUATORS.
        """
        self.evaluator = evaluator
        with quiet():
            self.study = optuna.create_study(direction="minimize" if by is Metric.LOSS else "maximize")
            self.study.add_trials(
                [
                    optuna.trial.create_trial(
                        value=0.0, params={name: row[name] for name in space}, distributions=dict(space)
                    )
                    for row in rows
                ]
            )

    def shares(self, results: np.ndarray) -> dict[str, float]:
        """The share of each hyperparameter, the largest first, had the trials (in order) reached these results."""
        for trial, result in zip(self.study.get_trials(deepcopy=False), results.tolist(), strict=True):
            trial.value = result
        with quiet():
            return get_param_importances(self.study, evaluator=EVALUATORS[self.evaluator]())


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says nothing of a study that nobody waits for."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
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
