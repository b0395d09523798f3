"""Runs that make no progress are found by their own pace, ended, and tried again; others are left alone."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from study.execution import processes
from study.execution.attempts import Attempts
from study.execution.processes import end_here
from study.execution.watchdog import Seen, Watchdog
from trainables import progress
from trainables.birth import born

HANGING = """
import sys, time
from trainables import heartbeat

def hang():
    print(heartbeat.stacks(), flush=True)
    time.sleep(600)

hang()
"""


def seen(*, heard: float = 0.0, moved: float = 0.0, done: int = 3) -> Seen:
    return Seen({"run_id": "trial-001", "done": done, "longest": 0.0}, 1, -heard, -moved)


def why(timeout: float | None, *group: Seen, longest: float = 0.0) -> str:
    dog = Watchdog(Attempts(1), timeout=timeout)
    dog._longest = longest
    return dog._why(list(group), now=0.0)


def test_a_run_that_gives_signs_and_comes_further_is_left_alone() -> None:
    assert why(None, seen(heard=59, moved=119)) == ""


def test_a_process_that_is_stopped_is_known_by_its_silence() -> None:
    assert why(None, seen(heard=61)) == "its process gave no sign of life for 1 min 01 s"
    assert why(20, seen(heard=21)) == "its process gave no sign of life for 21 s"


def test_one_that_hangs_is_known_by_its_pace() -> None:
    assert why(None, seen(moved=121)) == "it made no progress for 2 min 01 s"
    assert why(None, seen(moved=121), longest=10) == ""
    assert why(None, seen(moved=501), longest=10) == "it made no progress for 8 min 21 s"
    assert why(1, seen(heard=9, moved=14)) == ""  # a sign comes every five seconds
    assert why(30, seen(moved=31), longest=10) == "it made no progress for 31 s"


def test_before_its_first_batch_a_run_has_time_to_read_its_images() -> None:
    assert why(None, seen(moved=599, done=0)) == ""
    assert why(None, seen(moved=601, done=0))
    assert why(15, seen(moved=119, done=0)) == ""  # it may have asked for less than a process needs to start
    assert why(15, seen(moved=121, done=0))
    assert why(150, seen(moved=149, done=0)) == ""
    assert why(15, seen(heard=16, done=0)) == "its process gave no sign of life for 16 s"


def test_a_group_of_workers_moves_if_one_of_them_does_and_stops_with_any() -> None:
    assert why(None, seen(moved=500), seen(moved=1)) == ""
    assert why(None, seen(heard=61), seen())


def test_the_pace_is_that_of_batches_without_waiting_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    progress.begin("trial-001")
    for seconds in (50, 2, 3):  # what comes before the first batch is no pace
        clock[0] += seconds
        progress.tick()
    with progress.waiting():
        clock[0] += 500
    clock[0] += 1
    progress.tick()
    assert (progress.now.done, progress.now.longest) == (4, 3)
    progress.begin("trial-002")
    assert (progress.now.done, progress.now.longest) == (0, 0)


def test_a_process_tells_its_epoch_its_loss_and_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    progress.begin("trial-001")
    with progress.storing("100 images"):
        assert progress.position()["storing"] == "100 images"
    progress.now.epochs, losses = 5, [0.75]
    progress.now.epoch = progress.Epoch(2, [64, 64, 22], losses, before=1, since=clock[0])  # which goes on
    progress.now.ended = SimpleNamespace(epoch=1, train_loss=1.0, seconds=3.0, val_accuracy=0.5)
    clock[0] += 2
    losses.append(0.25)
    told = progress.position()
    assert (told["epoch"], told["training"], told["epochs"], told["part"]) == (1, 2, 5, pytest.approx(2 / 3))
    assert (told["train_loss"], told["val_accuracy"], told["images_per_second"]) == (0.5, 0.5, 32)
    losses.append(0.25)
    assert "images_per_second" not in progress.position()  # it validates
    progress.begin("trial-002")
    assert progress.position() == {"storing": "", "epochs": 0}


def hanging() -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, int(process.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="its memory files, and /proc")
@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_is_ended_and_its_stacks_say_where_it_hung(stopped: bool) -> None:
    process, descriptor = hanging()
    with process:
        began = born(process.pid)
        assert began
        assert end_here(process.pid, "1", descriptor) == ""  # another of its number
        assert process.poll() is None
        if stopped:
            process.send_signal(signal.SIGSTOP)
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                time.sleep(0.01)
        said = end_here(process.pid, began, descriptor)
        assert process.wait() == -signal.SIGKILL
        assert ("in hang" in said) != stopped
        assert said.startswith(f"process {process.pid} is stopped") == stopped


def test_what_was_ended_is_kept_in_the_record_and_told_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    attempts = Attempts(1, said.append)
    dog = Watchdog(attempts, tmp_path)
    forgotten: list[bytes] = []
    monkeypatch.setattr(dog, "_forget", forgotten.append)

    def end(told: dict[str, Any]) -> str:
        return "the stacks"

    monkeypatch.setattr(processes, "end", end)
    stopped = seen()
    stopped.said |= {"pid": 4711, "run_id": "trial-000"}  # stopped before it told of its new run
    dog._end("it made no progress for 2 min 01 s", {b"key": stopped.said})
    assert forgotten == [b"key"]
    attempts.failed("trial-002", "The actor died unexpectedly.\n\tpid: 4712\n")
    attempts.failed("trial-001", "The actor died unexpectedly.\n\tclass_name: ImplicitFunc\n\tpid: 4711\n")
    assert (tmp_path / "stalled" / "trial-001.txt").read_text() == (
        "trial-001: it made no progress for 2 min 01 s\n\nthe stacks\n\n"
    )
    assert [path.name for path in (tmp_path / "stalled").iterdir()] == ["trial-001.txt"]
    assert said[1:] == [
        "trial-001: it made no progress for 2 min 01 s, and was ended (stacks: stalled/trial-001.txt); "
        "it is tried again in 1 s (1 of 1 time)"
    ]


def test_of_a_group_whose_worker_was_ended_another_one_may_be_named() -> None:
    attempts = Attempts(1)
    attempts.explain(4711, "trial-003", lambda run_id: f"{run_id} hung")
    assert attempts.failed("trial-003", "ray::Member.run() (pid=4712)\nRuntimeError: closed").reason == "trial-003 hung"
