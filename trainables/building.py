"""Models of what the architecture files declare: assembled from their stages, and filled with published weights."""

from pathlib import Path

import torch
from torch import Tensor, nn

from trainables import weights
from trainables.architecture import Architecture, Variant
from trainables.stages import Normalize, Stage, StagedModel
from trainables.weights import reading


def assemble(architecture: Architecture, variant: Variant, classes: int) -> StagedModel:
    """The variant with random weights, cut into stages, taking uint8 images."""
    whole = variant.build(classes)
    first, *others = architecture.cut(whole)
    normalize = Normalize(variant.preprocessing.mean, variant.preprocessing.std)
    stages = [Stage(first.name, nn.Sequential(normalize, first.module)), *others]
    return StagedModel(stages, whole, frozen_rows=32 if variant.preprocessing.size <= 64 else 16)


def check_size(architecture: Architecture, variant: Variant) -> None:
    """Raises ValueError if the variant cannot take images of the size of its preprocessing. Allocates nothing."""
    size = variant.preprocessing.size
    try:
        with torch.device("meta"), torch.no_grad():
            assemble(architecture, variant, 2).eval()(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError):
        raise ValueError(f"{variant.name} cannot take images of {size} px: leave size as its weights have it") from None


def pretrained(
    architecture: Architecture, variant: Variant, *, path: Path | None = None, offline: bool = False
) -> dict[str, Tensor] | None:
    """The backbone's weights under the library's names, from `path` or as published; None if there are none.

    Raises ValueError, with the way out, if they cannot be had or do not fit.
    """
    source = variant.weights
    weights.check(source, path)
    if source is None:
        return None
    state = reading.read(source, path=path, offline=offline)
    whole = variant.build(2)
    wanted = StagedModel(architecture.cut(whole), whole).tensors(head=False)
    try:
        return reading.fit_to(whole, wanted, state)
    except ValueError as error:
        raise ValueError(f"weights at {path or source.file} do not fit {variant.name}: {error}") from None


def with_sync_batchnorm(model: StagedModel) -> StagedModel:
    """The model with every BatchNorm synchronised over workers, on the same tensors; timm's have an activation too."""
    from timm.layers.norm_act import convert_sync_batchnorm

    converted = convert_sync_batchnorm(model)
    assert isinstance(converted, StagedModel)
    return converted
