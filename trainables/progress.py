"""How far the run of this process is: what the loop and the store count, and `heartbeat` tells."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from time import monotonic
from typing import Any

LOSSES = 4  # batches whose mean loss is told while an epoch is trained


@dataclass
class Progress:
    """Of the run that this process trains.

    Attributes:
        done: batches and blocks of images so far.
        longest: seconds between two of them, at most, waiting for others left out.
        waiting: for another process, which is looked at itself.
        storing: what it fills in the store of activations, if it does.
        epochs: that it will train.
        epoch: the one under way; None before the first.
        ended: the last one that has ended, as the loop reports it.
    """

    run_id: str = ""
    done: int = 0
    longest: float = 0.0
    waiting: int = 0
    last: float = 0.0
    storing: str = ""
    epochs: int = 0
    epoch: "Epoch | None" = None
    ended: Any = None


@dataclass
class Epoch:
    """An epoch under way.

    Attributes:
        number: from 1.
        batches: the images of each.
        losses: of the batches so far, which the loop adds to.
        before: how many of these were trained before `since`, by `monotonic`.
    """

    number: int
    batches: Sequence[int]
    losses: Sequence[Any]
    before: int
    since: float = field(default_factory=monotonic)


now = Progress()
begun = Event()  # a run has: it is told at once
alone = Lock()  # who holds it is the only one that asks the device for anything


def begin(run_id: str) -> None:
    """A run begins."""
    now.run_id, now.done, now.longest = run_id, 0, 0.0
    now.storing, now.epochs, now.epoch, now.ended = "", 0, None, None
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


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Inside, this process fills something in the store."""
    now.storing = what
    try:
        yield
    finally:
        now.storing = ""


def position() -> dict[str, Any]:
    """Where the run is, in plain values, for whoever watches it.

    It asks for the loss of the last batches, for which a GPU has to have come so far: in a thread that may wait.
    """
    told: dict[str, Any] = {"storing": now.storing, "epochs": now.epochs}
    if (ended := now.ended) is not None:
        told |= {"epoch": ended.epoch, "train_loss": ended.train_loss, "seconds": ended.seconds}
        told |= {name: value for name, value in vars(ended).items() if name.startswith("val_")}
    if (epoch := now.epoch) is not None:
        steps = len(epoch.losses)
        images, took = sum(epoch.batches[epoch.before : steps]), monotonic() - epoch.since
        told |= {"training": epoch.number, "part": steps / max(len(epoch.batches), 1)}
        if last := epoch.losses[-LOSSES:]:
            with alone:
                told |= {"train_loss": sum(map(float, last)) / len(last)}
        if steps < len(epoch.batches) and images:  # else it validates, and the rate would fall
            told["images_per_second"] = images / max(took, 1e-9)
    return told
