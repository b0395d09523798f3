"""Batches of what lies in the CPU's memory, on their way to a GPU: a thread brings each before its step asks for it.

It gathers rows into pinned buffers that are used again, and has the GPU copy them on a stream of its own: neither the
loop nor the GPU waits for a copy, unless copies take longer than steps.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

import torch
from torch import Tensor

AHEAD = 2  # batches

Item = TypeVar("Item")
Batch = tuple[Tensor, Tensor]


class Ahead(Generic[Item]):
    """What a function makes of some things, in their order, made in a thread while the one before is used.

    An error of the function, or of who says what the things are, is raised where its result would have come.
    """

    def __init__(self, make: Callable[[Tensor], Item], things: Iterable[Tensor], ahead: int = AHEAD) -> None:
        self._make, self._things = make, things
        self._room, self._stopped = Semaphore(ahead), False
        self._made: SimpleQueue[Item | BaseException | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="prefetch", daemon=True)

    def __iter__(self) -> Iterator[Item]:
        self._thread.start()
        try:
            while (made := self._made.get()) is not None:
                if isinstance(made, BaseException):
                    raise made
                self._room.release()
                yield made
        finally:
            self._stopped = True
            self._room.release()
            self._thread.join()

    def _work(self) -> None:
        try:
            for thing in self._things:
                self._room.acquire()
                if self._stopped:
                    return
                self._made.put(self._make(thing))
        except BaseException as error:  # it is the loop's
            self._made.put(error)
        finally:
            self._made.put(None)


class PinnedCopies:
    """Brings batches to a GPU by way of pinned buffers, one more than may be under way.

    Args:
        gather: writes rows (N,) into a buffer, if it has one that is large enough, and returns what it wrote: rows as
            they are to lie on the device, but for the layout, which `seen` gives them back.
        seen: of what lies on the device, as the loop takes it.
        labels: all, on the device.
    """

    def __init__(
        self,
        gather: Callable[[Tensor, Tensor | None], Tensor],
        seen: Callable[[Tensor], Tensor],
        labels: Tensor,
        buffers: int = AHEAD + 1,
    ) -> None:
        self.gather, self.seen, self.labels, self.device = gather, seen, labels, labels.device
        self.buffers: list[Tensor | None] = [None] * buffers
        self.copied = [torch.cuda.Event() for _ in range(buffers)]
        self.next = 0
        self.stream = copying_stream(self.device)
        self.stream.wait_stream(torch.cuda.current_stream(self.device))  # for the labels

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor, torch.cuda.Event]:
        """A batch, and what happens when it is on the device. Called by one thread."""
        number, self.next = self.next, (self.next + 1) % len(self.buffers)
        self.copied[number].synchronize()  # the copy of what the buffer held last
        buffer = self.buffers[number]
        if buffer is None or len(buffer) < len(rows):
            gathered = self.gather(rows, None)
            buffer = self.buffers[number] = torch.empty_like(gathered, pin_memory=True)
        here = self.gather(rows, buffer[: len(rows)])
        with torch.cuda.stream(self.stream):
            there = here.to(self.device, non_blocking=True)
            labels = self.labels.index_select(0, rows.pin_memory().to(self.device, non_blocking=True))
            self.copied[number].record(self.stream)
            arrived = torch.cuda.Event()
            arrived.record(self.stream)
        return self.seen(there), labels, arrived

    def batches(self, orders: Iterable[Tensor]) -> Iterator[Batch]:
        """Each on the device for whatever the loop's stream does next."""
        for images, labels, arrived in Ahead(self, orders):
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(arrived)
            images.record_stream(stream)
            labels.record_stream(stream)
            yield images, labels


@cache
def copying_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all runs of a process: torch keeps the memory of a stream for that stream."""
    return torch.cuda.Stream(device)
