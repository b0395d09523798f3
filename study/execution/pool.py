"""Warm processes that train replicates and test runs side by side."""

import threading
from collections.abc import Callable, Iterator, Mapping
from time import monotonic, sleep
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayError, RayTaskError

from study.design.execution import Execution
from study.execution import failures
from study.execution.attempts import Attempts
from study.execution.training_process import TrainingProcess
from study.execution.waiting import Placement
from study.execution.watchdog import Watchdog
from trainables import epochs, group
from trainables.images import SplitImages
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey

T = TypeVar("T")


class Unanswered(failures.Unfinished):
    """A call whose process died, or was ended, as often as it was made."""


class Pool:
    """Warm processes that train runs side by side; `close` ends them.

    A process gets a run once it is there. So a cluster may have room for fewer than were asked for: those that wait for
    a place hold nothing, and whoever is idle takes the next run.
    """

    def __init__(
        self,
        resources: Resources,
        size: int,
        say: Callable[[str], None] = lambda line: None,
        attempts: Attempts | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        """
        Args:
            resources: of each process.
            size: how many there are at a time.
            say: told of lost nodes, and of waiting for others.
            attempts: at its runs; by default as many as a study has.
            watchdog: ends those that make no progress.
        """
        self.attempts = attempts or Attempts(Execution.max_failures, say)
        self.watchdog = watchdog or Watchdog(self.attempts)
        self.resources = resources
        self._say = say
        self._remote: Any = ray.remote(TrainingProcess).options(num_cpus=resources.cpus, num_gpus=resources.gpus)
        self._size = size
        self._starting: dict[ray.ObjectRef, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[ray.ObjectRef, tuple[Run, Any]] = {}

    def outcomes(
        self,
        runs: list[Run],
        datasets: Mapping[ImagesKey, SplitImages],
        *,
        interrupted: threading.Event,
        on_start: Callable[[Run], None],
        on_epoch: Callable[[Run, Mapping[str, Any]], None] = lambda run, epoch: None,
    ) -> Iterator[tuple[Run, Outcome]]:
        """Trains the runs and yields each as it ends; one that was given up is a failed outcome.

        A lost node is no failure: its runs go on elsewhere. Ends early, without the runs that were under way, when
        `interrupted` is set. `on_epoch` is told of epochs as they end, of one perhaps again.

        Raises NodesLost, when the others have ended, for runs that lost too many nodes.
        """
        waiting = list(runs)
        paused: dict[str, tuple[float, Run]] = {}  # runs that are tried again, and when
        begun: set[str] = set()
        lost = failures.LostRuns(self._say)
        placement = Placement(self.resources, self._say)
        told = epochs.Told({run.run_id: run for run in runs}, on_epoch)
        while (waiting or paused or self._busy) and not interrupted.is_set():
            for run_id in [run_id for run_id, (since, _) in paused.items() if monotonic() >= since]:
                waiting.append(paused.pop(run_id)[1])
            self._ask_for(len(waiting) + len(paused))
            while waiting and self._idle:
                first = waiting.pop(0)
                if first.run_id not in begun:
                    on_start(first)
                begun.add(first.run_id)
                self.attempts.begin(first.run_id)
                self._begin(first, datasets)
            placement.look(running=bool(self._busy or not waiting))
            self.watchdog.look(lambda: [run.run_id for run, _ in self._busy.values()])
            told.look()
            if not self._starting and not self._busy:
                sleep(0.1)
            for ref in ray.wait([*self._starting, *self._busy], timeout=0.2)[0]:
                run, outcome, reason = self._end(ref)
                if not run and not waiting:
                    continue
                if failures.lost_node(reason):
                    if run and lost.may_go_on(run.run_id):
                        self.attempts.lost(run.run_id)
                        waiting.insert(0, run)
                    continue
                if reason:
                    run = run or waiting.pop()  # a process that cannot start is the failure of whom it was meant for
                    failure = self.attempts.failed(run.run_id, reason)
                    if failure.pause is not None:
                        paused[run.run_id] = monotonic() + failure.pause, run
                        continue
                    outcome = Outcome(run.run_id, failure=failure.reason)
                    if run.run_id not in begun:
                        on_start(run)
                if run and outcome:
                    yield run, outcome
            lost.tell()
        told.forget()
        self._ask_for(0)
        lost.check()

    # In functions of their own, for while anybody refers to a process that has ended, what it held is not given back

    def _begin(self, run: Run, datasets: Mapping[ImagesKey, SplitImages]) -> None:
        worker = self._idle.pop()
        self._busy[worker.train.remote(run, datasets, self.resources)] = run, worker

    def _end(self, ref: ray.ObjectRef) -> tuple[Run | None, Outcome | None, str]:
        """What a process made of its run, none if it has just started; it is idle then. Or why it has ended itself."""
        run, worker = self._busy.pop(ref) if ref in self._busy else (None, self._starting.pop(ref))
        try:
            outcome = ray.get(ref)
        except RayError as error:
            group.end(worker)  # it may be out of reach only
            return run, None, str(error)
        self._idle.append(worker)
        return run, outcome, ""

    def _ask_for(self, waiting: int) -> None:
        """Starts as many processes as runs wait for; ends those still without a place that none waits for."""
        wanted = min(waiting, self._size - len(self._busy)) - len(self._idle)
        for _ in range(len(self._starting), wanted):
            worker = self._start()
            self._starting[worker.ready.remote()] = worker
        for ref in list(self._starting)[max(0, wanted) :]:
            group.end(self._starting.pop(ref))

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns in one of the processes, a warm one if there is one.

        Where its process ends it is called in another, as often as a run is tried; a lost node does not count.

        Args:
            what: its name where that is told of.

        Raises the function's own error, which is a RayTaskError, too; and Unanswered.
        """
        while True:
            if not self._idle:
                self._idle.append(self._start())
            answer = self._idle[-1].call.remote(function, *arguments)
            try:
                while not ray.wait([answer], timeout=0.2)[0]:
                    self.watchdog.look(list)  # a process that is stopped does not answer
                return cast("T", ray.get(answer))
            except RayTaskError:
                raise
            except RayError as error:
                group.end(self._idle.pop())  # it may be out of reach only
                if not failures.lost_node(str(error)):
                    self._pause(what, str(error))

    def _pause(self, what: str, reason: str) -> None:
        failure = self.attempts.failed(what, reason, noted=False)
        if failure.pause is None:
            raise Unanswered(f"{what}: {failure.reason}")
        sleep(failure.pause)

    def _start(self) -> Any:
        return group.owner(TrainingProcess, self.resources) if self.resources.workers else self._remote.remote()

    def close(self) -> None:
        for worker in [*self._starting.values(), *self._idle, *(worker for _, worker in self._busy.values())]:
            group.end(worker)
        self._starting.clear()
        self._idle.clear()
        self._busy.clear()
