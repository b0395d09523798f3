"""How many images a model computes at once: a whole batch, or as much of one as the device has memory for."""

import gc
import os
import resource
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, inf
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, UntypedStorage, nn
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
        make_room: gives back what lies on the device for others than this run; whether there was anything.
    """

    grad_accum_steps: int | None = None
    micro_batch_size: int = 0
    make_room: Callable[[], bool] = lambda: False
    _fitting: dict[str, int] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes.values())

    def note(self, kind: str, text: str) -> None:
        """Something is to be said of the run; of each kind once."""
        self._notes[kind] = text

    def state_dict(self) -> dict[str, Any]:
        return {"micro_batch_size": self.micro_batch_size, "fitting": dict(self._fitting), "notes": dict(self._notes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.micro_batch_size = state["micro_batch_size"]
        self._fitting, self._notes = dict(state["fitting"]), dict(state["notes"])

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
            if not self.make_room():
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


# How allocators, and the libraries that allocate for themselves, say that there was no memory left
NO_MEMORY = (
    "out of memory",
    "DefaultCPUAllocator",
    "ALLOC_FAILED",  # cuBLAS and cuDNN
    "ALLOCATION_FAILED",  # cuDNN's graphs, of the host or of the device
    "CUBLAS_STATUS_NOT_INITIALIZED",  # no room for a handle and its workspace
    "CUDNN_STATUS_NOT_INITIALIZED",
    "unable to find an engine to execute",  # no algorithm whose workspace would fit
    "Unable to find a valid cuDNN algorithm",
)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or the CPU's allocator, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in NO_MEMORY)


def training_bytes(model: nn.Module, size: int, batch: int, *, half: bool) -> float:
    """An estimate of the memory that training all of a model takes, without the process around it.

    Weights, gradients and AdamW's two moments, 4 bytes each; and what a forward pass of a batch keeps for the backward
    one, half of it in half precision; and a quarter more. For batches of 64 in bf16 an H200 measured 0.77 to 0.95 of
    it (docs/gpu.md: ViT-S 2.5 GiB, ResNet-50 3.0, CoAtNet-1 9.8, AlexNet 1.1).

    Args:
        model: is moved to no device at all; whoever has it must not use it again.
        size: of its square images, in pixels.
        batch: images in a training batch.
        half: it computes in half precision.
    """
    model = model.to("meta").eval()
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage  # alive, so that no other has its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.empty(batch, 3, size, size, dtype=torch.uint8, device="meta"))
    activations = sum(storage.nbytes() for address, storage in kept.items() if address not in own)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 1.25 * (16 * parameters + activations / (2 if half else 1))


def release() -> None:
    """Gives back to the device what nobody uses any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def share_device(device: torch.device, share: float) -> None:
    """Keeps this process to its share of a GPU's memory, so that none can take what its neighbours count on."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)


def resident_budget(device: torch.device) -> float:
    """Bytes of images and boundaries that may lie on a device: they leave most of a GPU to training.

    Of the process's share, whatever its neighbours have taken of theirs, and whatever it has taken itself.
    """
    if device.type != "cuda":
        return inf
    total = torch.cuda.get_device_properties(device).total_memory
    return int(torch.cuda.get_per_process_memory_fraction(device) * total) // 4


class PeakMemory:
    """The most memory that a run holds: of its own, without the images that lie on the device for all of it.

    On a GPU that is what torch holds there, on a CPU all of this process's memory.

    Args:
        beside: bytes that lie on the device already, for no part of this run.

    Attributes:
        resident: bytes of images and boundaries on the device that the run reads.
    """

    def __init__(self, device: torch.device, beside: int = 0) -> None:
        self.device, self.beside = device, beside
        self.resident = 0
        self._before = 0
        if device.type == "cuda":
            release()
            torch.cuda.reset_peak_memory_stats(device)
        elif os.access("/proc/self/clear_refs", os.W_OK):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM

    def settle(self) -> None:
        """What lies on the device may change next: what was the most until now was so without that."""
        self._before = self.own
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def hold(self, size: int) -> None:
        """So many bytes have become resident since `settle`."""
        self.resident += size

    def take_over(self, size: int) -> None:
        """The run reads so many of the bytes that lay beside it."""
        self.beside -= size
        self.resident += size

    def leave(self, size: int) -> None:
        """So many bytes do not lie beside it any more, since `settle`."""
        self.beside -= size
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    @property
    def own(self) -> int:
        """Bytes, since the beginning."""
        return max(self._before, self._peak() - self.resident - self.beside)

    def _peak(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        status = Path("/proc/self/status")
        if status.exists():
            peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            return int(peak.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class ForwardState:
    """What a forward pass moves besides gradients, as it was: random numbers, and BatchNorm's running statistics."""

    def __init__(self, model: nn.Module) -> None:
        self.norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
        self.training: tuple[bool, ...] | None = None  # of each norm, when the buffers below were chosen
        self.moved: list[list[Tensor]] = []
        self.kept: list[list[Tensor]] = []

    @torch.no_grad()
    def capture(self, device: torch.device) -> None:
        training = tuple(norm.training for norm in self.norms)
        if training != self.training:
            self.training = training
            moved = [buffer for norm in self.norms if norm.training for buffer in norm.buffers()]
            # by type, so that each group is copied at once: a GPU is told of a copy in more time than it takes
            self.moved = [[b for b in moved if b.dtype == dtype] for dtype in {b.dtype for b in moved}]
            self.kept = [[torch.empty_like(b) for b in group] for group in self.moved]
        for kept, group in zip(self.kept, self.moved, strict=True):
            torch._foreach_copy_(kept, group)
        self.random = torch.get_rng_state()
        self.device = device
        self.random_of_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @torch.no_grad()
    def restore(self) -> None:
        for group, kept in zip(self.moved, self.kept, strict=True):
            torch._foreach_copy_(group, kept)
        torch.set_rng_state(self.random)
        if self.random_of_device is not None:
            torch.cuda.set_rng_state(self.random_of_device, self.device)


def available() -> float:
    """Bytes of memory that this machine could still give; infinite where it does not say (it is Linux that says)."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return inf
