"""One split in memory, and the batches of an epoch over it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor

from trainables.world import World


@dataclass(frozen=True)
class Split:
    """Boundary 0 of a split: images (N, 3, H, W) uint8, labels (N,) int64, and each image's index in its dataset."""

    images: Tensor
    labels: Tensor
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device), self.index)

    def __add__(self, other: "Split") -> "Split":
        return Split(
            torch.cat([self.images, other.images]),
            torch.cat([self.labels, other.labels]),
            np.concatenate([self.index, other.index]),
        )

    def steps(self, batch_size: int, workers: int = 1) -> int:
        """Batches of an epoch, each with an image for every worker."""
        return max(1, min(ceil(len(self) / batch_size), len(self) // workers))

    def shuffled(self, batch_size: int, generator: torch.Generator, world: World) -> Iterator[tuple[Tensor, Tensor]]:
        """This worker's part of one epoch's batches, in a random order.

        The batches are of equal size to within one image, so that no epoch ends in a batch of one, which
        BatchNorm cannot take. Every worker draws the same order and takes its share of every batch.
        """
        order = torch.randperm(len(self), generator=generator)
        for rows in order.tensor_split(self.steps(batch_size, world.size)):
            mine = rows[: len(rows) // world.size * world.size][world.rank :: world.size].to(self.labels.device)
            yield self.images[mine], self.labels[mine]

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self.images.split(batch_size), self.labels.split(batch_size), strict=True)
