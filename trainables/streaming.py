"""Images that Ray Data brings batch by batch, in the order of the run, some batches ahead of the device.

Those that an augmentation changes at random, on CPUs; and those that neither the store nor memory can hold, which are
read and decoded in every epoch.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import ray
import torch
from ray.data import Dataset
from torch import Tensor

from trainables.augmentation import NONE, augmented, seeds_of
from trainables.batches import CachedSplit, Changed, ConcatSplits, Examples, row_bytes
from trainables.images import SplitImages, Where, here, tasks
from trainables.world import World

AHEAD = 4  # batches
MOST_BATCHES = 10_000  # that Ray Data is told of at once: each of them takes memory before it is read


class UnstoredSplit(Examples):
    """Boundary 0 of a split that is read and decoded whenever it is asked for.

    Args:
        labels, index: (N,) int64 of the rows.
        places: (N,) int64, the positions of the rows in the split.
    """

    def __init__(self, images: SplitImages, labels: Tensor, index: np.ndarray, places: np.ndarray) -> None:
        super().__init__(labels, index, 0)
        self.images = images
        self.places = places

    @classmethod
    def of(cls, images: SplitImages) -> Self:
        labels, index = images.labels_and_index()
        return cls(images, labels, index, np.arange(len(labels)))

    def only(self, rows: Tensor) -> Self:
        """Some of the rows."""
        chosen = rows.numpy()
        return type(self)(self.images, self.labels[rows], self.index[chosen], self.places[chosen])

    def with_batches_on(self, device: torch.device) -> Self:
        return type(self)(self.images, self.labels.to(device), self.index, self.places)

    @cached_property
    def nbytes(self) -> int:
        return len(self) * row_bytes(self.images_at(torch.zeros(1, dtype=torch.int64)))

    def images_at(self, rows: Tensor) -> Tensor:
        images, _ = self.images.take(self.places[rows.cpu().numpy()])
        return images

    def in_order(self, batch_size: int, world: World | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.arange(len(self))
        orders = [(0, some) for some in (world.chunk(rows) if world else rows).split(batch_size) if len(some)]
        return streamed(self, NONE, 0, orders)


class Streamed(Changed):
    """The rows of a split at boundary 0, each changed by a draw of its own in every epoch, or as they are.

    The order of the images is that of the same split in the store or in memory; the draws follow from the seed, the
    epoch and the image's index, so they are the same on any number of workers and CPUs. Epochs are one stream: the
    first batch of an epoch is made while the last ones of the epoch before it are trained on.

    Args:
        rows: all of boundary 0.
        name: of the augmentation.
    """

    def __init__(self, rows: Examples, name: str, seed: int, epochs: int) -> None:
        super().__init__(rows)
        self.name, self.seed, self.epochs = name, seed, epochs
        self._stream: Generator[tuple[Tensor, Tensor], None, None] | None = None
        self._begun = 0

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
        if self._stream is None:
            ahead = torch.Generator().set_state(generator.get_state())
            self._begun = epoch
            self._stream = self._epochs(batch_size, ahead, world, pairs=pairs, epoch=epoch, skip=skip)
        torch.randperm(len(self), generator=generator)  # as many draws as the stream makes
        self._begun += 1
        yield from islice(self._stream, self.steps(batch_size) - skip)
        if self._begun == self.epochs:
            self.close()

    def close(self) -> None:
        """Ends what Ray Data still does."""
        if self._stream is not None:
            self._stream.close()

    def _epochs(
        self, batch_size: int, ahead: torch.Generator, world: World, *, pairs: bool, epoch: int, skip: int
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """The stream from an epoch on, whose order `ahead` draws next, and without its first `skip` batches."""
        at_once = max(1, MOST_BATCHES // self.steps(batch_size))
        for first in range(epoch, self.epochs, at_once):
            epochs = range(first, min(first + at_once, self.epochs))
            orders = [(epoch, rows) for epoch in epochs for rows in self.orders(batch_size, ahead, world, pairs=pairs)]
            if orders := orders[skip:]:
                yield from streamed(self.rows, self.name, self.seed, orders)
            skip = 0


def streamed(
    rows: Examples, name: str, seed: int, orders: list[tuple[int, Tensor]]
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Batches (images, labels) on the device of the labels, each given by its epoch and its rows."""
    device = rows.labels.device
    batches = dataset(rows, name, seed, orders)
    for block in batches.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=AHEAD):
        images = torch.tensor(block["image"]).permute(0, 3, 1, 2)  # a copy: Ray's arrays may not be written to
        yield images.to(device, non_blocking=True), torch.tensor(block["label"]).to(device)


def dataset(rows: Examples, name: str, seed: int, orders: list[tuple[int, Tensor]]) -> Dataset:
    """A Ray Dataset of a block per batch, in order: `image (H, W, 3) uint8 or float32, label`."""
    pixels = pixels_of(rows)
    shared = ray.put((pixels, rows.labels.cpu().numpy(), rows.index))

    def change(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        pixels, labels, index = ray.get(shared)
        epoch, chosen = int(batch["epoch"][0]), batch["row"]
        encoded: Any = batch.get("encoded")
        images = pixels.at(chosen, encoded)
        changed = augmented(name, images, seeds_of(seed, epoch, index[chosen])) if name != NONE else images
        return {"image": changed.permute(0, 2, 3, 1).contiguous().numpy(), "label": labels[chosen]}

    def encoded(batch: dict[str, np.ndarray]) -> list[bytes]:
        pixels, _, _ = ray.get(shared)
        return pixels.encoded(batch["row"])

    blocks = [{"epoch": np.full(len(order), epoch), "row": order.numpy()} for epoch, order in orders]
    changed = tasks(blocks, pixels.where(), encoded, change)
    changed.context.execution_options.preserve_order = True
    return changed


class Pixels(Protocol):
    """Rows of boundary 0 as other processes get them."""

    def where(self) -> Where: ...

    def encoded(self, rows: np.ndarray) -> list[bytes]:
        """What `at` takes on a node that does not see the images' files."""
        ...

    def at(self, rows: np.ndarray, encoded: Sequence[bytes] | None = None) -> Tensor:
        """(N, 3, H, W) uint8."""
        ...


@dataclass(frozen=True)
class Stored:
    """From the store of this node, by its file, or from Ray's object store; `places` are where each row lies in it."""

    file: Path | ray.ObjectRef
    places: np.ndarray

    def where(self) -> Where:
        return Where(all_on=here())

    def encoded(self, rows: np.ndarray) -> list[bytes]:
        return [b""] * len(rows)

    def at(self, rows: np.ndarray, encoded: Sequence[bytes] | None = None) -> Tensor:
        images = np.load(self.file, mmap_mode="r") if isinstance(self.file, Path) else ray.get(self.file)
        return torch.from_numpy(images[self.places[rows]]).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Unstored:
    """From where the images are; `places` are the positions of the rows in their split."""

    images: SplitImages
    places: np.ndarray

    def where(self) -> Where:
        return self.images.where()

    def encoded(self, rows: np.ndarray) -> list[bytes]:
        return self.images.encoded({"position": self.places[rows]})

    def at(self, rows: np.ndarray, encoded: Sequence[bytes] | None = None) -> Tensor:
        content, positions = self.images.content(), self.places[rows]
        pixels = content.pixels(positions) if encoded is None else content.pixels_of(positions, encoded)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class ConcatPixels:
    """Some of them, one after the other; `ends` are the rows at which each ends."""

    splits: tuple[Pixels, ...]
    ends: np.ndarray

    def where(self) -> Where:
        """What one split needs all get; a node that has one of them in its store decodes the others itself."""
        places = [split.where() for split in self.splits]
        return Where(
            next((place.all_on for place in places if place.all_on), None),
            next((place.reads for place in places if place.reads), None),
        )

    def encoded(self, rows: np.ndarray) -> list[bytes]:
        read: Any = [b""] * len(rows)
        for split, ours, theirs in self.parts(rows):
            for place, data in zip(ours, split.encoded(theirs), strict=True):
                read[place] = data
        return read

    def at(self, rows: np.ndarray, encoded: Sequence[bytes] | None = None) -> Tensor:
        images: Any = [None] * len(rows)
        for split, ours, theirs in self.parts(rows):
            read = split.at(theirs, None if encoded is None else [encoded[place] for place in ours])
            for place, image in zip(ours, read, strict=True):
                images[place] = image
        return torch.stack(images)

    def parts(self, rows: np.ndarray) -> Iterator[tuple[Pixels, np.ndarray, np.ndarray]]:
        """Each split that some rows are in: which of them, and where in it they are."""
        which = np.searchsorted(self.ends, rows, side="right")
        starts = np.concatenate([[0], self.ends[:-1]])
        for i in np.unique(which):
            here = np.flatnonzero(which == i)
            yield self.splits[i], here, rows[here] - starts[i]


def pixels_of(rows: Examples) -> Pixels:
    if isinstance(rows, ConcatSplits):
        ends = np.cumsum([len(split) for split in rows.splits])
        return ConcatPixels(tuple(pixels_of(split) for split in rows.splits), ends)
    if isinstance(rows, UnstoredSplit):
        return Unstored(rows.images, rows.places)
    assert isinstance(rows, CachedSplit)
    places = np.arange(len(rows)) if rows.places is None else rows.places.numpy()
    return Stored(rows.file or ray.put(rows.images.permute(0, 2, 3, 1).cpu().numpy()), places)


def is_unstored(rows: Examples) -> bool:
    """Whether some of the rows must be read and decoded whenever they are asked for."""
    if isinstance(rows, ConcatSplits):
        return any(is_unstored(split) for split in rows.splits)
    return isinstance(rows, UnstoredSplit)
