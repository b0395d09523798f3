"""Runs of a second: a few real digits, the mini models, and the loop without Ray around it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trainables import architecture, building
from trainables.batches import BoundarySource, CachedSplit
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch, State, Training, fit
from trainables.memory import Memory
from trainables.precision import Precision
from trainables.recipe import Recipe
from trainables.stages import StagedModel
from trainables.world import World

CPU = torch.device("cpu")
FP32 = Precision("fp32", CPU)
POINT = Hyperparameters(lr=1e-3, weight_decay=1e-2, freeze_depth=0, batch_size=16, warmup=0.2)
RECIPE = Recipe("tiny", epochs=2)
CLASSES = 10


def digits(n: int, *, start: int = 0) -> CachedSplit:
    """n handwritten digits at 32 px, each pixel four times as wide and high."""
    given = load_digits()
    rows = np.arange(start, start + n)
    pixels = torch.from_numpy(given.images[rows]).mul(255 / 16).to(torch.uint8)
    wide = pixels.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    return CachedSplit(
        wide[:, None].expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(given.target[rows]).long(), rows
    )


def untrained(name: str, seed: int = 0) -> StagedModel:
    """The mini model of an architecture with random weights."""
    family = architecture.get(name)
    torch.manual_seed(seed)
    return building.assemble(family, family.variant("mini", "none"), CLASSES)


def little_memory(model: StagedModel, limit: int) -> StagedModel:
    """The model on a device whose memory ends, deep in the model, with more than `limit` images at once."""

    def ends(module: nn.Module, given: tuple[Tensor]) -> None:
        if len(given[0]) > limit:
            raise torch.OutOfMemoryError(f"out of memory with {len(given[0])} images")

    model.head.register_forward_pre_hook(ends)
    return model


def run(model: StagedModel, train: BoundarySource, val: BoundarySource | None = None, **given: Any) -> list[Epoch]:
    """Fits the model in place and returns its curve; `given` is what `run_whole` takes."""
    return run_whole(model, train, val, **given)[0]


def run_whole(
    model: StagedModel,
    train: BoundarySource,
    val: BoundarySource | None = None,
    *,
    point: Hyperparameters = POINT,
    recipe: Recipe = RECIPE,
    precision: Precision = FP32,
    seed: int = 0,
    world: World | None = None,
    memory: Memory | None = None,
    last_epoch: int | None = None,
    validate_every_epoch: bool = True,
    also: Callable[[Epoch], None] = lambda epoch: None,
    state: State | None = None,
    after_step: Callable[[Training], object] = lambda training: None,
    while_validating: Callable[[Training], object] = lambda training: None,
) -> tuple[list[Epoch], Training]:
    """Fits the model in place and returns its curve, and the training."""
    curve: list[Epoch] = []

    def report(epoch: Epoch) -> None:
        curve.append(epoch)
        also(epoch)

    training = fit(
        model,
        train,
        val,
        hyperparameters=point,
        recipe=recipe,
        precision=precision,
        seed=seed,
        report=report,
        world=world,
        memory=memory,
        last_epoch=last_epoch,
        validate_every_epoch=validate_every_epoch,
        state=state,
        after_step=after_step,
        while_validating=while_validating,
    )
    return curve, training


def numbers(curve: list[Epoch]) -> list[Epoch]:
    """The curve without its clock."""
    return [replace(epoch, train_seconds=0.0, seconds=0.0) for epoch in curve]


def losses(curve: list[Epoch]) -> list[float]:
    return [epoch.train_loss for epoch in curve]
