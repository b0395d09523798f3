"""Ray Tune with Optuna and ASHA; the only file that knows the Tuner.

Tune keeps no state of ours: what is finished is in the record, and a search that goes on is told of it (Optuna's
trials, ASHA's rungs). Tune's own restore is not used: when it fails it starts over without saying so.
"""

import os
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from study.cluster import environment
from study.design.execution import Execution
from study.design.states import Cause, Phase, RunStatus
from study.design.study import Study
from study.execution import actor_deaths, failures, placing
from study.execution.attempts import Attempts, MostFailed
from study.execution.failures import LostRuns, Unfinished
from study.execution.searcher import NotSaved, Searcher, best_so_far, status_of
from study.execution.waiting import Placement
from study.execution.wall_clock import WallClock
from study.execution.watchdog import Watchdog
from study.results.pace import Pace
from study.results.record import Record, Row
from trainables import group, heartbeat, scratch
from trainables.hyperparameters import Hyperparameters
from trainables.images import SplitImages
from trainables.metrics import COLUMNS
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import Report, cache_images, fill_boundaries, train

OnStart = Callable[[str, dict[str, Any]], None]
OnEpoch = Callable[[str, Row], None]
OnEnd = Callable[[Row, list[Row]], None]
Train = Callable[[Run, Mapping[ImagesKey, SplitImages], Resources, Report], Outcome]

# Tune hands these to every trial as a runtime environment, which Ray's agents write to their logs in plain text. A
# trial on this machine inherits them from this process, and one elsewhere has those of its node.
SECRETS = frozenset(name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_"))
class_cache.ENV_VARS_TO_PROPAGATE -= SECRETS


def search(
    study: Study,
    record: Record,
    template: Run,
    datasets: Mapping[ImagesKey, SplitImages],
    resources: Resources,
    *,
    max_concurrent: int,
    interrupted: threading.Event,
    on_start: OnStart,
    on_epoch: OnEpoch,
    on_end: OnEnd,
    say: Callable[[str], None] = lambda line: None,
    attempts: Attempts | None = None,
    watchdog: Watchdog | None = None,
    clock: WallClock | None = None,
    train: Train = train,
) -> None:
    """Runs the trials that the record lacks; `on_end` is handed each one's row and curve when it has ended.

    `say` is told of lost nodes, and of waiting for others. A trial that failed is tried again as `attempts` has it;
    `watchdog` ends those that make no progress; `clock` has the time there is. `train` is what a trial does, in its
    process.

    Raises what `on_start` or `on_end` raised, if that was an OSError, for a record that cannot be written ends the
    search; and MostFailed. Raises NodesLost for trials that lost too many nodes: they are no part of the record.
    """
    missing = study.budget - len(record.trials)
    if missing <= 0:
        return
    clock = clock or WallClock.of(replace(study, hours=None), record, Pace(study.recipe.epochs))
    begun = template.checkpoints.begun() if template.checkpoints else {}
    searcher = Searcher(study, record, begun, more=clock.another_trial_fits)
    stop = StopOn(interrupted, clock.another_epoch_fits)
    attempts = attempts or Attempts(Execution.max_failures, say)
    bookkeeper = Bookkeeper(study, interrupted, on_start, on_epoch, on_end, attempts, stop.out_of_time)
    nodes = NodeWatch(Placement(resources, say), LostRuns(say), attempts, watchdog or Watchdog(attempts))
    scheduler = asha(study, record) if study.early_stopping == "asha" else FIFOScheduler()

    def trial(config: dict[str, Any], datasets: Mapping[ImagesKey, SplitImages]) -> None:
        heartbeat.start()
        sleep(config.get("pause", 0.0))
        point = Hyperparameters(**config["hyperparameters"])
        run = replace(template, run_id=config["trial_id"], hyperparameters=point)
        try:
            outcome = train(run, datasets, resources, tune.report)
        except Exception as error:
            reason = failures.failure_reason("".join(traceback.format_exception(error)))
            if reason != config.get("before"):
                raise
            outcome = Outcome(run.run_id, run.metric, failure=reason)  # word for word: an error of the model
        if outcome.failure:
            worst = {study.metric.column: study.metric.worst}
            tune.report({**outcome.summary(), **worst, "failure": outcome.failure})

    # before a thread reads the datasets: what is read changes them, which must not happen while they are pickled
    trainable = tune.with_parameters(trial, datasets=dict(datasets))
    if environment.address() is None and template.boundaries != "off":
        ahead = study, template, datasets, resources
        threading.Thread(target=fill_ahead, args=ahead, daemon=True).start()
    needs: Any = {"CPU": resources.cpus, "GPU": resources.gpus}
    placed: AbstractContextManager[None] = placing.without_groups()
    if resources.workers:  # the trial's own process waits for its worker group
        needs = tune.PlacementGroupFactory(group.bundles(resources), strategy=group.strategy(resources))
        placed = nullcontext()
    actor_deaths.heed()
    folder = tempfile.TemporaryDirectory(prefix="tune-", dir=scratch.here(), ignore_cleanup_errors=True)
    with placed, folder as storage:
        tune.Tuner(
            tune.with_resources(trainable, needs),
            tune_config=tune.TuneConfig(
                metric=study.metric.column,
                mode=study.metric.mode,
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=missing,
                max_concurrent_trials=max_concurrent,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=study.name,
                storage_path=storage,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=attempts.most),  # and see NodeWatch
                stop=stop,
                callbacks=[nodes, bookkeeper],
            ),
        ).fit()
    searcher.close()
    if bookkeeper.ended_by:
        raise bookkeeper.ended_by
    if not interrupted.is_set():
        nodes.lost.check()
        if len(record.trials) < study.budget and not clock.limited:  # as when somebody sends Tune its signal to stop
            raise Unfinished(f"the search ended after {len(record.trials)} of {study.budget} trials: --resume goes on")


def fill_ahead(study: Study, template: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources) -> None:
    """Fills the store with what every trial will read, while the process of the first one starts: that takes seconds.

    The images, whatever device trains on them; and where all trials have one freeze depth its boundary, on all cores,
    unless a GPU computes it, which others round differently. What fails here fails again, and is said, in the trial
    that needs it.
    """
    with suppress(Exception):
        cache_images(template, datasets, on_gpu=bool(resources.gpus))
        if study.fixed.get("freeze_depth") and not resources.gpus:
            fill_boundaries(replace(template, hyperparameters=study.point({})), datasets, threads=os.cpu_count() or 1)


def asha(study: Study, record: Record) -> AsyncHyperBandScheduler:
    """ASHA (Li et al. 2020) on the best value of the metric so far, by epoch, told of the trials in the record."""
    epochs = study.recipe.epochs
    grace, factor = max(1, epochs // 5), 3
    scheduler = AsyncHyperBandScheduler(
        time_attr="epochs", max_t=epochs, grace_period=grace, reduction_factor=factor, stop_last_trials=False
    )
    scheduler._brackets = [Rungs(grace, epochs, factor, fewest=1 if study.protocol == 1 else max(study.top_k, factor))]
    for row in record.trials:
        curve = record.curve(row["trial_id"])
        for epoch, best in zip(curve, best_so_far(study.metric, curve), strict=True):
            known = SimpleNamespace(trial_id=row["trial_id"])
            scheduler._brackets[0].on_result(known, epoch["epoch"], study.metric.merit(best))  # type: ignore[arg-type]
    return scheduler


class Rungs(_Bracket):
    """ASHA's rungs, none of which stops a trial before `fewest` others have reached it.

    Ray's own compare the second trial at a rung with one number. So by chance fewer trials are completed than there
    are to be replicates: with ranks that never change, fewer than three in 33 % of searches of 8 trials, 24 % of 10.
    The first ones at the first rung are those at the next, so with `fewest` as many are completed.
    """

    def __init__(self, grace: int, epochs: int, factor: int, *, fewest: int) -> None:
        super().__init__(grace, epochs, factor, 0, stop_last_trials=False)
        self.fewest = fewest

    def cutoff(self, recorded: Any) -> Any:
        return super().cutoff(recorded) if len(recorded) >= self.fewest else None


class StopOn(NotSaved, tune.Stopper):
    """Ends the experiment when the event is set, and each trial after an epoch when no other one fits.

    Attributes:
        out_of_time: Tune's ids of the trials that it has ended.
    """

    def __init__(self, event: threading.Event, another_fits: Callable[[], bool]) -> None:
        self._event, self._another_fits = event, another_fits
        self.out_of_time: set[str] = set()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if not self._another_fits():
            self.out_of_time.add(trial_id)
        return trial_id in self.out_of_time

    def stop_all(self) -> bool:
        return self._event.is_set()


class Bookkeeper(NotSaved, tune.Callback):
    """Turns what Tune says of its trials into rows of the record."""

    def __init__(
        self,
        study: Study,
        interrupted: threading.Event,
        on_start: OnStart,
        on_epoch: OnEpoch,
        on_end: OnEnd,
        attempts: Attempts,
        out_of_time: Set[str] = frozenset(),
    ) -> None:
        self.study = study
        self.out_of_time = out_of_time
        self.interrupted = interrupted
        self.on_start, self.on_epoch, self.on_end = on_start, on_epoch, on_end
        self.curves: dict[str, list[Row]] = {}
        self.ended: set[str] = set()
        self.attempts = attempts
        self.ended_by: OSError | MostFailed | None = None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = trial.config["trial_id"]
        if name in self.ended:  # its process died when its last result had been heard
            return
        self.curves[name] = []
        with self.ending():
            self.attempts.begin(name)
            self.on_start(name, trial.config["hyperparameters"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        name, curve = trial.config["trial_id"], result.get("curve")
        # Tune hands on what a process said before it was stopped, too
        if curve and name not in self.ended and len(self.curves[name]) < curve["epoch"]:
            row = {"run_id": name, "phase": Phase.SEARCH, "seed": self.study.search_seed, **curve}
            self.curves[name].append(row)
            self.on_epoch(name, row)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        status = status_of(trial.last_result, self.study.recipe.epochs)
        if status == RunStatus.PRUNED and self.interrupted.is_set():
            return  # it was stopped by the user, not by ASHA: it will run again
        self._end(trial, status, trial.last_result.get("failure"))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = last_error(trial)
        if not failures.lost_node(error):  # else it will run again
            failure = self.attempts.failed(trial.config["trial_id"], error)
            self._end(trial, RunStatus.FAILED, failure.reason)

    def _end(self, trial: Any, status: RunStatus, reason: str | None) -> None:
        name = trial.config["trial_id"]
        if name in self.ended:
            return
        self.ended.add(name)
        row = {
            "epochs": 0,
            **trial.last_result,
            **trial.config["hyperparameters"],
            "trial_id": name,
            "status": status,
            "reason": reason,
            "seed": self.study.search_seed,
        }
        if status == RunStatus.FAILED:
            row |= dict.fromkeys(COLUMNS) | {"cause": self.attempts.cause(name)}
        if status == RunStatus.PRUNED:
            why = "the time was over" if trial.trial_id in self.out_of_time else "ASHA"
            row["reason"] = f"{why}, after epoch {row['epochs']}"
        with self.ending():
            if name not in self.curves:  # its process died each time before it began
                self.on_start(name, trial.config["hyperparameters"])
            self.on_end(row, self.curves.get(name, []))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """What is raised inside ends the search: Tune would take it for a failure of the trial, and go on."""
        try:
            yield
        except (OSError, MostFailed) as error:
            self.ended_by = self.ended_by or error
            self.interrupted.set()


class NodeWatch(NotSaved, tune.Callback):
    """Says when no trial finds a place, and looks whether they make progress; one that lost its node has not failed.

    Tune counts that as a failure unless the node was drained, and would end a trial that is unlucky twice.
    """

    def __init__(self, placement: Placement, lost: LostRuns, attempts: Attempts, watchdog: Watchdog) -> None:
        self.placement, self.lost, self.attempts, self.watchdog = placement, lost, attempts, watchdog

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.lost.tell()
        self.watchdog.look(lambda: [trial.config["trial_id"] for trial in trials if trial.status == "RUNNING"])
        if any(not trial.is_finished() for trial in trials):
            self.placement.look(running=any(trial.status == "RUNNING" for trial in trials))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name, error = trial.config["trial_id"], last_error(trial)
        if failures.lost_node(error):
            if self.lost.may_go_on(name):
                self.attempts.lost(name)
                trial.run_metadata.num_failures = max(0, trial.run_metadata.num_failures - 1)
            return
        failure = self.attempts.failed(name, error)
        before = {"before": failure.reason} if failure.cause is Cause.MODEL else {}
        trial.config.update(pause=failure.pause or 0.0, **before)  # the process of the next attempt is handed this

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if failures.lost_node(last_error(trial)):
            self.lost.given_up.append(trial.config["trial_id"])


def last_error(trial: Any) -> str:
    """What Tune wrote when a trial failed last."""
    path = Path(trial.error_file) if trial.error_file else None
    said = path.read_text().rpartition("Failure # ")[2] if path and path.exists() else "\nits process died"
    return said.partition("\n")[2]  # without the line that says which failure it was, and when
