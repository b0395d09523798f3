"""What a run reads: the rows of a split at some boundary, and the batches of an epoch over them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.memory import out_of_memory, release, resident_budget
from trainables.prefetch import PinnedCopies
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
    def is_copied(self) -> bool:
        """Whether every batch is gathered in the CPU's memory and copied to a GPU."""
        return False

    @property
    def channels_last(self) -> bool:
        """Whether the images lie in memory like that."""
        return False

    def gather(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """What is stored at some rows, in the order in which it lies in memory; in `out`, where that is given."""
        images = self.images_at(rows)
        images = images.permute(0, 2, 3, 1) if self.channels_last else images
        return images if out is None else out.copy_(images)

    def as_seen(self, gathered: Tensor) -> Tensor:
        """What was gathered, as `images_at` gives it."""
        return gathered.permute(0, 3, 1, 2) if self.channels_last else gathered

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
        yield from self.batches(
            islice(self.orders(batch_size, generator, world, self.gathers_on, pairs=pairs), skip, None)
        )

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
        parts = (world.chunk(rows) if world else rows).to(self.gathers_on).split(batch_size)
        yield from self.batches(some for some in parts if len(some))

    def batches(self, orders: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The images and labels of some rows each; those that must go from the CPU to a GPU are brought ahead."""
        if self.is_copied:
            yield from PinnedCopies(self.gather, self.as_seen, self.labels).batches(list(orders))
        else:
            yield from map(self.batch, orders)

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

    @property
    def is_copied(self) -> bool:
        return self.images.device.type == "cpu" and self.labels.device.type == "cuda"

    @property
    def channels_last(self) -> bool:
        return is_channels_last(self.images)

    def gather(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        lying = self.images.permute(0, 2, 3, 1) if self.channels_last else self.images
        return torch.index_select(lying, 0, rows if self.places is None else self.places[rows], out=out)


class Changed(Examples):
    """Rows that are changed where they are trained on, which `shuffled` of a subclass does, and nowhere else."""

    def __init__(self, rows: Examples) -> None:
        super().__init__(rows.labels, rows.index, rows.boundary)
        self.rows = rows

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes

    def images_at(self, rows: Tensor) -> Tensor:
        return self.rows.images_at(rows)

    def in_order(self, batch_size: int, world: World | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        return self.rows.in_order(batch_size, world)


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

    @property
    def gathers_on(self) -> torch.device:
        devices = {split.gathers_on for split in self.splits}
        return devices.pop() if len(devices) == 1 else CPU

    @property
    def is_copied(self) -> bool:
        return all(split.is_copied for split in self.splits)

    @property
    def channels_last(self) -> bool:
        return all(split.channels_last for split in self.splits)

    def images_at(self, rows: Tensor) -> Tensor:
        if rows.device.type != "cpu":
            return self.on_one_device(rows)
        places, images, before = [], [], 0
        for split in self.splits:
            here = ((rows >= before) & (rows < before + len(split))).nonzero().flatten()
            if len(here):  # an empty tensor has no memory layout, and would cost the others theirs
                places.append(here)
                images.append(split.images_at(rows[here] - before))
            before += len(split)
        if len({some.device for some in images}) > 1:  # one split lies on the device, another does not
            images = [some.to(self.labels.device, non_blocking=True) for some in images]
        return gather_rows(torch.cat(images), torch.cat(places).argsort())

    def on_one_device(self, rows: Tensor) -> Tensor:
        """The same where all lie: every row is looked up in every split, for a GPU would have to say where each is."""
        found, before = self.splits[0].images_at(rows.clamp(max=len(self.splits[0]) - 1)), len(self.splits[0])
        for split in self.splits[1:]:
            here = split.images_at((rows - before).clamp(0, len(split) - 1))
            found = torch.where((rows < before).view(-1, *[1] * (here.dim() - 1)), found, here)
            before += len(split)
        return found


def gather_rows(array: Tensor, rows: Tensor) -> Tensor:
    """A copy of some rows in the memory layout of the whole, so that no kernel sees a difference.

    Always a copy: an activation that works in place must never reach what is stored.
    """
    rows = rows.to(array.device)
    if is_channels_last(array):
        return array.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return array.index_select(0, rows)


def is_channels_last(array: Tensor) -> bool:
    return array.dim() == 4 and array.is_contiguous(memory_format=torch.channels_last)


def row_bytes(x: Tensor) -> int:
    """Of one row."""
    return x[0].numel() * x.element_size()


def fits_on_device(size: int, device: torch.device) -> bool:
    """Whether so many bytes may lie on the device for a whole run."""
    return size <= resident_budget(device)
