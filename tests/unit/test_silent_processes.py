"""A process that is stopped before it has given a sign of life is ended; one that starts, or goes on, is not."""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray import cloudpickle
from ray.tune.trainable import wrap_function

from study.execution import pool, watchdog
from study.execution.attempts import Attempts
from study.execution.pool import Pool, Unanswered
from study.execution.unheard import Unheard, actors
from study.execution.watchdog import Watchdog
from tests.unit.test_pool import RUN, outcomes
from trainables import heartbeat
from trainables.resources import Resources
from trainables.run import Outcome, Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals to processes of Ray's")
STARTING = 600.0
HALF = Resources(cpus=0.5)


class TrainingProcess:
    """In the place of the one that trains, without its signs of life: it stops in the course of its start, or later."""

    def __init__(self, here: str = "", *, stops: bool = False) -> None:
        if here:
            Path(here).write_text(str(os.getpid()))
        if stops:
            os.kill(os.getpid(), signal.SIGSTOP)

    def ready(self) -> int:
        return os.getpid()

    def train(self, run: Run, datasets: Any, resources: Resources) -> Outcome:
        mark = Path(run.model.variant) / run.run_id
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return Outcome(run.run_id)

    def call(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)


@pytest.fixture
def impatient(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool whose processes stop, and a watchdog that looks twice a second and may end one after a second."""
    monkeypatch.setattr(pool, "TrainingProcess", TrainingProcess)
    monkeypatch.setattr(watchdog, "EVERY", 0.5)
    monkeypatch.setattr(watchdog, "LEAST", 1.0)


class Looks:
    """At processes, a minute after the other."""

    def __init__(self) -> None:
        self.unheard, self.now = Unheard(), 0.0

    def next(self) -> list[tuple[int, float]]:
        found = list(self.unheard.look(self.now, (), patience=60, starting=STARTING))
        self.now += 60
        return [(process["pid"], silent) for _, process, silent in found]


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@contextmanager
def started(*arguments: Any, **more: Any) -> Iterator[Any]:
    remote: Any = ray.remote(num_cpus=0.1)(TrainingProcess)
    actor = remote.remote(*arguments, **more)
    try:
        yield actor
    finally:
        ray.kill(actor)
        wait_for(lambda: not actors())


def test_one_that_is_stopped_while_it_starts_is_ended_after_two_looks(ray_session: None, tmp_path: Path) -> None:
    with started(str(tmp_path / "pid"), stops=True):
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        pid = int((tmp_path / "pid").read_text())
        wait_for(lambda: stopped(pid))
        looks = Looks()
        assert [looks.next() for _ in range(3)] == [[], [], [(pid, 120.0)]]


@pytest.mark.parametrize("pickled", [False, True])
def test_the_process_of_a_trial_is_known_under_either_name_that_ray_has_for_its_class(
    ray_session: None, pickled: bool
) -> None:
    """Tune makes that in a function; reading it from its pickle gives it back, or another if it is no longer there."""
    made = wrap_function(lambda config: None)
    if pickled:
        pickle = cloudpickle.dumps(made)
        del made
        gc.collect()
        made = cloudpickle.loads(pickle)
    assert made.__qualname__ == ("ImplicitFunc" if pickled else "wrap_function.<locals>.ImplicitFunc")
    actor: Any = ray.remote(num_cpus=0.1)(made).remote({})
    wait_for(actors)
    [found] = actors().values()
    ray.kill(actor)
    wait_for(lambda: not actors())
    assert found["ActorClassName"] == made.__qualname__


def test_one_that_goes_on_between_two_looks_is_left_alone_and_one_that_never_starts_is_ended(ray_session: None) -> None:
    with started() as actor:
        pid = ray.get(actor.ready.remote())
        looks = Looks()
        assert looks.next() == []
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: stopped(pid))
        assert looks.next() == []
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not stopped(pid))
        while looks.now <= STARTING:
            assert looks.next() == []
        assert looks.next() == [(pid, STARTING + 60)]
        looks.unheard.wait(STARTING)  # nobody looked for so long
        assert looks.next() == []
        assert list(looks.unheard.look(looks.now, actors(), patience=60, starting=0)) == []


def test_a_run_whose_process_was_stopped_before_its_first_sign_is_tried_again_and_the_record_says_why(
    impatient: None, tmp_path: Path
) -> None:
    (tmp_path / "marks").mkdir()
    heartbeat.start()  # this process is no run's, and gives none
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]
    run = replace(RUN, run_id="r0", model=replace(RUN.model, variant=str(tmp_path / "marks")))
    said: list[str] = []
    attempts = Attempts(1, said.append)
    dog = Watchdog(attempts, tmp_path, timeout=1)
    with closing(Pool(HALF, 1, said.append, attempts, dog)) as processes:
        assert not outcomes(processes, [run])["r0"].failure
    [line] = said
    assert line.startswith("r0: its process gave no sign of life for ")
    assert line.endswith(" and was ended (stacks: stalled/r0.txt); it is tried again in 1 s (1 of 1 time)")
    assert "is stopped" in (tmp_path / "stalled" / "r0.txt").read_text()


def stops(mark: Path, times: int) -> int:
    """Stops its process so many times, once a process, and returns that of the last one."""
    seen = mark.read_text().split() if mark.exists() else []
    if len(seen) < times:
        mark.write_text(" ".join([*seen, str(os.getpid())]))
        os.kill(os.getpid(), signal.SIGSTOP)
    return os.getpid()


def test_a_call_whose_process_is_stopped_is_made_again_in_another(impatient: None, tmp_path: Path) -> None:
    said: list[str] = []
    attempts = Attempts(2, said.append)
    with closing(Pool(HALF, 1, attempts=attempts, watchdog=Watchdog(attempts, tmp_path, timeout=1))) as processes:
        answered = processes.call("saliency", stops, tmp_path / "mark", 2)
    assert str(answered) not in (tmp_path / "mark").read_text().split()
    assert len(said) == 2
    for number, line in enumerate(said, start=1):
        assert line.startswith("saliency: its process gave no sign of life for ")
        assert f" and was ended (stacks: stalled/saliency.txt); it is tried again in {number} s ({number} of 2" in line
    assert (tmp_path / "stalled" / "saliency.txt").read_text().count("is stopped") == 2


def test_a_call_that_is_given_up_says_why(impatient: None, tmp_path: Path) -> None:
    attempts = Attempts(1)
    with (
        closing(Pool(HALF, 1, attempts=attempts, watchdog=Watchdog(attempts, timeout=1))) as processes,
        pytest.raises(Unanswered, match=r"^saliency: its process gave no sign of life for \d+ s$"),
    ):
        processes.call("saliency", stops, tmp_path / "mark", 2)


def test_an_error_of_the_function_itself_is_raised_at_once(ray_session: None, tmp_path: Path) -> None:
    said: list[str] = []
    with closing(Pool(HALF, 1, attempts=Attempts(2, said.append))) as processes, pytest.raises(FileNotFoundError):
        processes.call("reading", Path.read_text, tmp_path / "nothing")
    assert not said


def test_the_process_of_the_pool_gives_signs_of_life_as_soon_as_it_is_there(ray_session: None) -> None:
    heard: list[dict[str, Any]] = []
    attempts = Attempts(1)
    dog = Watchdog(attempts, heard=heard.append)
    with closing(Pool(HALF, 1, attempts=attempts, watchdog=dog)) as processes:
        pid = processes.call("pid", os.getpid)

        def told() -> bool:
            dog._looked = -100.0
            dog.look(list)
            return pid in [said["pid"] for said in heard]

        wait_for(told)
    assert next(said["run_id"] for said in heard if said["pid"] == pid) == ""
