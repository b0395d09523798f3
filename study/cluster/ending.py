"""Whether the Ray that a study runs on has ended, seen before Ray's own code notices: that takes its process with it.

What runs on this machine is a process, and looked at as one. The head of a cluster elsewhere is asked by a connection.
And a process that is there but stopped, or hangs, answers nobody, and Ray waits for it without end: so the GCS is
asked, again and again, whether this node is alive, as which it counts while its raylet answers the GCS.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from trainables.birth import born

EVERY = 0.5  # seconds
REFUSED_SECONDS = 5.0  # of a head that refuses connections
SILENT_SECONDS = 45.0  # of one that cannot be reached: Ray gives up, and aborts, after 60
ASKED_EVERY = 5.0  # seconds
UNANSWERED = 60.0  # seconds in which the GCS is asked in vain; it gives a raylet about as long
LAST = 5.0  # seconds for the last answer
STARTING, LEAVING = 180.0, 60.0  # seconds that either may take; it is done in 3 to 20

told: Callable[[str], None] | None = None  # what has ended, where somebody wants to know
limited: Callable[[float | None, str], None] | None = None  # after how many seconds what has ended; None: no limit more


@contextmanager
def watched() -> Iterator[None]:
    """Looks at it meanwhile, in threads of their own; not where nobody wants to know."""
    if told is None:
        yield
        return
    over, answers = threading.Event(), Answers()
    asking = threading.Thread(target=answers.ask, args=(over,), name="asks the GCS", daemon=True)
    looking = threading.Thread(
        target=look, args=(over, told, [*parts(), Gcs(answers), Raylet(answers)]), name="ray's end", daemon=True
    )
    asking.start()
    looking.start()
    try:
        yield
    finally:
        over.set()
        asking.join(LAST)  # Ray is left afterwards, which must not happen while it is asked


@contextmanager
def within(seconds: float, doing: str) -> Iterator[None]:
    """Inside is a call of Ray's that never returns where a process of its own is stopped: longer is Ray's end.

    The other process counts: while Ray connects it lets no other thread of this one run.
    """
    if limited is None:
        yield
        return
    limited(seconds, f"{doing} took more than {seconds:.0f} s")
    try:
        yield
    finally:
        limited(None, "")


@dataclass
class Answers:
    """What the GCS says.

    Attributes:
        number: of answers so far.
        alive: whether this node was by the last one.
    """

    number: int = 0
    alive: bool = True

    def ask(self, over: threading.Event) -> None:
        """Asks until it is over: one that is stopped never answers."""
        import ray
        from ray.experimental import internal_kv

        here = ray.get_runtime_context().get_node_id()
        while not over.wait(ASKED_EVERY):
            with suppress(Exception):  # it cannot be reached now
                internal_kv._internal_kv_exists(b"asked", namespace=b"study")  # nodes may be known here already
                self.alive = all(one["Alive"] for one in ray.nodes() if one["NodeID"] == here)
                self.number += 1


class Part:
    """One process of Ray's on this machine."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._pid = pid
        self._born = born(pid)

    def ended(self) -> bool:
        return born(self._pid) != self._born


class Head(Part):
    """The head of a cluster, on this machine or another."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.name = f"its head at {address}"
        self._address = host.strip("[]"), int(port)
        self._answered = monotonic()

    def ended(self) -> bool:
        try:
            socket.create_connection(self._address, timeout=2).close()
        except ConnectionRefusedError:
            return monotonic() - self._answered > REFUSED_SECONDS
        except OSError:
            return monotonic() - self._answered > SILENT_SECONDS
        self._answered = monotonic()
        return False


class Gcs(Part):
    """As far as it answers."""

    name = "its GCS has not answered for a minute"

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._last, self._looks = 0, 0

    def ended(self) -> bool:
        """Looks are counted, and not seconds: this process may have been stopped itself."""
        self._looks = self._looks + 1 if self._answers.number == self._last else 0
        self._last = self._answers.number
        return self._looks * EVERY > UNANSWERED


class Raylet(Part):
    """As far as the GCS believes that it is alive."""

    name = "its raylet does not answer any more"

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def ended(self) -> bool:
        return not self._answers.alive


def look(over: threading.Event, tell: Callable[[str], None], parts: list[Part]) -> None:
    while not over.wait(EVERY):
        for part in parts:
            if part.ended() and not over.is_set():
                tell(part.name)
                return


def parts() -> list[Part]:
    """What a study cannot do without, of the Ray that this process is connected to."""
    import ray

    node = ray._private.worker._global_node
    assert node is not None
    found: list[Part] = []
    if raylet := pid_of("raylet", node.raylet_socket_name):
        found.append(Part("its raylet", raylet))
    own = node.all_processes.get("gcs_server")
    return [*found, Part("its GCS", own[0].process.pid) if own else Head(str(node.gcs_address))]


def pid_of(program: str, word: str) -> int | None:
    """The process of a program that was given a word, alone or as `--option=word`."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            first, *others = entry.read_bytes().decode(errors="replace").split("\0")
            if first.endswith(program) and any(other == word or other.endswith(f"={word}") for other in others):
                return int(entry.parent.name)
    return None
