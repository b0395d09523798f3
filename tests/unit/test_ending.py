"""Which of Ray's processes on this machine a study cannot do without."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from study.cluster.ending import pid_of

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
