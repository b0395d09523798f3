"""Which boundary a run reads: the one that costs it least, by what computing and reading were measured to cost here."""

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from trainables.batches import gather_rows, row_bytes
from trainables.memory import resident_budget
from trainables.precision import Precision
from trainables.stages import StagedModel

ROWS_ON_A_CPU = 8
MEASURED_BYTES = 1 << 24


@dataclass(frozen=True)
class Costs:
    """What an image costs on this device: the seconds of each backbone stage, and the bytes of each boundary.

    Attributes:
        bytes_per_second: reading rows in a random order, as training does.
        copy_bytes_per_second: to the device, once they are read; infinite where that is the CPU.
        store_bytes_per_second: from the device into the store, with a checksum.
        resident_bytes: as much of what a run reads may lie on the device, and is then read once in all its epochs; 0
            where the device is the CPU, which reads what is mapped.
        decode_seconds: of an image of boundary 0 that neither the store nor memory holds, whenever it is read.
    """

    stage_seconds: tuple[float, ...]
    boundary_bytes: tuple[int, ...]
    bytes_per_second: float
    copy_bytes_per_second: float = inf
    store_bytes_per_second: float = inf
    resident_bytes: int = 0
    decode_seconds: float = 0.0

    def compute(self, start: int, stop: int) -> float:
        """Of an image."""
        return sum(self.stage_seconds[start:stop])

    def read(self, boundary: int) -> float:
        """An image, once."""
        moved = self.boundary_bytes[boundary] * (1 / self.bytes_per_second + 1 / self.copy_bytes_per_second)
        return moved + self.decode_seconds if boundary == 0 else moved

    def read_epochs(self, boundary: int, *, images: int, epochs: int) -> float:
        """All images in every epoch."""
        decoded = boundary == 0 and self.decode_seconds > 0
        stays = images * self.boundary_bytes[boundary] <= self.resident_bytes and not decoded
        return images * self.read(boundary) * (1 if stays else epochs)

    def fill(self, start: int, boundary: int) -> float:
        """Reading an image at `start`, computing it up to `boundary` and storing it there."""
        size = self.boundary_bytes[boundary]
        stored = size / self.bytes_per_second + size / self.store_bytes_per_second
        return self.read(start) + self.compute(start, boundary) + stored


@dataclass(frozen=True)
class Plan:
    """What to read for a freeze depth, and why."""

    freeze_depth: int
    boundary: int
    why: str

    def __str__(self) -> str:
        computes = f", computes {self.freeze_depth - self.boundary} of" if self.boundary < self.freeze_depth else " of"
        return f"reads boundary {self.boundary}{computes} {self.freeze_depth} frozen stages: {self.why}"


def plan(
    freeze_depth: int,
    costs: Costs,
    *,
    images: int,
    stored: int,
    epochs: int,
    readers: float,
    existing: Collection[int],
    limit: int,
    mode: str = "on",
) -> Plan:
    """The boundary, from 0 to `freeze_depth`, with the least seconds for the run.

    Args:
        images: of an epoch.
        stored: those that a boundary holds: an epoch may go over a part of them.
        epochs: how often the run reads each of them.
        readers: how many runs of the study are likely to read what this one fills; they share that cost.
        existing: the boundaries that are stored already. 0 always is.
        limit: bytes that a stored boundary may take.
        mode: one of BOUNDARY_MODES: on, off (read boundary 0 only) or always (read at the freeze depth whatever it
            costs).
    """
    if mode == "off" or freeze_depth == 0:
        return Plan(freeze_depth, 0, "as asked" if freeze_depth else "nothing is frozen")
    if mode == "always":
        return Plan(freeze_depth, freeze_depth, "as asked")
    have = {0, *existing}

    def seconds(boundary: int) -> float:
        reading = costs.read_epochs(boundary, images=images, epochs=epochs)
        computing = images * epochs * costs.compute(boundary, freeze_depth)
        nearest = max(k for k in have if k <= boundary)
        filling = 0 if boundary in have else stored * costs.fill(nearest, boundary) / max(readers, 1)
        return reading + computing + filling

    fitting = [k for k in range(freeze_depth + 1) if k in have or stored * costs.boundary_bytes[k] <= limit]
    best = min(fitting, key=lambda k: (seconds(k), -k))
    why = f"{seconds(best):.2g} s against {seconds(0):.2g} s from the images" if best else "nothing stored is faster"
    return Plan(freeze_depth, best, why)


@torch.no_grad()
def measure(model: StagedModel, images: Tensor, precision: Precision, device: torch.device) -> Costs:
    """Times every backbone stage, and what moves bytes.

    Args:
        model: on `device`; it is left with its whole backbone frozen.
        images: boundary 0 (N, 3, H, W) as it is stored.
    """
    model.freeze(model.backbone_stages)
    rows = rows_to_measure(model, device)
    x = gather_rows(images, torch.arange(rows) % len(images)).to(device)
    seconds, sizes = [], [row_bytes(x)]
    with precision.autocast():
        model.between(0, model.backbone_stages, x)  # the first pass allocates and chooses kernels
        for stage in range(model.backbone_stages):
            synchronize(device)
            start = perf_counter()
            x = model.between(stage, stage + 1, x)
            synchronize(device)
            seconds.append((perf_counter() - start) / rows)
            sizes.append(row_bytes(x))
    if device.type != "cuda":
        return Costs(tuple(seconds), tuple(sizes), reading(images))
    there, back = copying(device)
    return Costs(tuple(seconds), tuple(sizes), reading(images), there, back, int(resident_budget(device)))


def rows_to_measure(model: StagedModel, device: torch.device) -> int:
    """On a GPU as many images as frozen stages compute at once, for a launch costs as much for few.

    On a CPU an image costs about the same in any batch, and a pass over many would hold up the first trial.
    """
    return model.rows_at_once(device) if device.type == "cuda" else ROWS_ON_A_CPU


def copying(device: torch.device) -> tuple[float, float]:
    """Bytes a second to a GPU from pinned memory, as batches come there, and from it with a checksum."""
    here = torch.ones(MEASURED_BYTES, dtype=torch.uint8).pin_memory()
    there = here.to(device)  # the first copy makes room
    synchronize(device)
    start = perf_counter()
    there.copy_(here)
    synchronize(device)
    copied = perf_counter()
    zlib.crc32(there.cpu().numpy().data)
    return MEASURED_BYTES / (copied - start), MEASURED_BYTES / (perf_counter() - copied)


def reading(images: Tensor) -> float:
    """Bytes a second of gathering rows in a random order."""
    row = row_bytes(images)
    wanted = min(len(images), max(1, MEASURED_BYTES // row))
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(images))[:wanted])
    plain = images.permute(0, 2, 3, 1) if images.dim() == 4 else images
    start = perf_counter()
    plain.index_select(0, rows)
    return wanted * row / (perf_counter() - start)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
