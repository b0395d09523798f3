"""Crops, flips and shifts of colour on the device that trains: the draws of `augmentation`, and bit for bit its images.

For where CPUs cannot bring changed images as fast as a GPU trains on them. What would be computed otherwise there (a
rotation, AutoAugment) is not here, and stays with Ray Data.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trainables.architecture import Preprocessing
from trainables.augmentation import JITTER, augmented, color_shift, seeds_of
from trainables.batches import Changed, Examples
from trainables.margin import crop_side
from trainables.prefetch import Ahead
from trainables.resizing import enlarged
from trainables.world import World

AHEAD = 4  # batches whose draws are made while others are trained on
MEASURED = 16  # images


@dataclass(frozen=True)
class Cut:
    """A square of `side` at random out of an image with so many black pixels around it, then a flip, then colours."""

    padding: int
    side: int
    colors: bool = False


CUTS: dict[str, Callable[[int], Cut]] = {
    "flip": lambda size: Cut(0, size),
    "crop_flip": lambda size: Cut(size // 8, size),
    "alexnet": lambda size: Cut(0, crop_side(size), colors=True),
}


@dataclass(frozen=True)
class Draws:
    """What is drawn for N images: each one's place (top, left, flipped) (3, N) int64, its shift of colour (N, 3)."""

    places: Tensor
    colors: Tensor | None

    @classmethod
    def of(cls, cut: Cut, size: int, seeds: Sequence[int]) -> Self:
        """The numbers that torchvision draws for images (size, size), one image after the other, each by its seed."""
        generator, room = torch.Generator(), size + 2 * cut.padding - cut.side
        places, colors = [], []
        for seed in seeds:
            generator.manual_seed(seed)
            top, left = (int(torch.randint(0, room + 1, (), generator=generator)) if room else 0 for _ in range(2))
            places.append((top, left, int(torch.rand(1, generator=generator) < 0.5)))
            if cut.colors:
                colors.append(color_shift(JITTER * torch.randn(3, generator=generator)))
        return cls(torch.tensor(places).T.contiguous(), torch.stack(colors) if colors else None)

    def to(self, device: torch.device) -> Self:
        """There, without waiting for it."""
        if device.type != "cuda":
            return type(self)(self.places.to(device), None if self.colors is None else self.colors.to(device))
        colors = None if self.colors is None else self.colors.pin_memory().to(device, non_blocking=True)
        return type(self)(self.places.pin_memory().to(device, non_blocking=True), colors)


def changed(images_NCHW: Tensor, cut: Cut, draws: Draws) -> Tensor:
    """Every image cut, flipped and shifted as was drawn, on the device where all of this is.

    Returns (N, 3, side, side), channels last: uint8, or float32 where colours are shifted.
    """
    size, device = images_NCHW.shape[-1], images_NCHW.device
    top, left, flipped = draws.places[:, :, None]
    along = torch.arange(cut.side, device=device)
    rows = top + along - cut.padding
    columns = left + torch.where(flipped.bool(), cut.side - 1 - along, along) - cut.padding
    image = torch.arange(len(images_NCHW), device=device)[:, None, None]
    within = rows.clamp(0, size - 1)[:, :, None], columns.clamp(0, size - 1)[:, None, :]
    taken = images_NCHW.permute(0, 2, 3, 1)[image, *within]
    if cut.padding:
        inside = [(places >= 0) & (places < size) for places in (rows, columns)]
        taken = taken * (inside[0][:, :, None] & inside[1][:, None, :])[..., None]
    images = taken.permute(0, 3, 1, 2)
    return images if draws.colors is None else images + draws.colors[:, :, None, None]


class ChangedOnDevice(Changed):
    """The rows of a split at boundary 0, each changed by a draw of its own in every epoch, as `Streamed` has them.

    Args:
        rows: with batches on the device that trains.
        name: of the augmentation, one of CUTS.
        preprocessing: of what is cut from; smaller images are made as large first.
    """

    def __init__(self, rows: Examples, name: str, seed: int, preprocessing: Preprocessing) -> None:
        super().__init__(rows)
        self.name, self.seed, self.preprocessing = name, seed, preprocessing
        self.size = preprocessing.size
        self.cut = CUTS[name](self.size)

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
        again = torch.Generator().set_state(generator.get_state())

        def draw(rows: Tensor) -> Draws:
            return Draws.of(self.cut, self.size, seeds_of(self.seed, epoch, self.index[rows.numpy()]))

        orders = islice(self.orders(batch_size, again, world, pairs=pairs), skip, None)
        batches = self.rows.shuffled(batch_size, generator, world, pairs=pairs, epoch=epoch, skip=skip)
        for (images, labels), draws in zip(batches, Ahead(draw, orders, AHEAD), strict=True):
            whole = enlarged(images, self.preprocessing) if images.shape[-1] < self.size else images
            yield changed(whole, self.cut, draws.to(images.device)), labels


def seconds_on_a_cpu(name: str, images_NCHW: Tensor) -> float:
    """That one core takes to change an image, measured on a few."""
    some = images_NCHW[:MEASURED].cpu()
    seeds = seeds_of(0, 0, np.arange(len(some)))
    augmented(name, some[:1], seeds[:1])  # the first imports what it needs
    start = perf_counter()
    augmented(name, some, seeds)
    return (perf_counter() - start) / len(some)
