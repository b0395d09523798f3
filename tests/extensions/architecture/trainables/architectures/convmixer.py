"""ConvMixer (Trockman & Kolter 2022) in timm's form: patches, mixed by depthwise and by 1 x 1 convolutions."""

from typing import TYPE_CHECKING, Any

from trainables.architecture import IMAGENET, MINI_INPUT, Architecture, Preprocessing, Variant
from trainables.hyperparameters import Hyperparameters
from trainables.weights import timm_hub

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage

NAME = "convmixer_768_32"
INPUT = Preprocessing(224, *IMAGENET, crop=0.96, interpolation="bicubic")
FEATURES = ("dropout",)


def mini(classes: int) -> "nn.Module":
    from timm.models.convmixer import ConvMixer

    return ConvMixer(dim=192, depth=6, kernel_size=5, patch_size=4, num_classes=classes)


def paper(classes: int) -> "nn.Module":
    import timm

    return timm.create_model(NAME, num_classes=classes)


def cut(model: Any) -> "list[Stage]":
    from torch import nn

    from trainables.stages import Stage

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
        Variant("convmixer_mini", "mini", "none", mini, MINI_INPUT, 7, FEATURES),
        Variant(f"{NAME}.in1k", "paper", "in1k", paper, INPUT, 33, FEATURES, timm_hub(f"{NAME}.in1k")),
        Variant(NAME, "paper", "none", paper, INPUT, 33, FEATURES),
    ),
    cut=cut,
    paper=lambda backbone_stages: Hyperparameters(lr=1e-2, weight_decay=2e-5, freeze_depth=0),
)
