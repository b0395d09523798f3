"""Runs on a Reader without Ray: random images, the models under test, and the loop."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from tests.contract.tiny import CPU, FP32, numbers
from tests.contract.tiny import POINT as TINY
from tests.contract.variants import CLASSES, Pair, scrambled
from trainables import building
from trainables.boundaries import Store
from trainables.hyperparameters import Hyperparameters
from trainables.images import SplitImages
from trainables.loop import Epoch, fit
from trainables.precision import Precision
from trainables.process import ProcessCache
from trainables.reader import Reader
from trainables.recipe import Recipe
from trainables.splits import SplitDigest
from trainables.stages import StagedModel

RECIPE = Recipe("stored", epochs=2)
POINT = replace(TINY, batch_size=32)


@dataclass(frozen=True)
class Pictures:
    """n random images, to be had as a Ray Dataset gives them: in blocks, in no order, each with its position."""

    n: int
    size: int = 32
    seed: int = 0

    @property
    def part(self) -> SplitDigest:
        return SplitDigest(f"{self}", self.n)

    @property
    def index(self) -> np.ndarray:
        return np.arange(self.n) * 3 + self.seed

    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, H, W, 3) uint8 and labels."""
        return drawn(self)

    def iter_batches(self, *, batch_size: int | None, batch_format: str) -> Iterator[dict[str, np.ndarray]]:
        assert (batch_size, batch_format) == (None, "numpy")
        images, labels = self.drawn()
        for at in np.array_split(np.random.default_rng(1).permutation(self.n), min(3, self.n)):
            yield {"position": at, "index": self.index[at], "image": images[at], "label": labels[at]}


@cache
def drawn(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(pictures.seed)
    shape = (pictures.n, pictures.size, pictures.size, 3)
    return random.integers(0, 256, shape, dtype=np.uint8), random.integers(0, CLASSES, pictures.n)


TRAIN = Pictures(70)
VAL = Pictures(40, seed=1)


def built(pair: Pair, seed: int = 0) -> StagedModel:
    """The variant with random weights, none of which is without effect."""
    torch.manual_seed(seed)
    return scrambled(building.assemble(*pair, CLASSES), seed)


def reader_of(
    pair: Pair,
    store: Store | None,
    model: StagedModel | None = None,
    *,
    train: Pictures = TRAIN,
    val: Pictures = VAL,
    precision: Precision = FP32,
    **given: Any,
) -> Reader:
    """A Reader that always reads at the freeze depth. Its model is like no other, so that its weights are looked at."""
    pictures = {"train": train, "val": val}
    reader = Reader(
        split_digests={name: split.part for name, split in pictures.items()},
        shard=lambda key: cast(SplitImages, pictures[key.split]),
        model=model or built(pair),
        model_key=object(),
        variant=pair[1].name,
        preprocessing=replace(pair[1].preprocessing, size=train.size),
        precision=precision,
        device=CPU,
        store=store,
        cache=ProcessCache(),
        mode="always",
        epochs=RECIPE.epochs,
    )
    return replace(reader, **given)


@contextmanager
def reading(pair: Pair, store: Store | None, model: StagedModel | None = None, **given: Any) -> Iterator[Reader]:
    """A Reader in a process that has no images yet."""
    reader = reader_of(pair, store, model, **given)
    try:
        yield reader
        reader.check()
    finally:
        reader.close()


@dataclass
class Trained:
    """What a run was: its curve without the clock, the weights that it ended with, and what its Reader said."""

    curve: list[Epoch]
    weights: dict[str, Tensor]
    line: str
    notes: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        """The same numbers, to the bit."""
        assert isinstance(other, Trained)
        return self.curve == other.curve and all(
            torch.equal(t, other.weights[name]) for name, t in self.weights.items()
        )


def trained(
    pair: Pair,
    store: Store | None,
    depth: int,
    *,
    model: StagedModel | None = None,
    point: Hyperparameters = POINT,
    recipe: Recipe = RECIPE,
    fit_on: tuple[str, ...] = ("train",),
    validate: bool = True,
    **given: Any,
) -> Trained:
    """One run of the loop on what a Reader reads."""
    model = model or built(pair)
    curve: list[Epoch] = []
    with reading(pair, store, model, **given) as reader:
        fit(
            model,
            reader.source(*fit_on, images_for="mixup" if point.mixup else None),
            reader.source("val") if validate else None,
            hyperparameters=replace(point, freeze_depth=depth),
            recipe=recipe,
            precision=reader.precision,
            seed=0,
            report=curve.append,
        )
        return Trained(numbers(curve), model.state_dict(), reader.line, reader.notes)
