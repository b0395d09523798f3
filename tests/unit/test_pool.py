"""Processes that train runs side by side: whoever is idle takes the next one, and nobody waits for what never comes."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from study.execution import failures, pool
from study.execution.failures import LostRuns, NodesLost
from study.execution.pool import Pool
from tests.contract.tiny import POINT, RECIPE
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import SplitDigest

RUN = Run("", Model("resnet", "mini", "resnet_mini", 10), POINT, RECIPE, 0, {"train": SplitDigest("x", 10)})


class Sleeping:
    """In the place of the process that trains: it sleeps for a run, or dies of it."""

    def ready(self) -> None:
        pass

    def train(self, run: Run, datasets: Any, resources: Resources) -> Outcome:
        marks = Path(run.model.variant)
        with (marks / run.run_id).open("a") as file:
            file.write(".")
        if run.seed and len((marks / run.run_id).read_text()) <= run.seed:
            os._exit(1)
        time.sleep(0.3)
        return Outcome(run.run_id)

    def call(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)


@pytest.fixture
def runs(ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Six of them. A run's `seed` is how often its process dies."""
    monkeypatch.setattr(pool, "Worker", Sleeping)
    model = replace(RUN.model, variant=str(tmp_path))
    return [replace(RUN, run_id=f"r{n}", model=model) for n in range(6)]


def outcomes(processes: Pool, runs: list[Run]) -> dict[str, Outcome]:
    try:
        ended = processes.outcomes(runs, {}, interrupted=threading.Event(), on_start=lambda run: None)
        return {run.run_id: outcome for run, outcome in ended}
    finally:
        processes.close()


def test_fewer_places_than_were_asked_for_hold_up_nothing(runs: list[Run]) -> None:
    """Two CPUs, and four processes that ask for one each: two of them never find a place."""
    processes = Pool(Resources(cpus=1), 4)
    assert outcomes(processes, runs).keys() == {run.run_id for run in runs}
    assert not processes._starting
    assert len(processes._idle) == 2


def test_fractions_that_leave_a_rest_hold_up_nothing(runs: list[Run]) -> None:
    processes = Pool(Resources(cpus=0.667 * 2), 3)
    assert len(outcomes(processes, runs)) == 6
    assert len(processes._idle) == 1


@pytest.mark.parametrize(("deaths", "failed"), [(1, False), (2, True)])
def test_a_run_whose_process_dies_is_tried_once_more(runs: list[Run], deaths: int, failed: bool) -> None:
    runs[1] = replace(runs[1], seed=deaths)
    ended = outcomes(Pool(Resources(cpus=0.5), 2), runs)
    assert len(ended) == 6
    assert [name for name, outcome in ended.items() if outcome.failure] == (["r1"] if failed else [])


def test_a_process_that_ended_while_it_was_idle_is_replaced(runs: list[Run]) -> None:
    processes = Pool(Resources(cpus=0.5), 2)
    assert processes.call(len, "warm") == 4
    ray.kill(processes._idle[0])
    assert not any(outcome.failure for outcome in outcomes(processes, runs).values())


# Lost nodes

DEAD_NODE = """ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
\tclass_name: Worker
The actor died because its node has died. Node Id: 8f, the actor's node was terminated unexpectedly: health check"""


def test_a_lost_node_is_told_from_a_process_that_died() -> None:
    assert failures.lost_node(DEAD_NODE)
    assert not failures.lost_node(
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
    )


def test_the_runs_of_a_lost_node_are_told_of_in_one_line() -> None:
    said: list[str] = []
    lost = LostRuns(said.append)
    assert all([lost.may_go_on("trial-004"), lost.may_go_on("trial-003")])
    lost.tell()
    assert said == []  # others of that node may follow
    lost.check()
    assert said == ["a node was lost: trial-003, trial-004 go on elsewhere"]


def test_a_run_that_loses_one_node_after_the_other_is_given_up_and_is_no_failed_one() -> None:
    lost = LostRuns(lambda line: None)
    tries = [lost.may_go_on("test-seed1") for _ in range(failures.MOST_LOST + 1)]
    assert tries == [True] * failures.MOST_LOST + [False]
    with pytest.raises(NodesLost, match=r"^1 run lost 10 nodes each: --resume goes on with test-seed1$"):
        lost.check()
