"""Warm processes that train replicates and test runs side by side. They import no more than training needs."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from study.execution import failures
from trainables.images import SplitImages
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import train

T = TypeVar("T")


class Worker:
    """A warm process that trains one run after another."""

    def train(self, run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources) -> Outcome:
        return train(run, datasets, resources, report=lambda row: None)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)


class Pool:
    """Warm processes that train runs side by side; `close` ends them."""

    def __init__(self, resources: Resources, size: int) -> None:
        self.resources = resources
        local = resources.workers == 0
        self._remote: Any = ray.remote(Worker).options(
            num_cpus=resources.cpus if local else 0, num_gpus=resources.gpus if local else 0
        )
        self._size = size
        self._idle: list[Any] = []
        self._busy: dict[ray.ObjectRef, tuple[Run, Any]] = {}

    def outcomes(
        self,
        runs: list[Run],
        datasets: Mapping[ImagesKey, SplitImages],
        *,
        interrupted: threading.Event,
        on_start: Callable[[Run], None],
    ) -> Iterator[tuple[Run, Outcome]]:
        """Trains the runs and yields each as it ends; one whose process died twice is a failed outcome.

        Ends early, without the runs that were under way, when `interrupted` is set.
        """
        waiting = list(reversed(runs))
        begun: set[str] = set()
        again: set[str] = set()
        while (waiting or self._busy) and not interrupted.is_set():
            while waiting and len(self._busy) < self._size:
                run = waiting.pop()
                worker = self._idle.pop() if self._idle else self._remote.remote()
                if run.run_id not in begun:
                    on_start(run)
                begun.add(run.run_id)
                self._busy[worker.train.remote(run, datasets, self.resources)] = run, worker
            for ref in ray.wait(list(self._busy), timeout=0.2)[0]:
                run, worker = self._busy.pop(ref)
                try:
                    outcome = ray.get(ref)
                    self._idle.append(worker)
                except RayError as error:
                    if run.run_id not in again:
                        again.add(run.run_id)
                        waiting.append(run)
                        continue
                    outcome = Outcome(run.run_id, failure=failures.failure_reason(str(error)))
                yield run, outcome

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns in one of the processes, a warm one if there is one. Raises RayError."""
        if not self._idle:
            self._idle.append(self._remote.remote())
        return ray.get(self._idle[-1].call.remote(function, *arguments))

    def close(self) -> None:
        for worker in self._idle + [worker for _, worker in self._busy.values()]:
            ray.kill(worker)
