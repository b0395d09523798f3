"""Whatever ended the process of a trial, Tune hears of the death of an actor, and goes on."""

from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError
from ray.tune.execution.tune_controller import TuneController

from study.design.states import Cause
from study.execution import actor_deaths
from study.execution.attempts import cause_of
from study.execution.failures import failure_reason

KILLED = """4 worker(s) were killed due to the node running low on memory. \
Memory on the node (IP: 10.0.0.7, ID: bc1bc7) was 8.68GB used / 9.00GB limit (0.964)"""


@pytest.mark.parametrize("error", [OutOfMemoryError(KILLED), NodeDiedError("its node has died"), RayActorError()])
def test_a_process_that_was_ended_is_an_actor_that_died(error: RayError) -> None:
    told: list[Any] = []
    actor = SimpleNamespace(actor_id=1, _on_error=lambda actor, error: told.append(error))
    manager: Any = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    task: Any = SimpleNamespace(_tracked_actor=actor, _on_error=None)
    actor_deaths.heed()
    RayActorManager._actor_task_failed(manager, task, error)
    assert [type(one) for one in told] == [RayActorError]
    assert str(error).splitlines()[-1] in str(told[0])


def test_that_memory_was_lacking_is_still_the_reason_and_the_machines_fault() -> None:
    said = f"ray.exceptions.RayActorError: {actor_deaths.as_death(OutOfMemoryError(KILLED))}"
    assert "node 10.0.0.7 ran out of memory: 8.68 of 9.00 GB were in use" in failure_reason(said)
    assert cause_of(said) is Cause.MACHINE


def test_an_exception_of_the_programs_own_stays_one() -> None:
    error = KeyError("lr")
    assert actor_deaths.as_death(error) is error


def test_rays_method_has_the_arguments_that_it_is_replaced_for() -> None:
    """Fails with a Ray that has changed it; a search goes on without this there."""
    assert actor_deaths._task_failed is not None
    for rays, ours in (
        (actor_deaths._task_failed, actor_deaths.task_failed),
        (actor_deaths._trial_failed, actor_deaths.trial_failed),
    ):
        assert [*signature(rays).parameters] == [*signature(ours).parameters]


def test_a_ray_without_that_method_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RayActorManager._actor_task_failed, TuneController._trial_task_failure
    monkeypatch.setattr(actor_deaths, "_task_failed", None)
    actor_deaths.heed()
    assert (RayActorManager._actor_task_failed, TuneController._trial_task_failure) == before
