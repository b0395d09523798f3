"""What a run reads: the rows of a split at some boundary, and the batches of an epoch over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.memory import device_memory, out_of_memory, release
from trainables.world import World

CPU = torch.device("cpu")


class BoundarySource(Protocol):
    """A split that can be had at the boundary which suits a freeze depth: that one itself, or an earlier one."""

    def at(self, freeze_depth: int) -> "Examples": ...


@dataclass(eq=False)
class Examples:
    """Labels (N,) int64 and dataset indices of the rows that an epoch goes over, and the boundary they are read at.

    Batches go to the device of the labels, wherever the images lie.
    """

    labels: Tensor
    index: np.ndarray
    boundary: int

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, freeze_depth: int) -> "Examples":
        assert self.boundary <= freeze_depth
        return self

    def images_at(self, rows: Tensor) -> Tensor:
        """A copy of what is stored at some rows."""
        raise NotImplementedError

    @property
    def gathers_on(self) -> torch.device:
        """Where the rows of a batch are looked up."""
        return CPU

    @property
    def nbytes(self) -> int:
        """Of the images, where they are stored."""
        raise NotImplementedError

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch, however many workers share each."""
        return max(1, ceil(len(self) / batch_size))

    def batch_sizes(self, batch_size: int) -> list[int]:
        """The images of each of an epoch's batches, over all workers.

        They are equal to within one image, so that no epoch ends in a batch of one, which BatchNorm cannot take.
        """
        each, more = divmod(len(self), steps := self.steps(batch_size))
        return [each + 1] * more + [each] * (steps - more)

    def shuffled(
        self,
        batch_size: int,
        generator: torch.Generator,
        world: World,
        *,
        pairs: bool = False,
        epoch: int = 0,
        skip: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's share of each of one epoch's batches, in a random order.

        Every worker draws the same order and gets its own rows of every batch.

        Args:
            generator: draws the order; an epoch that is gone on with needs it as it was when that began.
            pairs: see `World.share`.
            epoch: from 0, where the first that is asked for is another.
            skip: so many batches of the epoch were trained on already.
        """
        for rows in islice(self.orders(batch_size, generator, world, self.gathers_on, pairs=pairs), skip, None):
            yield self.batch(rows)

    def orders(
        self,
        batch_size: int,
        generator: torch.Generator,
        world: World,
        device: torch.device = CPU,
        *,
        pairs: bool = False,
    ) -> Iterator[Tensor]:
        """The rows of each of this worker's shares; they are drawn on the CPU, and go to a device all at once."""
        order = torch.randperm(len(self), generator=generator).to(device)
        for rows in order.split(self.batch_sizes(batch_size)):
            yield world.share(rows, pairs=pairs)

    def in_order(self, batch_size: int, world: World | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All rows, or this worker's part of them."""
        rows = torch.arange(len(self))
        for some in (world.chunk(rows) if world else rows).to(self.gathers_on).split(batch_size):
            if len(some):
                yield self.batch(some)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        device = self.labels.device
        return self.images_at(rows).to(device, non_blocking=True), self.labels[rows.to(device)]


class CachedSplit(Examples):
    """One array of images.

    Args:
        images: (M, ...) as boundary `boundary` has them: of 0 (M, 3, H, W) uint8.
        labels, index: (N,) int64 of the rows.
        places: (N,) int64, where in `images` the rows lie; None for all of them in order.
        file: what `images` is mapped from, None for memory.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        index: np.ndarray,
        boundary: int = 0,
        places: Tensor | None = None,
        file: Path | None = None,
    ) -> None:
        super().__init__(labels, index, boundary)
        self.images = images
        self.places = places
        self.file = file

    def only(self, rows: Tensor) -> "CachedSplit":
        """Some of the rows, without a copy."""
        places = rows if self.places is None else self.places[rows]
        return CachedSplit(self.images, self.labels[rows], self.index[rows.numpy()], self.boundary, places, self.file)

    def to(self, device: torch.device) -> "CachedSplit":
        """With its batches on `device`: the images too where they fit there, so that an epoch moves nothing."""
        split = self.with_batches_on(device)
        if device == self.images.device or not fits_on_device(self.nbytes, device):
            return split
        try:
            images = self.images if self.places is None else gather_rows(self.images, self.places)
            return CachedSplit(images.to(device), split.labels, self.index, self.boundary)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        release()
        return split

    def with_batches_on(self, device: torch.device) -> "CachedSplit":
        """With its batches on `device`, and the images where they are."""
        return CachedSplit(self.images, self.labels.to(device), self.index, self.boundary, self.places, self.file)

    @property
    def nbytes(self) -> int:
        return len(self) * row_bytes(self.images)

    def images_at(self, rows: Tensor) -> Tensor:
        return gather_rows(self.images, rows if self.places is None else self.places[rows])

    @property
    def gathers_on(self) -> torch.device:
        return self.images.device if self.places is None else CPU


class ConcatSplits(Examples):
    """Several splits, one after the other, without a copy of them all."""

    def __init__(self, *splits: Examples) -> None:
        labels = torch.cat([split.labels for split in splits])
        super().__init__(labels, np.concatenate([split.index for split in splits]), splits[0].boundary)
        assert all(split.boundary == self.boundary for split in splits)
        self.splits = splits

    @property
    def nbytes(self) -> int:
        return sum(split.nbytes for split in self.splits)

    def images_at(self, rows: Tensor) -> Tensor:
        places, images, before = [], [], 0
        for split in self.splits:
            here = ((rows >= before) & (rows < before + len(split))).nonzero().flatten()
            if len(here):  # an empty tensor has no memory layout, and would cost the others theirs
                places.append(here)
                gathered = split.images_at(rows[here] - before)
                images.append(gathered.to(self.labels.device, non_blocking=True))  # one may lie there, another not
            before += len(split)
        return gather_rows(torch.cat(images), torch.cat(places).argsort())


def gather_rows(array: Tensor, rows: Tensor) -> Tensor:
    """A copy of some rows in the memory layout of the whole, so that no kernel sees a difference.

    Always a copy: an activation that works in place must never reach what is stored.
    """
    rows = rows.to(array.device)
    if array.dim() == 4 and array.is_contiguous(memory_format=torch.channels_last):
        return array.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return array.index_select(0, rows)


def row_bytes(x: Tensor) -> int:
    """Of one row."""
    return x[0].numel() * x.element_size()


def fits_on_device(size: int, device: torch.device) -> bool:
    """Whether so many bytes may lie on the device for a whole run, and leave most of it to training."""
    if device.type != "cuda":
        return True
    return size <= device_memory(device) // 4
