"""Dropout and stochastic depth of a built model: where their layers are, and how a run sets their rates.

A warm process trains one model again and again, so every run sets all rates, and frozen stages have them as built.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

SOFTMAX = "attn_drop"  # timm's name for the dropout of attention weights, which is none of the model's own
DROP_PATHS = ("drop_path", "drop_path1", "drop_path2")  # timm's names in a residual block


class Rates:
    """The layers of each stage. A residual block of timm that was built without stochastic depth gets it, at rate 0."""

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        self.dropouts = [dropouts(stage) for stage in stages]
        self.blocks = [residual_blocks(stage) for stage in stages]

    @property
    def features(self) -> tuple[str, ...]:
        """Which of the hyperparameters `dropout` and `drop_path` the model has layers for."""
        layers = {"dropout": any(self.dropouts), "drop_path": any(self.blocks)}
        return tuple(name for name, there in layers.items() if there)

    def set(self, *, dropout: float | None, drop_path: float, frozen: int) -> None:
        """Sets both in all but the first `frozen` stages, which get what they were built with.

        Args:
            dropout: of the model's own dropout layers; None is as built.
            drop_path: of the last residual block; it rises linearly from 0 at the model's first one, as timm has it.
        """
        last = max(1, sum(map(len, self.blocks)) - 1)
        before = 0
        for position, (layers, blocks) in enumerate(zip(self.dropouts, self.blocks, strict=True)):
            trained = position >= frozen
            for layer, built in layers:
                layer.p = dropout if trained and dropout is not None else built
            for number, paths in enumerate(blocks, before):
                for path in paths:
                    path.drop_prob = drop_path * number / last if trained else 0.0
            before += len(blocks)


def dropouts(stage: nn.Module) -> list[tuple[nn.Dropout, float]]:
    """The stage's own dropout layers, each with the rate that it was built with."""
    return [
        (layer, layer.p)
        for name, layer in stage.named_modules()
        if isinstance(layer, nn.Dropout) and name.rpartition(".")[2] != SOFTMAX
    ]


def residual_blocks(stage: nn.Module) -> list[list[Any]]:
    """The DropPath layers of each residual block of a stage, in order."""
    blocks = []
    for block in stage.modules():
        names = [name for name in DROP_PATHS if hasattr(block, name)]
        if names:
            from timm.layers.drop import DropPath  # whoever has such blocks has imported timm

            for name in names:
                setattr(block, name, DropPath(0.0))
            blocks.append([getattr(block, name) for name in names])
    return blocks
