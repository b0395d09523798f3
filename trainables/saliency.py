"""What a model looked at in an image: Grad-CAM of its convolutions, and the rollout of its attention.

Grad-CAM (Selvaraju et al. 2017) weighs the last feature maps that still have places by the gradient of the predicted
class. Rollout (Abnar & Zuidema 2020) multiplies the attention of all blocks, half of each being the residual path: it
says from where the answer was gathered, and does not depend on the class. A hybrid has both: that of its convolutional
stages, and that of its attention stages. Neither shows a cause; both are hints of where to look.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

ATTENTION = "attn_drop"  # timm's name of the module that is handed the weights of attention
AT_A_TIME = 8
FINEST, COARSEST = 7, 8  # a map has 7 x 7 places, or where that is less one for 8 x 8 pixels


@dataclass(frozen=True)
class Maps:
    """Of each image (N, h, w) in [0, 1], 1 where it looked most; None where the model has no such part."""

    convolution: Tensor | None
    attention: Tensor | None


@dataclass(frozen=True)
class Parts:
    """Of a model: the module whose output Grad-CAM is of, and those that are handed the attention of a block."""

    features: nn.Module | None
    attentions: tuple[nn.Module, ...]


def maps(model: nn.Module, images: Tensor, predicted: Tensor, *, convolutions: bool = True) -> Maps:
    """What the model looked at in some images.

    Args:
        model: images to logits, in eval mode, as its library builds it; its parameters need gradients.
        images: (N, 3, size, size) as it takes them.
        predicted: (N,) the class of each that is to be explained.
        convolutions: whether it has some besides those that cut an image into patches.
    """
    with attention_kept(model):
        parts = parts_of(model, images[:1], convolutions)
        found = [
            explained(model, parts, *some)
            for some in zip(images.split(AT_A_TIME), predicted.split(AT_A_TIME), strict=True)
        ]
    cams = [cam for cam, _ in found if cam is not None]
    rolled = [map_ for _, map_ in found if map_ is not None]
    return Maps(torch.cat(cams) if cams else None, torch.cat(rolled) if rolled else None)


@contextmanager
def attention_kept(model: nn.Module) -> Iterator[None]:
    """Inside, attention is computed step by step: a fused kernel never has its weights."""
    fused = [module for module in model.modules() if getattr(module, "fused_attn", False)]
    for module in fused:
        module.fused_attn = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True  # type: ignore[assignment]


@contextmanager
def hooked(handles: Sequence[RemovableHandle]) -> Iterator[None]:
    """Hooks that are there inside, and removed after it."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def parts_of(model: nn.Module, image: Tensor, convolutions: bool) -> Parts:
    """Found by what the modules give: of convolutions the last ones with places, before the first part that attends."""
    places = min(FINEST, image.shape[-1] // COARSEST)
    within: list[nn.Module] = []  # those that are computing, the outermost first
    features: list[tuple[nn.Module, ...]] = []
    attentions: list[nn.Module] = []
    first: list[nn.Module] = []  # what the first attention is within
    called = {module for name, module in model.named_modules() if name.endswith(ATTENTION)}

    def begins(module: nn.Module, given: tuple[Any, ...]) -> None:
        within.append(module)

    def ends(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        within.pop()
        if module in called:
            first[:] = first or [one for one in within if not isinstance(one, nn.Sequential)]
            attentions.append(module)
        elif not attentions and is_map(output, len(image), places):
            features.append((*within, module))

    modules = list(model.modules())
    before = [module.register_forward_pre_hook(begins) for module in modules]
    after = [module.register_forward_hook(ends) for module in modules]
    with hooked([*before, *after]):
        model(image)
    stage = first[1] if len(first) > 1 else None  # the model's own part, which may begin with convolutions of its own
    earlier = [path[-1] for path in features if stage not in path]
    return Parts(earlier[-1] if earlier and convolutions else None, tuple(attentions))


def is_map(output: Any, images: int, places: int) -> bool:
    """Whether it is a value for each of enough places in each image."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        return False
    return len(output) == images and min(output.shape[-2:]) >= places


def explained(model: nn.Module, parts: Parts, images: Tensor, predicted: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Grad-CAM and rollout of a few images."""
    weights: list[Tensor] = []
    features: list[Tensor] = []

    def attended(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        weights.append(given[0].detach())

    def reached(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        features.append(output)
        return output.clone()  # what follows may work in its place

    of_features = () if parts.features is None else (parts.features,)
    of_attention = [module.register_forward_hook(attended) for module in parts.attentions]
    reaching = [module.register_forward_hook(reached) for module in of_features]
    with torch.enable_grad(), hooked([*of_attention, *reaching]):
        logits = model(images)
        cam = grad_cam(features[-1], logits.gather(1, predicted[:, None]).sum()) if features else None
    return cam, rollout(weights)


def grad_cam(features_NCHW: Tensor, score: Tensor) -> Tensor:
    """(N, H, W) in [0, 1] of feature maps, and of what is to be explained: the sum of each image's logit."""
    [gradient] = torch.autograd.grad(score, features_NCHW)
    cam = (gradient.mean(dim=(2, 3), keepdim=True) * features_NCHW).sum(dim=1).relu().detach()
    return scaled(cam)


def rollout(attentions: list[Tensor]) -> Tensor | None:
    """(N, h, w) in [0, 1] of the attention (N, heads, tokens, tokens) of blocks in their order.

    Where a block has a quarter of the tokens, they were averaged 2 x 2. None where the tokens are no square of places
    (windows, for instance, are parts of one).
    """
    rolled: Tensor | None = None
    for attention in attentions:
        if attention.ndim != 4 or attention.shape[2] != attention.shape[3]:
            return None
        mixed = attention.float().mean(dim=1)
        tokens = mixed.shape[-1]
        mixed = 0.5 * mixed + 0.5 * torch.eye(tokens, device=mixed.device)
        if rolled is not None and rolled.shape[1] != tokens:
            if len(rolled) != len(mixed) or not halves(rolled.shape[1], tokens):
                return None
            mixed = mixed @ pooling(isqrt(tokens), mixed)
        elif rolled is not None and len(rolled) != len(mixed):
            return None
        rolled = mixed if rolled is None else mixed @ rolled
    if rolled is None:
        return None
    side = isqrt(rolled.shape[2])
    before = rolled.shape[2] - side**2  # a class token, and others that are no place
    if side < 2 or before > 8:
        return None
    gathered = rolled[:, 0] if before else rolled.mean(dim=1)  # the class token's, or that of the average of all
    places = gathered[:, before:].reshape(-1, side, side)
    return scaled(places - places.amin(dim=(1, 2), keepdim=True))


def halves(before: int, after: int) -> bool:
    return isqrt(before) ** 2 == before and isqrt(after) ** 2 == after and before == 4 * after


def pooling(side: int, like: Tensor) -> Tensor:
    """(side^2, 4 side^2): each place as the average of the four that it was made of."""
    unit = torch.eye(4 * side**2, device=like.device, dtype=like.dtype)
    return F.avg_pool2d(unit.reshape(-1, 1, 2 * side, 2 * side), 2).reshape(4 * side**2, side**2).T


def scaled(maps_NHW: Tensor) -> Tensor:
    """So that the largest of each is 1; one of nothing stays nothing."""
    return maps_NHW / maps_NHW.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
