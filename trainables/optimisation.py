"""The optimiser and the learning rate's schedule of a run. Durations become optimiser steps here, once."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

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

from trainables.hyperparameters import Hyperparameters
from trainables.stages import StagedModel

SGD_MOMENTUM = 0.9


def optimizer(model: StagedModel, point: Hyperparameters) -> torch.optim.Optimizer:
    """The point's optimiser over what is trained, with no decay on norms and biases (tensors of fewer than 2 axes).

    A group holds the parameters of one learning rate; `lr_scale` is what the point's lr is multiplied by in it. The
    last group has parameters of the head. SGD decays weights through their gradient (L2), AdamW apart from it.
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for decays in (True, False):
        for scale, stage in zip(lr_scales(model, point), model.stages.values(), strict=True):
            for parameter in stage.parameters():
                if parameter.requires_grad and (parameter.ndim >= 2) == decays:
                    groups.setdefault((decays, scale), []).append(parameter)
    described = [
        {
            "params": parameters,
            "weight_decay": point.weight_decay if decays else 0.0,
            "lr": point.lr * scale,
            "lr_scale": scale,
        }
        for (decays, scale), parameters in groups.items()
    ]
    if point.optimizer == "sgd":
        return torch.optim.SGD(described, lr=point.lr, momentum=SGD_MOMENTUM, fused=True)
    return torch.optim.AdamW(described, lr=point.lr, fused=True)


class DeviceRates:
    """An optimiser's learning rates as tensors on its device, where a CUDA graph finds those of each step."""

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self.optimizer = optimizer
        self.tensors = [torch.zeros((), device=device) for _ in self.groups]
        self.written: list[float | None] = [None] * len(self.groups)

    @property
    def groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups  # others, once a state was loaded

    def refresh(self) -> None:
        """Writes the rates that have changed."""
        for number, group in enumerate(self.groups):
            if self.written[number] != group["lr"]:
                self.tensors[number].fill_(group["lr"])
                self.written[number] = group["lr"]

    @contextmanager
    def read_by_optimizer(self) -> Iterator[None]:
        """Inside, a step reads the tensors; a schedule and what is kept of the optimiser have plain numbers."""
        plain: list[dict[str, Any]] = [{"lr": group["lr"]} for group in self.groups]
        for known, group, tensor in zip(plain, self.groups, self.tensors, strict=True):
            group["lr"] = tensor
            if "capturable" in group:  # AdamW, which will not be recorded without; fused, it does the same with it
                known["capturable"], group["capturable"] = group["capturable"], True
        try:
            yield
        finally:
            for known, group in zip(plain, self.groups, strict=True):
                group.update(known)


def lr_scales(model: StagedModel, point: Hyperparameters) -> list[float]:
    """What the lr of each stage is multiplied by, the head's last: layer decay by the number of stages above it."""
    backbone = [point.layer_decay**above for above in range(model.backbone_stages, 0, -1)]
    return [*backbone, point.head_lr_scale]


def schedule(
    optimizer: torch.optim.Optimizer, point: Hyperparameters, *, milestones: tuple[float, ...], steps: int
) -> LRScheduler:
    """The point's learning rate over `steps` optimiser steps, with each group's own lr as its peak.

    `milestones` of the step schedule are shares of the steps.
    """
    if point.schedule == "onecycle":
        total = max(steps, 3)
        rising = max(2, round(0.3 * total))  # steps up to the peak, a whole number so that it is reached
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=total, pct_start=rising / total, cycle_momentum=False)
    warmup_steps = min(ceil(point.warmup * steps), steps - 1)
    rest = steps - warmup_steps
    if point.schedule == "cosine":
        after: LRScheduler = CosineAnnealingLR(optimizer, T_max=rest)
    elif point.schedule == "constant":
        after = ConstantLR(optimizer, factor=1.0)
    else:
        at = sorted({max(1, round(share * steps) - warmup_steps) for share in milestones})
        after = MultiStepLR(optimizer, at, gamma=point.step_factor)
    if warmup_steps == 0:
        return after
    warmup = LinearLR(optimizer, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps)
    return SequentialLR(optimizer, [warmup, after], milestones=[warmup_steps])
