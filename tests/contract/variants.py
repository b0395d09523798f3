"""The variants under test, found by discovery, and the models that their own libraries build."""

import timm
import torch
import torchvision
from torch import Tensor, nn

from trainables import architecture
from trainables.architecture import Architecture, Variant
from trainables.stages import Normalize, StagedModel

Pair = tuple[Architecture, Variant]

EVERY: list[Pair] = list(architecture.every())
MINI = [pair for pair in EVERY if pair[1].scale == "mini"]
PAPER = [pair for pair in EVERY if pair[1].scale == "paper"]
CLASSES = 7


def title(pair: Pair) -> str:
    return pair[1].name


def library_name(variant: Variant) -> str:
    """The model's name without the name of its weights."""
    return variant.name.partition(".")[0]


# Variants that differ in their weights only are one model
MODELS_OF_THE_PAPER: list[Pair] = list({library_name(pair[1]): pair for pair in PAPER}.values())


def library_model(variant: Variant, classes: int = CLASSES) -> nn.Module:
    """The model from its library's own builder; a model that no library has is built here, from `Variant.build`."""
    name = library_name(variant)
    if timm.is_model(name):
        return timm.create_model(name, num_classes=classes)
    if name in torchvision.models.list_models():
        return torchvision.models.get_model(name, num_classes=classes)
    return variant.build(classes)


def scrambled(model: StagedModel, seed: int = 0) -> StagedModel:
    """Random numbers where builders put zeros and ones, so that no branch, norm or bias is without effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2 or not parameter.any():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.1 * torch.randn(buffer.shape, generator=generator)
            if name.endswith("running_var"):
                buffer *= 0.5 + torch.rand(buffer.shape, generator=generator)
    return model


def images(variant: Variant, n: int = 2, seed: int = 0) -> Tensor:
    """Boundary 0: n random images (n, 3, size, size) uint8."""
    size = variant.preprocessing.size
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def normalised(variant: Variant, images_NCHW: Tensor) -> Tensor:
    """What the library's model takes."""
    return Normalize(variant.preprocessing.mean, variant.preprocessing.std)(images_NCHW)


def depths(pair: Pair) -> list[int]:
    return list(range(pair[1].backbone_stages + 1))
