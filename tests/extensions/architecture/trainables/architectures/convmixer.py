"""ConvMixer (Trockman & Kolter 2022) in timm's form: patches, mixed by depthwise and by 1 x 1 convolutions."""

from typing import Any

import timm
from timm.models.convmixer import ConvMixer
from torch import nn

from trainables.architecture import IMAGENET, MINI_INPUT, Architecture, Preprocessing, Variant
from trainables.recipe import Hyperparameters
from trainables.stages import Stage
from trainables.weights import timm_hub

NAME = "convmixer_768_32"
INPUT = Preprocessing(224, *IMAGENET, crop=0.96, interpolation="bicubic")


def mini(classes: int) -> nn.Module:
    return ConvMixer(dim=192, depth=6, kernel_size=5, patch_size=4, num_classes=classes)


def paper(classes: int) -> nn.Module:
    return timm.create_model(NAME, num_classes=classes)


def cut(model: Any) -> list[Stage]:
    *blocks, last = model.blocks
    return [
        Stage("stem", model.stem),
        *[Stage(f"block{i}", block) for i, block in enumerate(blocks, 1)],
        Stage(f"block{len(model.blocks)}", nn.Sequential(last, model.global_pool)),
        Stage("head", nn.Sequential(model.head_drop, model.head)),
    ]


ARCHITECTURE = Architecture(
    name="convmixer",
    title="ConvMixer",
    family="convolution",
    variants=(
        Variant("convmixer_mini", "mini", "none", mini, MINI_INPUT),
        Variant(f"{NAME}.in1k", "paper", "in1k", paper, INPUT, timm_hub(f"{NAME}.in1k")),
        Variant(NAME, "paper", "none", paper, INPUT),
    ),
    cut=cut,
    paper=lambda backbone_stages: Hyperparameters(lr=1e-2, weight_decay=2e-5, freeze_depth=0),
)
