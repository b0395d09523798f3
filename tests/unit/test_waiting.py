"""A study that waits for nodes says so, once; one whose processes take long to start does so after minutes only."""

import re
import time

import pytest
import ray

from study.execution import waiting
from study.execution.waiting import Placement, asked, pending
from trainables.resources import Resources

GPU = Resources(gpus=1)


@ray.remote(num_cpus=0)
class Process:
    pass


def test_what_no_node_holds_is_waited_for_in_one_line_and_then_it_goes_on(
    ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.1)
    monkeypatch.setattr(waiting, "EVERY", 0.1)
    said: list[str] = []
    placement = Placement(GPU, said.append)
    process = Process.options(num_cpus=1, num_gpus=1).remote()  # type: ignore[attr-defined]
    end = time.monotonic() + 120
    while not said and time.monotonic() < end:
        placement.look(running=False)
        time.sleep(0.1)
    placement.look(running=False)
    ray.kill(process)
    placement.look(running=True)
    placement.look(running=True)
    assert len(said) == 2
    assert re.fullmatch(
        r"waiting for nodes since \d\d:\d\d:\d\d: a run asks for 1 CPU and 1 GPU, and the cluster has 1 node with "
        r"\d+ CPUs? and 0 GPUs",
        said[0],
    )
    assert re.fullmatch(r"it goes on, after \d+ s", said[1])


def test_what_has_not_started_for_long_is_told_of_though_nothing_waits_for_a_place(
    ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.0)
    monkeypatch.setattr(waiting, "PATIENCE", 0.1)
    said: list[str] = []
    placement = Placement(Resources(cpus=0.123), said.append)
    for seconds in (waiting.ANY, 0.2, 0.2):
        monkeypatch.setattr(waiting, "ANY", seconds)
        time.sleep(0.2)
        placement.look(running=False)
    assert len(said) == 1
    assert re.fullmatch(
        r"no run has started since \d\d:\d\d:\d\d: one starts slowly, or Ray waits for a stopped node", said[0]
    )


def test_a_cluster_without_a_request_like_ours_keeps_nobody_waiting(ray_session: None) -> None:
    assert not pending(Resources(cpus=0.123, gpus=0.5))


def test_what_a_run_asks_for_is_said_in_words() -> None:
    assert asked(Resources(cpus=0.5)) == "0.5 CPU"
    assert asked(Resources(workers=4, gpus=1, pack=True)) == "4 times 1 CPU and 1 GPU on one node"
