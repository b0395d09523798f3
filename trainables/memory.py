"""How many images a model computes at once: a whole batch, or as much of one as the device has memory for."""

import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, inf
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Result = TypeVar("Result")

TRAINING, EVALUATION = "training", "evaluation"


class DoesNotFit(RuntimeError):
    """The device's memory does not suffice, however a batch is divided: a result of this run on this device."""


@dataclass
class Memory:
    """What a run has found out about its device's memory.

    Attributes:
        grad_accum_steps: into how many parts every training batch is divided; None: into as few as fit.
        micro_batch_size: the most images of a training batch that are computed at once.
    """

    grad_accum_steps: int | None = None
    micro_batch_size: int = 0
    _fitting: dict[str, int] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes.values())

    def size(self, kind: str, batch: int) -> int:
        """How many images of a batch to compute at once, by what is known."""
        if kind == TRAINING and self.grad_accum_steps is not None:
            return ceil(batch / self.grad_accum_steps)
        return min(batch, self._fitting.get(kind, batch))

    def run_with_oom_backoff(
        self, kind: str, batch: int, compute: Callable[[int], Result], undo: Callable[[], None]
    ) -> Result:
        """`compute(size)` of a batch; where memory does not suffice `undo`, then the same with half the size.

        A smaller size is kept for the batches that follow. Raises DoesNotFit if one image is too much, or if the parts
        of a training batch were given.
        """
        while True:
            size = self.size(kind, batch)
            try:
                result = compute(size)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
            else:
                if kind == TRAINING:
                    self.micro_batch_size = max(self.micro_batch_size, size)
                return result
            # only now has the error gone, and with it the frames that held on to what they had computed
            undo()
            release()
            self.halve(kind, batch, size)

    def halve(self, kind: str, batch: int, size: int) -> None:
        if kind == TRAINING and self.grad_accum_steps is not None:
            raise DoesNotFit(
                f"out of memory with {size} images at a time: give --grad-accum auto or above {self.grad_accum_steps}"
            )
        if size == 1:
            raise DoesNotFit("out of memory with one image at a time: choose a smaller model or a larger device")
        self._fitting[kind] = ceil(size / 2)
        if kind == TRAINING:
            self.micro_batch_size = 0
        self._notes[kind] = (
            f"a batch of {batch} images of {kind} does not fit in the device's memory: {self._fitting[kind]} at a time"
            + (", their gradients added up" if kind == TRAINING else "")
        )


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or the CPU's allocator, had no memory left."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "DefaultCPUAllocator" in text


def release() -> None:
    """Gives back to the device what nobody uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class ForwardState:
    """What a forward pass moves besides gradients, as it was: random numbers, and BatchNorm's running statistics."""

    def __init__(self, model: nn.Module) -> None:
        self.norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]

    def capture(self, device: torch.device) -> None:
        self.moved: list[Tensor] = [buffer for norm in self.norms if norm.training for buffer in norm.buffers()]
        self.kept = [buffer.clone() for buffer in self.moved]
        self.random = torch.get_rng_state()
        self.device = device
        self.random_of_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @torch.no_grad()
    def restore(self) -> None:
        for buffer, kept in zip(self.moved, self.kept, strict=True):
            buffer.copy_(kept)
        torch.set_rng_state(self.random)
        if self.random_of_device is not None:
            torch.cuda.set_rng_state(self.random_of_device, self.device)


def available() -> float:
    """Bytes of memory that this machine could still give; infinite where it does not say (it is Linux that says)."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return inf
