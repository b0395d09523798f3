"""How a model is trained: what is searched (Hyperparameters) and what is the same for every trial (Recipe).

Durations are shares of the run, so that a short run reaches its peak learning rate too; they become steps
once, in `schedule`.
"""

from dataclasses import dataclass, replace
from math import ceil, isfinite

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)

from trainables import augmentation

SCHEDULES = ("onecycle", "step", "cosine", "constant")


@dataclass(frozen=True)
class Hyperparameters:
    """What a search moves. `freeze_depth` counts frozen stages from the input, 0 to the backbone's number."""

    lr: float
    weight_decay: float
    freeze_depth: int

    def __post_init__(self) -> None:
        if not (self.lr > 0 and isfinite(self.lr)):
            raise ValueError(f"lr must be above 0, got {self.lr}")
        if not (self.weight_decay >= 0 and isfinite(self.weight_decay)):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if self.freeze_depth < 0:
            raise ValueError(f"freeze_depth must be 0 or more, got {self.freeze_depth}")


@dataclass(frozen=True)
class HeadFirst:
    """A first phase that trains the head alone; then the rest, from the freeze depth on, at `lr_scale` x lr."""

    share: float
    lr_scale: float


@dataclass(frozen=True)
class Recipe:
    """What every trial of a study shares.

    warmup, milestones and head_first.share are shares of the run (or of the phase) in [0, 1]; onecycle warms up for
    its own 0.3. clip_norm is the largest norm of the gradient, 0 for no clipping. An augmentation changes every
    training image anew in every epoch.
    """

    name: str
    epochs: int
    batch_size: int = 64
    schedule: str = "cosine"
    warmup: float = 0.1
    milestones: tuple[float, ...] = (0.5, 0.75)
    step_factor: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float = 1.0
    head_first: HeadFirst | None = None
    augmentation: str = augmentation.NONE

    def __post_init__(self) -> None:
        augmentation.check(self.augmentation)
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        shares = {"warmup": self.warmup, "label_smoothing": self.label_smoothing}
        shares |= {f"milestones[{i}]": share for i, share in enumerate(self.milestones)}
        factors = {"step_factor": self.step_factor}
        if self.head_first:
            shares["head_first.share"] = self.head_first.share
            factors["head_first.lr_scale"] = self.head_first.lr_scale
        for name, factor in factors.items():
            if not (factor > 0 and isfinite(factor)):
                raise ValueError(f"{name} must be above 0, got {factor}")
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {share}")
        if not (self.clip_norm >= 0 and isfinite(self.clip_norm)):
            raise ValueError(f"clip_norm must be 0 or more, got {self.clip_norm}")

    @property
    def needs_margin(self) -> bool:
        """Whether the images that are trained on are read with a margin, for the augmentation to crop."""
        return augmentation.needs_margin(self.augmentation)

    def __str__(self) -> str:
        said = [
            f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}",
            f"batches of {self.batch_size}",
            f"{self.schedule} schedule",
        ]
        if self.head_first:
            share, scale = self.head_first.share, self.head_first.lr_scale
            said.append(f"the head alone for {share:.0%} of the epochs, then the rest at {scale:g} x lr")
        said.append(f"augmentation {self.augmentation}")
        said.append(f"label smoothing {self.label_smoothing:g}" if self.label_smoothing else "no label smoothing")
        said.append(f"gradients clipped at {self.clip_norm:g}" if self.clip_norm else "no clipping")
        return f"recipe {self.name}: {', '.join(said)}"

    def phases(self, hyperparameters: Hyperparameters, head_only: int) -> list["Phase"]:
        """The run as phases; `head_only` is the freeze depth that trains the head alone."""
        last = Phase(self.epochs, hyperparameters.freeze_depth, hyperparameters.lr)
        if self.head_first is None or hyperparameters.freeze_depth == head_only or self.epochs == 1:
            return [last]
        epochs = min(max(1, round(self.head_first.share * self.epochs)), self.epochs - 1)
        return [
            replace(last, epochs=epochs, freeze_depth=head_only),
            replace(last, epochs=self.epochs - epochs, lr=last.lr * self.head_first.lr_scale),
        ]


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one freeze depth and one schedule."""

    epochs: int
    freeze_depth: int
    lr: float


def optimizer(model: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Fused AdamW over what is trained, with no decay on norms and biases (tensors of fewer than 2 axes)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, fused=True)


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, *, lr: float, steps: int) -> LRScheduler:
    """The recipe's learning rate over `steps` optimiser steps, with `lr` as its peak."""
    if recipe.schedule == "onecycle":
        total = max(steps, 3)
        peak = max(2, round(0.3 * total))  # steps up to the peak, a whole number so that it is reached
        return OneCycleLR(optimizer, max_lr=lr, total_steps=total, pct_start=peak / total, cycle_momentum=False)
    warmup_steps = min(ceil(recipe.warmup * steps), steps - 1)
    rest = steps - warmup_steps
    if recipe.schedule == "cosine":
        after: LRScheduler = CosineAnnealingLR(optimizer, T_max=rest)
    elif recipe.schedule == "constant":
        after = ConstantLR(optimizer, factor=1.0)
    else:
        milestones = sorted({max(1, round(share * steps) - warmup_steps) for share in recipe.milestones})
        after = MultiStepLR(optimizer, milestones, gamma=recipe.step_factor)
    if warmup_steps == 0:
        return after
    warmup = LinearLR(optimizer, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps)
    return SequentialLR(optimizer, [warmup, after], milestones=[warmup_steps])
