"""Whether the Ray that a study runs on has ended, seen before Ray's own code notices: that takes its process with it.

What runs on this machine is a process, and looked at as one. The head of a cluster elsewhere is asked by a connection.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from trainables.birth import born

EVERY = 0.5  # seconds
REFUSED_SECONDS = 5.0  # of a head that refuses connections
SILENT_SECONDS = 45.0  # of one that cannot be reached: Ray gives up, and aborts, after 60

told: Callable[[str], None] | None = None  # what has ended, where somebody wants to know


def watch(over: threading.Event) -> None:
    """Starts to look, until it is over, in a thread of its own; does nothing where nobody wants to know."""
    if told is not None:
        threading.Thread(target=look, args=(over, told, parts()), name="ray's end", daemon=True).start()


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
