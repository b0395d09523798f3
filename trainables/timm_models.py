"""What timm has no model of, under a name of its own in timm: importing this is enough.

    import timm, trainables.timm_models
    model = timm.create_model("local-dir:results/NAME/best", pretrained=True)

Only models that timm does not have need the import: the mini ones, and AlexNet. `hub_config` says of any model what
timm, and the hub's page of it, read in a `config.json`.
"""

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import build_model_with_cfg, register_model
from timm.models._hub import save_config_for_hf  # what `timm.models.save_for_hf` writes beside the weights
from torch import nn

from trainables import architecture
from trainables.architecture import Preprocessing, Variant

__all__: list[str] = []  # timm adds the names that it registers
OF_ANOTHER = ("tag", "license", "origin_url", "paper_ids", "paper_name", "description", "notes")  # its default weights


def base_name(variant: Variant) -> str:
    """Of a variant without the tag of its weights: `resnet50` of `resnet50.a1_in1k`."""
    return variant.name.partition(".")[0]


def described(preprocessing: Preprocessing, classes: int) -> dict[str, Any]:
    """As timm has it: it takes the floor of size / crop where we round, so crop is given such that both are one."""
    side = round(preprocessing.size / preprocessing.crop)
    crop = preprocessing.size / side
    if math.floor(preprocessing.size / crop) != side:
        crop = math.nextafter(crop, 0)
    return {
        "input_size": (3, preprocessing.size, preprocessing.size),
        "interpolation": preprocessing.interpolation,
        "crop_pct": crop,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "num_classes": classes,
    }


def entrypoint(variant: Variant) -> Callable[..., nn.Module]:
    """What timm calls to build the variant, as it calls its own models."""
    name = base_name(variant)

    size = (variant.preprocessing.size, variant.preprocessing.size)

    def build(num_classes: int = 1000, in_chans: int = 3, img_size: Sequence[int] | None = None) -> nn.Module:
        if in_chans != 3 or tuple(img_size or size) != size:
            raise ValueError(f"{name} takes images of 3 x {size[0]} x {size[1]}, got {in_chans} x {img_size}")
        model = variant.build(num_classes)
        found: Any = model  # what timm reads of any model of its own
        found.num_classes = num_classes
        found.num_features = [m for m in model.modules() if isinstance(m, nn.Linear)][-1].in_features
        return model

    def create(pretrained: bool = False, **options: Any) -> nn.Module:
        options["pretrained_cfg"] = options.get("pretrained_cfg") or {
            "architecture": name,
            **described(variant.preprocessing, 1000),
        }
        return build_model_with_cfg(build, name, pretrained, **options)

    create.__name__ = create.__qualname__ = name
    create.__module__ = __name__
    return create


def register() -> None:
    """Every variant that timm has no model of."""
    for _, variant in architecture.every():
        if not timm.is_model(base_name(variant)):
            register_model(entrypoint(variant))


def hub_config(variant: Variant, classes: Sequence[str]) -> dict[str, Any]:
    """The variant as timm writes it into a `config.json`; nothing where timm has another model of its name."""
    with torch.device("meta"):
        model: Any = variant.build(len(classes))
        if not hasattr(model, "pretrained_cfg"):  # timm has not built it
            if base_name(variant) not in __all__:
                return {}
            model = timm.create_model(base_name(variant), num_classes=len(classes))
    of_images = described(variant.preprocessing, len(classes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        save_config_for_hf(model, str(path), model_config={"label_names": list(classes)}, data_config=of_images)
        config = json.loads(path.read_text())
    if config["architecture"] in __all__:
        del config["model_args"]  # its name says all
    for name in OF_ANOTHER:
        config["pretrained_cfg"].pop(name, None)
    return config


register()
