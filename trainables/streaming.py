"""Images that are augmented at random: Ray Data changes them on CPUs, some batches ahead of the device."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.data import Dataset
from torch import Tensor

from trainables.augmentation import augmented, seeds_of
from trainables.batches import CachedSplit, ConcatSplits, Examples
from trainables.numbering import numbers
from trainables.world import World

AHEAD = 4  # batches


class Augmented(Examples):
    """The rows of a split at boundary 0, each changed by a draw of its own in every epoch.

    The order of the images is that of the same split without augmentation; the draws follow from the seed, the
    epoch and the image's index, so they are the same on any number of workers and CPUs. All epochs are one stream:
    the first batch of an epoch is made while the last ones of the epoch before it are trained on.
    """

    def __init__(self, rows: Examples, name: str, seed: int, epochs: int, cpus: float = 1) -> None:
        super().__init__(rows.labels, rows.index, rows.boundary)
        self.rows, self.name, self.seed, self.epochs, self.cpus = rows, name, seed, epochs, cpus
        self._stream: Generator[tuple[Tensor, Tensor], None, None] | None = None
        self._begun = 0

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes

    def images_at(self, rows: Tensor) -> Tensor:
        return self.rows.images_at(rows)

    def shuffled(
        self, batch_size: int, generator: torch.Generator, world: World, *, pairs: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        if self._stream is None:
            ahead = torch.Generator().set_state(generator.get_state())
            orders = [list(self.orders(batch_size, ahead, world, pairs=pairs)) for _ in range(self.epochs)]
            self._stream = self._streamed(orders)
        torch.randperm(len(self), generator=generator)  # as many draws as the stream has made
        self._begun += 1
        yield from islice(self._stream, self.steps(batch_size))
        if self._begun == self.epochs:
            self.close()

    def close(self) -> None:
        """Ends what Ray Data still does."""
        if self._stream is not None:
            self._stream.close()

    def _streamed(self, orders: list[list[Tensor]]) -> Generator[tuple[Tensor, Tensor], None, None]:
        batches = dataset(self.rows, self.name, self.seed, orders, self.cpus)
        device = self.labels.device
        for block in batches.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=AHEAD):
            images = torch.tensor(block["image"]).permute(0, 3, 1, 2)  # a copy: Ray's arrays may not be written to
            yield images.to(device, non_blocking=True), torch.tensor(block["label"]).to(device)


def dataset(rows: Examples, name: str, seed: int, orders: list[list[Tensor]], cpus: float = 1) -> Dataset:
    """A Ray Dataset of a block per batch, in order: `image (H, W, 3) uint8 or float32, label`.

    Each is made by a task of so many logical `cpus`.
    """
    plan = [(epoch, order.numpy()) for epoch, batches in enumerate(orders) for order in batches]
    shared = ray.put((pixels_of(rows), rows.labels.cpu().numpy(), rows.index, plan))

    def change(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        pixels, labels, index, plan = ray.get(shared)
        epoch, chosen = plan[int(batch["id"][0])]
        changed = augmented(name, pixels.at(chosen), seeds_of(seed, epoch, index[chosen]))
        return {"image": changed.permute(0, 2, 3, 1).contiguous().numpy(), "label": labels[chosen]}

    here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # where the file is
    blocks = numbers(len(plan), blocks=len(plan), cpus=cpus, labels=here)
    changed = blocks.map_batches(change, batch_size=None, num_cpus=cpus, label_selector=here)
    changed.context.execution_options.preserve_order = True
    return changed


@dataclass(frozen=True)
class Stored:
    """Rows of boundary 0 as other processes of this node read them: from its file, or from Ray's object store.

    `places` are where each row lies in it.
    """

    where: Path | ray.ObjectRef
    places: np.ndarray

    def at(self, rows: np.ndarray) -> Tensor:
        """(N, 3, H, W) uint8."""
        images = np.load(self.where, mmap_mode="r") if isinstance(self.where, Path) else ray.get(self.where)
        return torch.from_numpy(images[self.places[rows]]).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class ConcatStored:
    """Some of them, one after the other; `ends` are the rows at which each ends."""

    splits: tuple[Stored, ...]
    ends: np.ndarray

    def at(self, rows: np.ndarray) -> Tensor:
        which = np.searchsorted(self.ends, rows, side="right")
        starts = np.concatenate([[0], self.ends[:-1]])
        images: Any = [None] * len(rows)
        for i in np.unique(which):
            here = np.flatnonzero(which == i)
            for place, image in zip(here, self.splits[i].at(rows[here] - starts[i]), strict=True):
                images[place] = image
        return torch.stack(images)


def pixels_of(rows: Examples) -> Stored | ConcatStored:
    if isinstance(rows, ConcatSplits):
        return ConcatStored(
            tuple(stored(split) for split in rows.splits), np.cumsum([len(split) for split in rows.splits])
        )
    assert isinstance(rows, CachedSplit)
    return stored(rows)


def stored(split: CachedSplit) -> Stored:
    places = np.arange(len(split)) if split.places is None else split.places.numpy()
    return Stored(split.file or ray.put(split.images.permute(0, 2, 3, 1).cpu().numpy()), places)
