"""Processes that train runs side by side: whoever is idle takes the next one, and nobody waits for what never comes."""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util import placement_group_table

from study.design.states import Cause
from study.execution import pool
from study.execution.attempts import Attempts
from study.execution.pool import Pool
from tests.contract.tiny import POINT, RECIPE
from trainables import epochs, group
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
    monkeypatch.setattr(pool, "TrainingProcess", Sleeping)
    model = replace(RUN.model, variant=str(tmp_path))
    return [replace(RUN, run_id=f"r{n}", model=model) for n in range(6)]


def outcomes(processes: Pool, runs: list[Run]) -> dict[str, Outcome]:
    ended = processes.outcomes(runs, {}, interrupted=threading.Event(), on_start=lambda run: None)
    return {run.run_id: outcome for run, outcome in ended}


def test_fewer_places_than_were_asked_for_hold_up_nothing(runs: list[Run]) -> None:
    """Three processes that ask for two thirds of a CPU, and a bit, on two CPUs: one of them never finds a place."""
    with closing(Pool(Resources(cpus=0.667), 3)) as processes:
        assert outcomes(processes, runs).keys() == {run.run_id for run in runs}
        assert not processes._starting
        assert len(processes._idle) == 2


def test_a_run_whose_process_dies_is_tried_again_as_often_as_was_asked_for(runs: list[Run]) -> None:
    runs[1], runs[2] = replace(runs[1], seed=1), replace(runs[2], seed=2)
    said: list[str] = []
    attempts = Attempts(1, said.append)
    with closing(Pool(Resources(cpus=0.5), 2, said.append, attempts)) as processes:
        ended = outcomes(processes, runs)
    assert len(ended) == 6
    assert [name for name, outcome in ended.items() if outcome.failure] == ["r2"]
    assert attempts.cause("r2") is Cause.MACHINE
    assert sorted(line.partition(":")[0] for line in said) == ["r1", "r2"]
    assert [attempts.number(run.run_id) for run in runs[:3]] == [1, 2, 2]


class NeverThere(Sleeping):
    def ready(self) -> None:
        os._exit(1)


def test_a_run_whose_process_never_starts_is_begun_before_it_ends(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told of its end, as W&B is, knows of it."""
    monkeypatch.setattr(pool, "TrainingProcess", NeverThere)
    begun: list[Run] = []
    with closing(Pool(Resources(cpus=0.5), 1, attempts=Attempts(0))) as processes:
        ended = processes.outcomes(runs[:1], {}, interrupted=threading.Event(), on_start=begun.append)
        assert [(run, bool(outcome.failure), list(begun)) for run, outcome in ended] == [(runs[0], True, runs[:1])]


def test_a_process_that_ended_while_it_was_idle_is_replaced(runs: list[Run]) -> None:
    with closing(Pool(Resources(cpus=0.5), 1)) as processes:
        assert processes.call("length", len, "warm") == 4
        ray.kill(processes._idle[0])
        assert not any(outcome.failure for outcome in outcomes(processes, runs[:2]).values())


class Telling(Sleeping):
    """Ends when its epochs have been heard of, or after a minute."""

    def train(self, run: Run, datasets: Any, resources: Resources) -> Outcome:
        for epoch in (1, 2):
            epochs.tell(run.run_id, {"curve": {"epoch": epoch, "val_accuracy": epoch / 10}})
        until = time.monotonic() + 60
        while not (Path(run.model.variant) / f"heard-{run.run_id}").exists() and time.monotonic() < until:
            time.sleep(0.05)
        return Outcome(run.run_id)


def test_epochs_are_heard_of_in_their_order_while_their_run_trains(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TrainingProcess", Telling)
    told: list[tuple[str, str, Any]] = []

    def on_epoch(run: Run, epoch: Mapping[str, Any]) -> None:
        told.append(("epoch", run.run_id, epoch["epoch"]))
        if epoch["epoch"] == 2:
            (Path(run.model.variant) / f"heard-{run.run_id}").touch()

    with closing(Pool(Resources(cpus=0.667), 1)) as processes:
        of_two = processes.outcomes(
            runs[:2], {}, interrupted=threading.Event(), on_start=lambda run: None, on_epoch=on_epoch
        )
        for run, _ in of_two:
            told.append(("end", run.run_id, None))
    assert told == [
        *[("epoch", "r0", 1), ("epoch", "r0", 2), ("end", "r0", None)],
        *[("epoch", "r1", 1), ("epoch", "r1", 2), ("end", "r1", None)],
    ]


def test_a_group_whose_owner_died_gives_its_room_back_also_while_somebody_has_its_handle(runs: list[Run]) -> None:
    resources = Resources(cpus=0.1, workers=2)
    held = [group.owner(Sleeping, resources)]
    ray.get(held[0].ready.remote())
    [room] = [name for name, about in placement_group_table().items() if about["state"] == "CREATED"]
    ray.kill(held[0])
    group.end(held[0])
    deadline = time.monotonic() + 60
    while placement_group_table()[room]["state"] != "REMOVED":
        assert time.monotonic() < deadline
        time.sleep(0.05)
