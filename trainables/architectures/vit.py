"""ViT-S/16 (Dosovitskiy et al. 2020), timm's, with the AugReg weights (Steiner et al. 2021)."""

from typing import TYPE_CHECKING, Any

from trainables.architecture import HALF, MINI_INPUT, Architecture, Preprocessing, Variant
from trainables.hyperparameters import Hyperparameters
from trainables.recipe import Recipe
from trainables.weights import packaged, timm_hub

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage

FEATURES = ("dropout", "drop_path")


def mini(classes: int) -> "nn.Module":
    """Patches of 4 px on 32 px: 64 tokens of width 64."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(img_size=32, patch_size=4, embed_dim=64, depth=6, num_heads=4, num_classes=classes)


def small(classes: int) -> "nn.Module":
    import timm

    return timm.create_model("vit_small_patch16_224", num_classes=classes)


def cut(model: Any) -> "list[Stage]":
    """The embedding, each block, the class token, head."""
    from trainables.layers import ClassToken, Embed
    from trainables.stages import Stage

    return [
        Stage("embed", Embed(model)),
        *[Stage(f"block{i}", block) for i, block in enumerate(model.blocks)],
        Stage("norm", ClassToken(model.norm)),
        Stage("head", model.head),
    ]


AUGREG_INPUT = Preprocessing(224, *HALF, crop=0.9, interpolation="bicubic")

ARCHITECTURE = Architecture(
    name="vit",
    title="ViT",
    family="attention",
    variants=(
        Variant(
            "vit_mini.fashion60k", "mini", "fashion60k", mini, MINI_INPUT, 8, FEATURES, packaged("vit_mini.fashion60k")
        ),
        Variant(
            "vit_mini.fashion6k", "mini", "fashion6k", mini, MINI_INPUT, 8, FEATURES, packaged("vit_mini.fashion6k")
        ),
        Variant("vit_mini", "mini", "none", mini, MINI_INPUT, 8, FEATURES),
        *[
            Variant(
                f"vit_small_patch16_224.{tag}",
                "paper",
                pretraining,
                small,
                AUGREG_INPUT,
                14,
                FEATURES,
                timm_hub(f"vit_small_patch16_224.{tag}"),
            )
            for tag, pretraining in (
                ("augreg_in1k", "in1k"),
                ("augreg_in21k", "in21k"),
                ("augreg_in21k_ft_in1k", "in21k"),
            )
        ],
        Variant("vit_small_patch16_224", "paper", "none", small, AUGREG_INPUT, 14, FEATURES),
    ),
    cut=cut,
    # section II-C: a frozen backbone and a linear head; the paper gives no learning rate, so AdamW's default
    paper=lambda backbone_stages: Hyperparameters(lr=1e-3, weight_decay=1e-2, freeze_depth=backbone_stages),
    # section II-C and II-D; no batch size and no schedule are given
    recipes=(
        Recipe(
            "paper", epochs=5, settings={"batch_size": 256, "schedule": "constant", "warmup": 0.0, "clip_norm": 0.0}
        ),
    ),
)
