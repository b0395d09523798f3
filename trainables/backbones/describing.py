"""Asks timm what a model is: its weights, how each takes its images, and what it is built of."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from trainables.architecture import Preprocessing
from trainables.backbones.finding import create, first_line
from trainables.backbones.plans import Described
from trainables.choices import INTERPOLATIONS

CHANNELS = 3
NORMS = ("norm", "bn")


def describe(name: str, small: int) -> Described:
    """Raises ValueError for a model that is no classifier of square RGB images."""
    from timm.models import get_pretrained_cfg, list_models

    config = get_pretrained_cfg(name)
    if config is None:
        raise ValueError(f"timm/{name} has no configuration in timm: it cannot be used")
    channels, height, width = config.input_size
    if channels != CHANNELS:
        raise ValueError(f"timm/{name} takes images of {channels} channels, and these have {CHANNELS}")
    if height != width:
        raise ValueError(f"timm/{name} takes images of {height} x {width} px: only square ones are made here")
    tags = [full.partition(".")[2] for full in list_models(f"{name}.*", pretrained=True, include_tags=True)]
    own = {tag: of_config(get_pretrained_cfg(f"{name}.{tag}")) for tag in ordered(config.tag, tags)}
    given = of_config(config)
    family, space = built_of(on_meta(name, given.size))
    return Described(family, space, smallest(name, given.size, small), given, own)


def ordered(first: str | None, tags: list[str]) -> list[str]:
    """timm's default weights first."""
    return sorted(tags, key=lambda tag: tag != first)


def of_config(config: Any) -> Preprocessing:
    """timm's data config in our words; the few that resize in a way that is not offered here are bicubic."""
    from timm.data.config import resolve_data_config

    data = resolve_data_config(pretrained_cfg=config.to_dict())
    bare = Preprocessing(int(data["input_size"][-1]), tuple(data["mean"]), tuple(data["std"]))
    known = data["interpolation"] in INTERPOLATIONS
    return replace(
        bare,
        crop=min(float(data["crop_pct"]), 1.0),
        interpolation=data["interpolation"] if known else "bicubic",
    )


def on_meta(name: str, size: int) -> nn.Module:
    """Raises ValueError where the model is not for that size."""
    try:
        with torch.device("meta"):
            return create(name, size, 2)
    except (NotImplementedError, RuntimeError):  # one that looks at its own weights
        return create(name, size, 2)


def smallest(name: str, own: int, small: int) -> int:
    """`small` where the model takes images of it, else its own size."""
    if own <= small:
        return own
    try:
        model = on_meta(name, small).eval()
        with torch.no_grad():
            model(torch.zeros(2, CHANNELS, small, small, device=next(iter(model.parameters())).device))
    except Exception as error:  # whatever a model's own code raises
        assert first_line(error) is not None
        return own
    return small


def built_of(model: nn.Module) -> tuple[str, str]:
    """(family, search space) by the layers that a model has.

    A convolution that makes patches of the images alone does not make a model one of convolutions.
    """
    attention = any(word in kind.lower() for kind in mixing(model) for word in ATTENTION)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d) and max(m.kernel_size) > 1]
    mixes = len([one for one in convolutions if one.in_channels > CHANNELS or one.stride[0] < one.kernel_size[0]])
    convolution = mixes > 1
    family = "hybrid" if attention and convolution else "attention" if attention else "convolution"
    if not attention and not convolution:
        family = "other"
    normalised = any(any(norm in type(m).__name__.lower() for norm in NORMS) for m in model.modules())
    if attention:
        return family, "attention"
    return family, "normalised_convolution" if convolution and normalised else "neither"


ATTENTION = ("attention", "attn", "mhsa", "gpsa")
CHANNEL_ATTENTION = ("squeeze", "effective", "eca", "cbam", "channel", "spatial", "gather", "global_context")


def mixing(model: nn.Module) -> set[str]:
    """The kinds of layers that may mix places by attention: what weighs channels alone is none."""
    kinds = {type(m).__name__ for m in model.modules()}
    return {kind for kind in kinds if not any(word in kind.lower() for word in CHANNEL_ATTENTION)}
