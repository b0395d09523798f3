"""Which point comes next: Optuna, told the truth of every trial, and never asked to train a point twice.

Every proposal draws from a generator of its own, seeded by the study's seed and the trial's number, so that an
interrupted search that goes on proposes what it would have proposed. Optuna works in memory; the journal is a copy for
optuna-dashboard.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from ray.tune.search.optuna import OptunaSearch

from study.design.space import DEPTH, Choices, Domain, Range, Space, contains
from study.design.states import RunStatus
from study.design.study import Study
from study.results.record import Record, Row
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

SAMPLER: dict[str, Any] = {"multivariate": True, "constant_liar": True}  # of Optuna's TPE
STATES = {
    RunStatus.COMPLETED: TrialState.COMPLETE,
    RunStatus.PRUNED: TrialState.PRUNED,
    RunStatus.FAILED: TrialState.FAIL,
}
# TPE's own default: so many trials are drawn at random before it proposes any
RANDOM_TRIALS = 10
# Of these, that the head alone is trained: drawn uniformly from 0 to all, the chance in ten draws would be 84 % for the
# 6 freeze depths of a ResNet-50, and 40 % for the 20 of a CoAtNet-1
HEAD_ALONE = 1 / 6
DRAWS = 10  # of the sampler, before a point is drawn from all that are left

Point = tuple[Any, ...]  # the values of what is searched, in the order of the space


def trial_id(number: int) -> str:
    return f"trial-{number:03d}"


def number_of(trial_id: str) -> int:
    return int(trial_id.removeprefix("trial-"))


class NotSaved:
    """What Tune need not keep: it pickles its parts to be able to restore them, which we never ask of it."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Tune saves its searcher as often as its own state."""


class Searcher(NotSaved, OptunaSearch):
    """Ray's OptunaSearch that is told what the record holds, and what became of each trial.

    `begun` are the points of trials that have a checkpoint: they are proposed again, so that it can be gone on with.
    What the sampler would propose now it makes of other results than it did then, where several trials ran at a time.
    `more` says whether there may be another trial.
    """

    def __init__(
        self,
        study: Study,
        record: Record,
        begun: Mapping[str, Mapping[str, Any]] | None = None,
        more: Callable[[], bool] = lambda: True,
    ) -> None:
        done = {row["trial_id"] for row in record.trials}
        self._study = study
        self._begun = begun or {}
        self._more = more
        self._distributions = distributions(study.space)
        self._numbers = [n for n in range(study.trials + len(done)) if trial_id(n) not in done]
        self._told: dict[str, int] = {}  # by Tune's id, the last epoch that Optuna was told of
        self._outside = ""  # Tune's id of trial 0, where the starting point is not in the space: Optuna cannot be told
        paper = study.point({})
        start = {name: getattr(paper, name) for name in study.space}
        enqueued = start and contains(study.space, paper) and trial_id(0) not in done
        super().__init__(
            space=dict(self._distributions),
            metric=study.metric.column,
            mode=study.metric.mode,
            points_to_evaluate=[start] if enqueued else None,
            study_name=study.name,
            seed=study.seed,
        )
        if not study.space:  # the only trial is the point that is fixed, of which Optuna need not be told
            self._setup_study(study.metric.mode)
        assert self._ot_study is not None
        self._optuna: optuna.Study = self._ot_study
        self._journal: Journal = Journal(study)
        self._proposed: set[Point] = set()
        for row in sorted(record.trials, key=lambda row: number_of(row["trial_id"])):
            frozen = finished(study, row, record.curve(row["trial_id"]), self._distributions)
            self._journal.add(frozen)
            if frozen.params:
                self._optuna.add_trial(frozen)
                self._proposed.add(self._key(frozen.params))

    def suggest(self, trial_id_of_tune: str) -> Any:
        """The next trial's configuration, or FINISHED where no point is left that was not trained, or no time."""
        if not self._more():
            return self.FINISHED
        number = self._numbers[0]
        if number == 0 and not (self._study.space and contains(self._study.space, self._study.point({}))):
            self._outside = trial_id_of_tune
            self._numbers.pop(0)
            return {"trial_id": trial_id(0), "hyperparameters": asdict(self._study.point({}))}
        trial = self._ask(number)
        if trial is None:
            return self.FINISHED
        self._numbers.pop(0)
        self._proposed.add(self._key(trial.params))
        trial.set_user_attr("trial_id", trial_id(number))
        self._ot_trials[trial_id_of_tune] = trial
        return {"trial_id": trial_id(number), "hyperparameters": asdict(self._study.point(trial.params))}

    def _ask(self, number: int) -> Trial | None:
        """A trial at a point that no other has.

        It is the one that an earlier session began, or the sampler's, drawn anew if need be, or one that is left.
        """
        if (begun := self._begun_at(number)) is not None:
            self._optuna.enqueue_trial(begun)
            return self._optuna.ask(fixed_distributions=self._distributions)
        for draw in range(DRAWS):
            entropy = [self._study.seed, number, *([draw] if draw else [])]
            seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
            self._optuna.sampler = TPESampler(**SAMPLER, n_startup_trials=RANDOM_TRIALS, seed=seed)
            if (depth := self._drawn_depth(number, seed)) is not None:
                self._optuna.enqueue_trial({DEPTH: depth})
            trial = self._optuna.ask(fixed_distributions=self._distributions)
            if self._key(trial.params) not in self._proposed:
                return trial
            self._optuna.tell(trial, state=TrialState.FAIL)  # which the sampler does not look at
        left = [point for point in points(self._study.space) if point not in self._proposed]
        if not left:
            return None
        chosen = left[np.random.default_rng([self._study.seed, number]).integers(len(left))]
        self._optuna.enqueue_trial(dict(zip(self._distributions, chosen, strict=True)))
        return self._optuna.ask(fixed_distributions=self._distributions)

    def _drawn_depth(self, number: int, seed: int) -> int | None:
        """The freeze depth of a trial at random, where it may be anything up to all of the backbone.

        So that training the head alone has the same chance in every model, however many stages that is cut into.
        """
        domain = self._study.space.get(DEPTH)
        to_the_head = isinstance(domain, Range) and domain.high == self._study.backbone_stages
        if self._study.protocol == 1 or not 0 < number < RANDOM_TRIALS or not to_the_head:
            return None
        assert isinstance(domain, Range)
        draw = np.random.default_rng(seed)
        low, high = int(domain.low), int(domain.high)
        return high if draw.random() < HEAD_ALONE else int(draw.integers(low, high))

    def _begun_at(self, number: int) -> dict[str, Any] | None:
        """The parameters of a trial that was begun, if it still may be one; trial 0 has its point without this."""
        given = self._begun.get(trial_id(number))
        if not number or given is None or not self._distributions.keys() <= given.keys():
            return None
        params = {name: given[name] for name in self._distributions}
        with suppress(ValueError):
            point = self._study.point(params)
            if asdict(point) == given and contains(self._study.space, point):
                return params if self._key(params) not in self._proposed else None
        return None

    def _key(self, params: Mapping[str, Any]) -> Point:
        return tuple(params[name] for name in self._distributions)

    def on_trial_result(self, trial_id_of_tune: str, result: dict[str, Any]) -> None:
        # Tune may hand on a result of a trial that it has stopped already
        if trial_id_of_tune not in self._completed_trials | {self._outside}:
            self._report(trial_id_of_tune, result)

    def _report(self, trial_id_of_tune: str, result: Mapping[str, Any]) -> None:
        epoch = result.get("epochs", 0)
        if "failure" not in result and epoch > self._told.get(trial_id_of_tune, 0):
            self._told[trial_id_of_tune] = epoch
            self._ot_trials[trial_id_of_tune].report(result[self._study.metric.column], epoch)

    def on_trial_complete(
        self, trial_id_of_tune: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id_of_tune in self._completed_trials:
            return
        self._completed_trials.add(trial_id_of_tune)
        status = RunStatus.FAILED if error or not result else status_of(result, self._study.recipe.epochs)
        value = result[self._study.metric.column] if result and status == RunStatus.COMPLETED else None
        if trial_id_of_tune == self._outside:
            self._journal.add(without_params(trial_id(0), status, value))
            return
        if result:  # Tune hands the result that stops a trial to this function alone
            self._report(trial_id_of_tune, result)
        trial = self._ot_trials[trial_id_of_tune]
        self._journal.add(self._optuna.tell(trial, value, state=STATES[status]))

    def close(self) -> None:
        """Writes what the journal still waits to write."""
        self._journal.close()


class Journal:
    """The search on disk for optuna-dashboard, in which a trial has the number that the record gives it.

    Optuna numbers trials in the order in which they are written, so one that ends early waits for those before it. A
    new journal is written when a study goes on: the record fills it again. Whoever writes a study holds its lock, so
    Optuna's own lock, a link to the journal, is left by a process that was killed.
    """

    def __init__(self, study: Study) -> None:
        path = study.folder.absolute() / "optuna.journal"  # a lock that leads nowhere is waited for without end
        for left in (path, *path.parent.glob(f"{path.name}.lock*")):
            left.unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(path)))
        directions = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
        self._study = optuna.create_study(
            storage=storage, study_name=study.name, direction=directions[study.metric.mode]
        )
        self._waiting: dict[int, FrozenTrial] = {}
        self._next = 0
        self._written = True  # so far

    def add(self, trial: FrozenTrial) -> None:
        """Adds a trial that has ended."""
        self._waiting[number_of(trial.user_attrs["trial_id"])] = trial
        while self._next in self._waiting:
            self._write(self._waiting.pop(self._next))

    def close(self) -> None:
        """Adds what still waits; a trial that has not ended has the place of one that has not begun."""
        for number in sorted(self._waiting):
            while self._next < number:
                self._write(optuna.trial.create_trial(state=TrialState.WAITING))
            self.add(self._waiting[number])

    def _write(self, trial: FrozenTrial) -> None:
        """A copy, for which no study ends and no run fails: what a full disk keeps from it is there when it goes on."""
        self._next += 1
        if self._written:
            try:
                self._study.add_trial(trial)
            except Exception:  # Optuna reads what others may have changed
                self._written = False


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """A space as Optuna's."""
    return {name: distribution(name, domain) for name, domain in space.items()}


def distribution(name: str, domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choices):
        return CategoricalDistribution(domain.values)
    kind = IntDistribution if DECLARED[name].kind is int else FloatDistribution
    return kind(domain.low, domain.high, log=domain.log)  # type: ignore[arg-type]


def points(space: Space) -> Iterator[Point]:
    """Every point of a finite space, in order; nothing of one that is not."""
    values = []
    for domain in space.values():
        if isinstance(domain, Choices):
            values.append(domain.values)
        elif isinstance(domain.low, int) and isinstance(domain.high, int):
            values.append(tuple(range(domain.low, domain.high + 1)))
        else:
            return iter(())
    return itertools.product(*values)


def finished(study: Study, row: Row, curve: list[Row], distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A trial of the record as Optuna's; with no parameters where it is not in the space, as the paper's may not be."""
    best = best_so_far(study.metric, curve)
    point = study.point_of(row)
    if not contains(study.space, point):
        return without_params(row["trial_id"], RunStatus(row["status"]), study.metric.of(row))
    return optuna.trial.create_trial(
        state=STATES[RunStatus(row["status"])],
        value=study.metric.of(row) if row["status"] == RunStatus.COMPLETED else None,
        params={name: getattr(point, name) for name in distributions},
        distributions=dict(distributions),
        intermediate_values={epoch["epoch"]: value for epoch, value in zip(curve, best, strict=True)},
        user_attrs={"trial_id": row["trial_id"]},
    )


def without_params(trial_id: str, status: RunStatus, value: float | None) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=STATES[status],
        value=value if status == RunStatus.COMPLETED else None,
        user_attrs={"trial_id": trial_id},
    )


def best_so_far(metric: Metric, curve: list[Row]) -> list[float]:
    """The best value of the metric up to each epoch."""
    better = min if metric.mode == "min" else max
    return list(itertools.accumulate((epoch[metric.column] for epoch in curve), better))


def status_of(result: Mapping[str, Any], budget: int) -> RunStatus:
    """What became of a trial that had `budget` epochs, by its last result."""
    if "failure" in result:
        return RunStatus.FAILED
    return RunStatus.COMPLETED if result["epochs"] == budget else RunStatus.PRUNED
