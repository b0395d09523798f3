"""Frozen stages with their weights in half precision: autocast would cast all of them again for every batch.

It keeps the casts of weights that are trained alone. On a GPU that is a launch for each weight: 280 of the 682 kernels
of a step of ViT-S.
"""

from copy import deepcopy

import torch
from torch import nn

# Exactly these: what is derived from them may do something with a weight before it is cast
CAST = (nn.Linear, nn.Conv2d)


def half(stage: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy that gives the same under that autocast, bit for bit: its weights are what autocast makes of them."""
    copy = deepcopy(stage).requires_grad_(False)
    for layer in copy.modules():
        if type(layer) in CAST:
            layer.to(dtype)
    return copy


class Halves:
    """Of the stages of one model, by their position, each made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[torch.dtype, torch.device, nn.Module]] = {}

    def of(self, position: int, stage: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
        made = self._made.get(position)
        if made is None or made[:2] != (dtype, device):
            with torch.inference_mode(False):  # others than a prediction use it, too
                made = self._made[position] = dtype, device, half(stage, dtype)
        return made[2]

    def forget(self, first: int) -> None:
        """Those of the stages from `first` on, whose weights may change."""
        for position in [position for position in self._made if position >= first]:
            del self._made[position]
