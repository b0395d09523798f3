"""What a process keeps from one run to the next: a warm process starts a run with its first step."""

import os
import platform
import socket
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

import ray
import torch
from torch import Tensor, nn

from trainables.batches import CachedSplit
from trainables.planner import Costs
from trainables.resident import Residents
from trainables.stages import StagedModel

State = dict[str, Tensor]


@dataclass
class PreparedModel:
    """A model that run after run trains, its head, and the tensors that it was loaded with last.

    The head is a copy that stays on the CPU, where its new weights are drawn: from one seed a GPU draws others.
    """

    model: StagedModel
    head: nn.Module
    loaded: State | None = None


@dataclass
class ProcessCache:
    """Owned by the process that runs training runs, and handed to what they use. Everything in it can be made again.

    Attributes:
        models: by `run.Model`.
        weights: pretrained tensors, by their reference in Ray's object store.
        random_weights: of one model and seed at a time.
        images: boundary 0 in memory, by its key, where no store holds it.
        residents: what lies on the GPU.
        costs: measured seconds of stages, by what was measured.
        digests: of each stage, by model.
        enlarges: whether a device makes images larger as the CPU does, by device and sizes.
        verified: what the files of the store of boundaries were when their checksums were found right.
    """

    models: dict[Hashable, PreparedModel] = field(default_factory=dict)
    weights: dict[Hashable, State] = field(default_factory=dict)
    random_weights: dict[Hashable, State] = field(default_factory=dict)
    images: dict[str, CachedSplit] = field(default_factory=dict)
    residents: Residents = field(default_factory=Residents)
    costs: dict[Hashable, Costs] = field(default_factory=dict)
    digests: dict[Hashable, dict[int, str]] = field(default_factory=dict)
    enlarges: dict[Hashable, bool] = field(default_factory=dict)
    verified: dict[Path, Hashable] = field(default_factory=dict)

    def clear(self) -> None:
        """Forgets everything."""
        for kept in vars(self).values():
            kept.clear()


_of_this_process = ProcessCache()


def current() -> ProcessCache:
    """The one of this process: Ray gives a warm process its next run without a way to hand it anything."""
    return _of_this_process


def device() -> torch.device:
    """The GPU that Ray gave this process, or that a process without Ray has; else the CPU.

    Ray hides no GPU from a process that it gave none (RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO), so it is asked.
    """
    given = torch.cuda.is_available() and (not ray.is_initialized() or bool(ray.get_gpu_ids()))
    return torch.device("cuda", torch.cuda.current_device()) if given else torch.device("cpu")


@cache
def versions() -> dict[str, str]:
    """Of the libraries whose numbers are stored."""
    return {library: version(library) for library in ("torch", "torchvision", "timm")}


@dataclass(frozen=True)
class Place:
    """Where a run is trained: the machine's name, its GPU's or else its CPU's name, and the process's number."""

    node: str
    device: str
    process: int

    @classmethod
    def of(cls, device: torch.device) -> "Place":
        return cls(socket.gethostname(), device_name(device), os.getpid())


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name", "")) or platform.processor() or platform.machine()
