"""CoAtNet-1 (Dai et al. 2021): MBConv stages, then stages of relative attention; timm's `rw` form has weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainables.architecture import HALF, MINI_INPUT, Architecture, Preprocessing, Variant
from trainables.hyperparameters import Hyperparameters
from trainables.recipe import Recipe
from trainables.weights import packaged, timm_hub

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage

FEATURES = ("dropout", "drop_path")
MINI, PAPER = 8, 19  # backbone stages


def mini(classes: int) -> "nn.Module":
    """The same plan for 32 px: a stem of stride 2, MBConv at 8 px, attention at 4 and 2 px."""
    from timm.models.maxxvit import MaxxVit, MaxxVitCfg, MaxxVitConvCfg, MaxxVitTransformerCfg

    plan = MaxxVitCfg(
        embed_dim=(24, 32, 64, 96),
        depths=(1, 1, 3, 1),
        block_type=("C", "C", "T", "T"),
        stem_width=(16, 24),
        conv_cfg=MaxxVitConvCfg(expand_output=False, attn_early=True, attn_act_layer="relu", pre_norm_act=True),
        transformer_cfg=MaxxVitTransformerCfg(
            dim_head=16, expand_first=False, shortcut_bias=False, rel_pos_type="bias"
        ),
    )
    return MaxxVit(plan, img_size=32, num_classes=classes)


def named(name: str) -> "Callable[[int], nn.Module]":
    def build(classes: int) -> "nn.Module":
        import timm

        return timm.create_model(name, num_classes=classes)

    return build


def cut(model: Any) -> "list[Stage]":
    """Stem, the two MBConv stages, each block of the long attention stage, the last stage, norm and pool, head.

    The long stage holds two thirds of the compute, so each of its blocks is a stage; the others are comparable
    to one of them.
    """
    from torch import nn

    from trainables.stages import Stage

    first, second, third, fourth = model.stages
    return [
        Stage("stem", model.stem),
        Stage("mbconv1", first),
        Stage("mbconv2", second),
        *[Stage(f"attention1.{i}", block) for i, block in enumerate(third.blocks)],
        Stage("attention2", fourth),
        Stage("norm", nn.Sequential(model.norm, model.head.global_pool, model.head.flatten)),
        Stage("head", nn.Sequential(model.head.drop, model.head.fc)),
    ]


COATNET_INPUT = Preprocessing(224, *HALF, crop=0.95, interpolation="bicubic")

ARCHITECTURE = Architecture(
    name="coatnet",
    title="CoAtNet",
    family="hybrid",
    variants=(
        Variant(
            "coatnet_mini.fashion60k",
            "mini",
            "fashion60k",
            mini,
            MINI_INPUT,
            MINI,
            FEATURES,
            packaged("coatnet_mini.fashion60k"),
        ),
        Variant(
            "coatnet_mini.fashion6k",
            "mini",
            "fashion6k",
            mini,
            MINI_INPUT,
            MINI,
            FEATURES,
            packaged("coatnet_mini.fashion6k"),
        ),
        Variant("coatnet_mini", "mini", "none", mini, MINI_INPUT, MINI, FEATURES),
        Variant(
            "coatnet_1_rw_224.sw_in1k",
            "paper",
            "in1k",
            named("coatnet_1_rw_224"),
            COATNET_INPUT,
            PAPER,
            FEATURES,
            timm_hub("coatnet_1_rw_224.sw_in1k"),
        ),
        Variant(
            "coatnet_rmlp_1_rw2_224.sw_in12k",
            "paper",
            "in12k",
            named("coatnet_rmlp_1_rw2_224"),
            COATNET_INPUT,
            PAPER,
            FEATURES,
            timm_hub("coatnet_rmlp_1_rw2_224.sw_in12k"),
        ),
        Variant("coatnet_1_rw_224", "paper", "none", named("coatnet_1_rw_224"), COATNET_INPUT, PAPER, FEATURES),
    ),
    cut=cut,
    # section IV-D: fine-tuned throughout; the paper gives no learning rate, so the usual one for AdamW
    paper=lambda backbone_stages: Hyperparameters(lr=1e-4, weight_decay=1e-2, freeze_depth=0),
    # section IV-D and IV-E; no schedule is given
    recipes=(
        Recipe(
            "paper", epochs=10, settings={"batch_size": 256, "schedule": "constant", "warmup": 0.0, "clip_norm": 0.0}
        ),
    ),
)
