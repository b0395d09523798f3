"""A study's model in timm: every variant by the name that `best/config.json` gives it, with its own preprocessing."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

from trainables import architecture, building, timm_models
from trainables.architecture import Architecture, Preprocessing, Variant

CLASSES = ("cat", "dog|wolf", "Übung")
EVERY = list({timm_models.base_name(variant): (family, variant) for family, variant in architecture.every()}.values())


@pytest.mark.parametrize(("family", "variant"), EVERY, ids=[variant.name for _, variant in EVERY])
def test_timm_builds_every_variant_by_its_config(family: Architecture, variant: Variant) -> None:
    config = timm_models.hub_config(variant, CLASSES)
    with torch.device("meta"):
        ours = building.assemble(family, variant, len(CLASSES)).tensors(head=True)
        built = timm.create_model(config["architecture"], pretrained_cfg=config["pretrained_cfg"], **arguments(config))
    assert {name: t.shape for name, t in built.state_dict().items()} == {name: t.shape for name, t in ours.items()}
    assert config["label_names"] == list(CLASSES)
    assert not {"tag", "license"} & config["pretrained_cfg"].keys()  # of timm's default weights, which these are not


def arguments(config: dict) -> dict:
    return config.get("model_args") or {"num_classes": config["num_classes"]}


@pytest.mark.parametrize("name", ["alexnet_mini", "coatnet_mini", "resnet_mini", "vit_mini"])
def test_one_line_of_timm_gives_the_model(name: str, tmp_path: Path) -> None:
    family = architecture.get(name.partition("_")[0])
    variant = family.variant("mini", "none")
    model = building.assemble(family, variant, len(CLASSES)).freeze(0).eval()
    save_file(model.library_state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(timm_models.hub_config(variant, CLASSES)))
    theirs: Any = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    half = torch.tensor(variant.preprocessing.mean).view(-1, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(theirs((images / 255 - half) / half), model(images))
    assert theirs.pretrained_cfg["label_names"] == list(CLASSES)


@pytest.mark.parametrize("crop", [1.0, 0.875, 0.9, 0.95, 0.965, 224 / 256])
@pytest.mark.parametrize("size", [32, 192, 224, 288])
def test_timm_resizes_to_the_side_that_we_do(size: int, crop: float) -> None:
    given = Preprocessing(size, (0.5,) * 3, (0.5,) * 3, crop=crop, interpolation="bicubic")
    resize = create_transform(**resolve_data_config(timm_models.described(given, 2))).transforms[0]
    assert resize.size in (round(size / crop), (round(size / crop),) * 2)
    assert resize.interpolation.value == "bicubic"
