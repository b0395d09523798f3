"""How far the run of this process is: what the loop and the store count, and `heartbeat` tells."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from time import monotonic


@dataclass
class Progress:
    """Of the run that this process trains.

    Attributes:
        done: batches and blocks of images so far.
        longest: seconds between two of them, at most, waiting for others left out.
        waiting: for another process, which is looked at itself.
    """

    run_id: str = ""
    done: int = 0
    longest: float = 0.0
    waiting: int = 0
    last: float = 0.0


now = Progress()
begun = Event()  # a run has: it is told at once


def begin(run_id: str) -> None:
    """A run begins."""
    now.run_id, now.done, now.longest = run_id, 0, 0.0
    begun.set()


def tick() -> None:
    """A batch is done, or a block of images. Costs a tenth of a microsecond."""
    at = monotonic()
    if now.done:
        now.longest = max(now.longest, at - now.last)
    now.last = at
    now.done += 1


@contextmanager
def waiting() -> Iterator[None]:
    """Inside, this process waits for another one's work."""
    now.waiting += 1
    try:
        yield
    finally:
        now.waiting -= 1
        now.last = monotonic()
