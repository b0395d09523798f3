"""Steps of a head on features that lie on a GPU: after the first few, one CUDA graph each.

Such a step is some 35 kernels of a few microseconds; without a graph a GPU waits for Python and for every launch. A
graph holds the very functions that a step calls (`Step.gradients`, `Step.update`), and the gathering of its rows: with
one launch it does what they did, on whatever rows and at whatever learning rates are put where it reads them.

What cannot be recorded is computed step by step, as it would be without this, and the run says so.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor

from trainables import progress
from trainables.batches import Examples
from trainables.memory import TRAINING, release
from trainables.optimisation import DeviceRates
from trainables.step import Step

REHEARSALS = 3  # steps of a size before it is recorded: what libraries allocate and choose at first is no part of it
WORTH_IT = 64  # steps of a phase from which on a graph is worth some 30 ms for recording it


class Recording(Protocol):
    """What a function did on a device."""

    loss: Tensor  # that it returned; every replay writes there

    def replay(self) -> None: ...


class Recorder(Protocol):
    def rehearsal(self) -> AbstractContextManager[None]:
        """Inside, a step is computed as it is going to be recorded."""
        ...

    def record(self, compute: Callable[[], Tensor]) -> Recording:
        """Raises RuntimeError where it cannot be done; nothing has been computed then either."""
        ...


def graphed(step: Step, images: Examples, *, steps: int) -> "GraphedSteps | None":
    """The steps of a phase, where graphs may hold them: of a head alone, all that it needs being on one GPU.

    fp16's scaler looks at the gradients of every step, mixes are drawn on the CPU, and workers wait for each other.
    """
    model, device = step.alone, images.gathers_on
    head_alone = images.boundary == model.freeze_depth == model.backbone_stages
    if not head_alone or steps < WORTH_IT or step.mix or step.world.size > 1 or step.scaler.is_enabled():
        return None
    recorder = recorder_of(device)
    return GraphedSteps(step, images, recorder, device) if recorder else None


def recorder_of(device: torch.device) -> Recorder | None:
    return CudaRecorder(device) if device.type == "cuda" else None


class GraphedSteps:
    """Calls a step on rows, the first few of each size as it is, the others as recorded.

    An epoch's batches are of two sizes at most (`Examples.batch_sizes`), so there are two graphs.

    Learning rates are float32 tensors on the device for all of these steps, recorded or not: a graph would keep a plain
    number for ever. A plain number is a double, so rates differ by their rounding, 6e-8 of themselves.
    """

    def __init__(self, step: Step, images: Examples, recorder: Recorder, device: torch.device) -> None:
        self.step, self.images, self.recorder = step, images, recorder
        step.rates = self.rates = DeviceRates(step.optimizer, device)
        self.rehearsals: dict[int, int] = {}
        self.rows: dict[int, Tensor] = {}
        self.recordings: dict[int, Recording] = {}
        self.records = True

    def __call__(self, rows: Tensor) -> Tensor:
        """Returns the loss of a batch, still on the device.

        Args:
            rows: (N,) int64 on the device where the images are looked up.
        """
        size = len(rows)
        self.rates.refresh()
        if recording := self.recordings.get(size):
            self.rows[size].copy_(rows)
            recording.replay()
            self.step.advance()
            return recording.loss.clone()
        with self.recorder.rehearsal() if self.records else nullcontext():
            loss = self.step(*self.images.batch(rows), self.images.boundary)
        if self.records:
            self.rehearsals[size] = self.rehearsals.get(size, 0) + 1
            if self.rehearsals[size] == REHEARSALS:
                self.record(rows)
        return loss

    def record(self, rows: Tensor) -> None:
        size, memory = len(rows), self.step.memory
        if memory.size(TRAINING, size) < size:  # it is computed in parts: there is no memory to spare
            self.give_up()
            return
        self.rows[size] = rows.clone()
        try:
            self.recordings[size] = self.recorder.record(partial(self.compute, self.rows[size]))
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            memory.note("graph", f"steps could not be recorded as a CUDA graph, and are launched one by one: {reason}")
            self.give_up()

    def give_up(self) -> None:
        self.records = False
        self.recordings.clear()
        release()

    def compute(self, rows: Tensor) -> Tensor:
        """What a graph holds: all that `Step.__call__` has the device do."""
        images, labels = self.images.batch(rows)
        loss = self.step.gradients(self.step.model, images, labels, self.images.boundary, len(rows), len(rows))
        self.step.update()
        return loss


@dataclass
class CudaRecording:
    graph: torch.cuda.CUDAGraph
    loss: Tensor

    def replay(self) -> None:
        self.graph.replay()


class CudaRecorder:
    """Records on a stream of its own, on which it also rehearses: see "CUDA semantics" in the notes of torch."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, recording_stream(device)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            here.wait_stream(self.stream)

    def record(self, compute: Callable[[], Tensor]) -> CudaRecording:
        graph = torch.cuda.CUDAGraph()
        try:
            # The outer `stream` brings back the one before it also where torch's own does not, as when recording fails.
            # thread_local: another thread may allocate; but none may wait for the device, which `alone` sees to.
            with (
                progress.alone,
                torch.cuda.stream(self.stream),
                torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
            ):
                loss = compute()
        except RuntimeError:
            forget_recording(self.device)
            raise
        return CudaRecording(graph, loss)


@cache
def recording_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all runs of a process: cuBLAS keeps some memory for every stream that it has ever worked on."""
    return torch.cuda.Stream(device)


def forget_recording(device: torch.device) -> None:
    """A recording that failed leaves the device's random numbers waiting for its end: nothing could draw any more."""
    with suppress(RuntimeError):
        generator = torch.cuda.default_generators[device.index or 0]
        generator.graphsafe_set_state(generator.clone_state())
