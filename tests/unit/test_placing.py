"""A trial of one process waits for its place in Ray's own queue, and leaves it when it is not needed any more."""

from inspect import signature
from pathlib import Path

import pytest
import ray
from ray import tune
from ray._private import state as rays
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution import tune_controller
from ray.util import placement_group_table

from study.execution import placing


def two_trials_with_room_for_one(folder: Path) -> set[str]:
    """The placement groups that there were for them."""

    def trial(config: dict[str, float]) -> None:
        tune.report({"lr": config["lr"]})

    before = set(placement_group_table())
    ended = tune.Tuner(
        tune.with_resources(trial, {"CPU": ray.cluster_resources()["CPU"]}),
        param_space={"lr": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=2, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    assert (len(ended), ended.errors) == (2, [])
    return set(placement_group_table()) - before


def processes_of_trials() -> dict[str, int]:
    """Of this session: the pid of each that Ray was asked for, 0 if it was never started."""
    job = ray.JobID(bytes.fromhex(ray.get_runtime_context().get_job_id()))
    return {
        name: one["Pid"] for name, one in rays.actors(job_id=job).items() if "ImplicitFunc" in one["ActorClassName"]
    }


def test_trials_have_no_placement_groups_and_a_process_that_is_needed_no_more_is_never_started(
    ray_session: None, tmp_path: Path
) -> None:
    before = processes_of_trials()
    with placing.without_groups():
        assert two_trials_with_room_for_one(tmp_path) == set()
    asked = {name: pid for name, pid in processes_of_trials().items() if name not in before}
    assert sorted(pid > 0 for pid in asked.values()) == [False, True]


def test_who_did_not_ask_for_that_has_tunes_own_groups(ray_session: None, tmp_path: Path) -> None:
    with placing.without_groups():
        pass
    assert two_trials_with_room_for_one(tmp_path)


def test_rays_names_are_those_that_are_replaced() -> None:
    """Fails with a Ray that has changed them; a search goes on with groups there."""
    assert placing._remove is RayActorManager.remove_actor
    assert placing._groups is vars(tune_controller)["PlacementGroupResourceManager"]
    assert [*signature(placing._remove).parameters] == [*signature(placing.remove_actor).parameters]


def test_a_ray_without_them_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RayActorManager.remove_actor, vars(tune_controller)["PlacementGroupResourceManager"]
    monkeypatch.setattr(placing, "_remove", None)
    with placing.without_groups():
        assert (RayActorManager.remove_actor, vars(tune_controller)["PlacementGroupResourceManager"]) == before
