"""ResNet-50 (He et al. 2016) in timm's form, and BiT's pre-activation ResNet-50 (GroupNorm) where in21k is meant."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainables.architecture import HALF, IMAGENET, MINI_INPUT, Architecture, Preprocessing, Variant
from trainables.hyperparameters import Hyperparameters
from trainables.recipe import Recipe
from trainables.weights import packaged, timm_hub

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage

FEATURES = ("drop_path",)


def mini(classes: int) -> "nn.Module":
    """Bottleneck blocks of expansion 4 in four stages, for 32 px: 16, 8, 4 and 2 px."""
    from timm.models.resnet import Bottleneck, ResNet
    from torch import nn

    block: Any = Bottleneck
    model = ResNet(block, layers=(1, 1, 2, 1), channels=(12, 24, 48, 64), num_classes=classes, zero_init_last=False)
    stem: Any = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
    unpooled: Any = nn.Identity()
    model.conv1, model.maxpool = stem, unpooled
    return model


def named(name: str) -> "Callable[[int], nn.Module]":
    def build(classes: int) -> "nn.Module":
        import timm

        return timm.create_model(name, num_classes=classes)

    return build


def cut(model: Any) -> "list[Stage]":
    """The stem, four stages, pooling, head.

    Pooling has no parameters, so it goes with the last stage; BiT's residual stream is not yet normalised
    there: its norm is a stage of its own.
    """
    from timm.models.resnetv2 import ResNetV2
    from torch import nn

    from trainables.stages import Stage

    if isinstance(model, ResNetV2):
        return [
            Stage("stem", model.stem),
            *[Stage(f"layer{i}", stage) for i, stage in enumerate(model.stages, 1)],
            Stage("norm", nn.Sequential(model.norm, model.head.global_pool)),
            Stage("head", nn.Sequential(model.head.drop, model.head.fc, model.head.flatten)),
        ]
    return [
        Stage("stem", nn.Sequential(model.conv1, model.bn1, model.act1, model.maxpool)),
        Stage("layer1", model.layer1),
        Stage("layer2", model.layer2),
        Stage("layer3", model.layer3),
        Stage("layer4", nn.Sequential(model.layer4, model.global_pool)),
        Stage("head", model.fc),
    ]


TORCHVISION_INPUT = Preprocessing(224, *IMAGENET, crop=0.875)
TV2_INPUT = Preprocessing(224, *IMAGENET, crop=0.965)
A1_INPUT = Preprocessing(224, *IMAGENET, crop=0.95, interpolation="bicubic")
BIT_INPUT = Preprocessing(224, *HALF, crop=0.875)

ARCHITECTURE = Architecture(
    name="resnet",
    title="ResNet",
    family="convolution",
    variants=(
        Variant(
            "resnet_mini.fashion60k",
            "mini",
            "fashion60k",
            mini,
            MINI_INPUT,
            5,
            FEATURES,
            packaged("resnet_mini.fashion60k"),
        ),
        Variant(
            "resnet_mini.fashion6k",
            "mini",
            "fashion6k",
            mini,
            MINI_INPUT,
            5,
            FEATURES,
            packaged("resnet_mini.fashion6k"),
        ),
        Variant("resnet_mini", "mini", "none", mini, MINI_INPUT, 5, FEATURES),
        *[
            Variant(
                f"resnet50.{tag}_in1k",
                "paper",
                "in1k",
                named("resnet50"),
                given,
                5,
                FEATURES,
                timm_hub(f"resnet50.{tag}_in1k"),
            )
            for tag, given in (("tv", TORCHVISION_INPUT), ("tv2", TV2_INPUT), ("a1", A1_INPUT))
        ],
        Variant(
            "resnetv2_50x1_bit.goog_in21k",
            "paper",
            "in21k",
            named("resnetv2_50x1_bit"),
            BIT_INPUT,
            6,
            ("dropout", "drop_path"),
            timm_hub("resnetv2_50x1_bit.goog_in21k"),
        ),
        Variant("resnet50", "paper", "none", named("resnet50"), TORCHVISION_INPUT, 5, FEATURES),
    ),
    cut=cut,
    # section III-C: the whole network is fine-tuned in the end; the paper gives no learning rate, so the
    # usual one for fine-tuning a ResNet-50 with AdamW
    paper=lambda backbone_stages: Hyperparameters(lr=1e-3, weight_decay=1e-2, freeze_depth=0),
    recipes=(
        # section III-C and III-D; how long the head is alone, how much lr is reduced, batch and steps are not given
        Recipe(
            "paper",
            epochs=10,
            milestones=(1 / 3, 2 / 3),
            settings={
                "batch_size": 256,
                "schedule": "step",
                "warmup": 0.1,
                "step_factor": 0.1,
                "clip_norm": 0.0,
                "head_first_share": 0.3,
                "head_first_lr_scale": 0.1,
            },
        ),
    ),
)
