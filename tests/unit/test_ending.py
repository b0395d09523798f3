"""Which of Ray's processes on this machine a study cannot do without, and when it has to do without one."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from study.cluster import ending
from study.cluster.ending import Answers, Gcs, Raylet, pid_of

SOCKETS = ["/there/sockets/raylet.1", "/there/sockets/raylet", "/there/sockets/raylet.2"]


@contextmanager
def started(socket: str) -> Iterator[int]:
    """A process that looks as a raylet with that socket does."""
    words = [
        "/ray/raylet",
        "-c",
        "input()",
        f"--raylet_socket_name={socket}",
        f"--command=worker --raylet={socket}.9 x",
    ]
    process = subprocess.Popen(words, executable=sys.executable, stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_of_several_nodes_on_one_machine_the_own_raylet_is_found() -> None:
    with ExitStack() as stack:
        pids = [stack.enter_context(started(socket)) for socket in SOCKETS]
        assert [pid_of("raylet", socket) for socket in SOCKETS] == pids
    assert pid_of("raylet", SOCKETS[0]) is None


def test_the_gcs_is_asked_until_it_is_over_and_this_node_is_alive(
    ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "ASKED_EVERY", 0.01)
    over, answers = threading.Event(), Answers()
    asking = threading.Thread(target=answers.ask, args=(over,))
    asking.start()
    while answers.number < 3:
        assert asking.is_alive()
    over.set()
    asking.join(30)
    assert not asking.is_alive()
    assert not Raylet(answers).ended()


def test_a_gcs_that_does_not_answer_has_ended_after_a_minute_of_looks_and_not_when_it_answered_meanwhile() -> None:
    answers = Answers()
    gcs, looks = Gcs(answers), int(ending.UNANSWERED / ending.EVERY)
    assert not any(gcs.ended() for _ in range(looks))
    answers.number += 1
    assert not any(gcs.ended() for _ in range(looks + 1))
    assert gcs.ended()


def test_a_raylet_that_the_gcs_takes_for_dead_has_ended() -> None:
    assert Raylet(Answers(number=9, alive=False)).ended()
