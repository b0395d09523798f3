"""Every variant of every architecture, without its weights: what it declares, and how it is cut, on the meta device."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import timm
import torch
from timm.data.config import resolve_data_config
from torchvision.models import AlexNet_Weights

from tests.contract.variants import CLASSES, EVERY, MINI, PAPER, Pair, library_model, title
from trainables import architecture, building
from trainables.choices import SCALES
from trainables.stages import Normalize, StagedModel

every_variant = pytest.mark.parametrize("pair", EVERY, ids=title)
SMALLEST, LARGEST = 200_000, 600_000


def on_meta(pair: Pair) -> StagedModel:
    """The assembled model without memory for its weights, nothing frozen, in training mode."""
    return assembled_on_meta(pair).freeze(0).train()


@cache
def assembled_on_meta(pair: Pair) -> StagedModel:
    family, variant = pair
    with torch.device("meta"):
        return building.assemble(family, variant, CLASSES)


def test_there_are_the_four_families_that_the_study_compares() -> None:
    assert {"alexnet", "resnet", "vit", "coatnet"} <= set(architecture.names())


@pytest.mark.parametrize("name", architecture.names())
def test_an_architecture_is_named_like_its_file_and_offers_both_scales(name: str) -> None:
    family = architecture.get(name)
    assert family.name == name
    for scale in SCALES:
        assert "none" in family.pretrainings(scale)


@pytest.mark.parametrize("name", ["alexnet", "resnet", "vit", "coatnet"])
def test_a_family_of_the_study_has_pretrained_weights_at_both_scales(name: str) -> None:
    for scale in SCALES:
        assert len(architecture.get(name).pretrainings(scale)) > 1


def test_the_families_of_the_study_are_convolution_attention_and_both() -> None:
    declared = {name: architecture.get(name).family for name in ("alexnet", "resnet", "vit", "coatnet")}
    assert declared == {"alexnet": "convolution", "resnet": "convolution", "vit": "attention", "coatnet": "hybrid"}


@pytest.mark.parametrize("name", architecture.names())
def test_an_architecture_has_a_title_of_its_own_and_declares_its_family(name: str) -> None:
    family = architecture.get(name)
    assert [architecture.get(other).title for other in architecture.names()].count(family.title) == 1
    with pytest.raises(ValueError, match="unknown family 'mixer'"):
        replace(family, family="mixer")


@pytest.mark.parametrize("name", architecture.names())
def test_a_variant_is_found_by_its_name_and_pretraining_and_an_unknown_one_is_refused(name: str) -> None:
    family = architecture.get(name)
    for variant in family.variants:
        assert family.variant(variant.scale, name=variant.name) is variant
        assert family.variant(variant.scale, variant.pretraining).pretraining == variant.pretraining
    with pytest.raises(ValueError, match="'in0k'"):
        family.variant("paper", "in0k")
    with pytest.raises(ValueError, match="'no-such-variant'"):
        family.variant("mini", name="no-such-variant")


def test_an_unknown_architecture_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"'resnt'.*did you mean resnet\?"):
        architecture.get("resnt")


def test_no_two_variants_share_a_name() -> None:
    twice = [name for name, n in Counter(variant.name for _, variant in EVERY).items() if n > 1]
    assert twice == []


@every_variant
def test_only_a_pretrained_variant_has_weights(pair: Pair) -> None:
    _, variant = pair
    assert (variant.weights is None) == (variant.pretraining == "none")


@every_variant
def test_the_stages_hold_every_parameter_and_every_buffer_exactly_once(pair: Pair) -> None:
    family, variant = pair
    with torch.device("meta"):
        whole = variant.build(CLASSES)
        stages = family.cut(whole)
    held = Counter(id(t) for s in stages for t in [*s.module.parameters(), *s.module.buffers()])
    wanted = Counter(id(t) for t in [*whole.parameters(), *whole.buffers()])
    assert held == wanted


@every_variant
def test_stages_have_names_of_their_own_and_the_last_one_is_the_head(pair: Pair) -> None:
    model = on_meta(pair)
    assert len(set(model.stage_names)) == len(model.stage_names) == model.backbone_stages + 1
    assert model.stage_names[-1] == "head"
    head = sum(p.numel() for p in model.head.parameters())
    features = sum(p.shape[1] for p in model.head.parameters() if p.ndim > 1)
    assert head == (features + 1) * CLASSES  # a linear layer, or a convolution of 1 x 1


@every_variant
def test_a_variant_has_the_tensors_of_its_library_under_the_same_names(pair: Pair) -> None:
    _, variant = pair
    with torch.device("meta"):
        theirs = {name: t.shape for name, t in library_model(variant).state_dict().items()}
    assert {name: t.shape for name, t in on_meta(pair).library_state_dict().items()} == theirs


@every_variant
def test_what_a_variant_declares_of_its_model_is_what_the_model_has(pair: Pair) -> None:
    _, variant = pair
    model = on_meta(pair)
    assert variant.backbone_stages == model.backbone_stages
    assert variant.features == model.features
    assert model.classes == CLASSES


def test_the_declared_place_of_alexnets_weights_is_torchvisions() -> None:
    weights = architecture.get("alexnet").variant("paper", "in1k").weights
    assert weights is not None
    assert weights.file == AlexNet_Weights.IMAGENET1K_V1.url


@every_variant
def test_a_variant_takes_images_of_its_size_and_gives_a_logit_a_class(pair: Pair) -> None:
    model, size = on_meta(pair).eval(), pair[1].preprocessing.size
    images_NCHW = torch.zeros(2, 3, size, size, dtype=torch.uint8, device="meta")
    boundary = images_NCHW
    for position in range(len(model.stages)):
        boundary = model.between(position, position + 1, boundary)
        assert len(boundary) == 2
    assert boundary.shape == (2, CLASSES)


@every_variant
def test_freezing_leaves_exactly_the_later_stages_trained_and_the_earlier_ones_in_eval_mode(pair: Pair) -> None:
    model = on_meta(pair)
    for depth in [*range(model.backbone_stages + 1), 0]:  # and all the way back
        model.eval().freeze(depth).train()
        for position, stage in enumerate(model.stages.values()):
            trained = position >= depth
            assert {p.requires_grad for p in stage.parameters()} <= {trained}
            assert {m.training for m in stage.modules()} == {trained}
        assert not any(m.training for m in model.eval().modules())


@every_variant
def test_a_frozen_model_that_was_in_training_mode_has_its_prefix_in_eval_mode_at_once(pair: Pair) -> None:
    model = on_meta(pair).train().freeze(1)
    first, *others = model.stages.values()
    assert not any(m.training for m in first.modules())
    assert all(m.training for stage in others for m in stage.modules())


@every_variant
@pytest.mark.parametrize("beyond", [-1, 1])
def test_a_freeze_depth_out_of_bounds_is_refused_with_its_value(pair: Pair, beyond: int) -> None:
    model = on_meta(pair)
    depth = -1 if beyond < 0 else model.backbone_stages + beyond
    with pytest.raises(ValueError, match=f"freeze_depth must be 0 to {model.backbone_stages}, got {depth}"):
        model.freeze(depth)


@every_variant
def test_parameters_are_counted_as_the_sum_over_the_stages_that_are_trained(pair: Pair) -> None:
    model = on_meta(pair)
    sizes = [sum(p.numel() for p in stage.parameters()) for stage in model.stages.values()]
    for depth in range(model.backbone_stages + 1):
        assert model.freeze(depth).parameter_counts() == (sum(sizes), sum(sizes[depth:]))


@every_variant
def test_the_tensors_without_the_head_are_all_but_those_of_the_head(pair: Pair) -> None:
    model = on_meta(pair)
    everything, backbone = model.tensors(head=True), model.tensors(head=False)
    assert backbone.keys() < everything.keys()
    head = sum(everything[name].numel() for name in everything.keys() - backbone.keys())
    assert head == sum(p.numel() for p in model.head.parameters())


@pytest.mark.parametrize("pair", MINI, ids=title)
def test_a_mini_variant_takes_32_px_and_has_a_few_hundred_thousand_parameters(pair: Pair) -> None:
    assert pair[1].preprocessing.size == 32
    assert SMALLEST <= on_meta(pair).parameter_counts()[0] <= LARGEST


@pytest.mark.parametrize("pair", PAPER, ids=title)
def test_a_paper_variant_takes_224_px(pair: Pair) -> None:
    assert pair[1].preprocessing.size == 224


def test_alexnet_as_its_paper_describes_it_has_as_many_parameters_as_the_paper_implies() -> None:
    family = architecture.get("alexnet")
    with torch.device("meta"):
        model = building.assemble(family, family.variant("paper", name="alexnet_original"), 1000)
    assert model.parameter_counts()[0] == 62_378_344


@every_variant
def test_images_are_normalised_by_the_mean_and_std_of_the_checkpoint(pair: Pair) -> None:
    given = pair[1].preprocessing
    white_and_black = torch.tensor([255, 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    seen = Normalize(given.mean, given.std)(white_and_black)
    mean, std = torch.tensor(given.mean).view(3, 1, 1), torch.tensor(given.std).view(3, 1, 1)
    torch.testing.assert_close(seen[0], ((1 - mean) / std).expand(3, 2, 2))
    torch.testing.assert_close(seen[1], (-mean / std).expand(3, 2, 2))


@pytest.mark.parametrize("pair", [pair for pair in PAPER if pair[1].weights], ids=title)
def test_preprocessing_follows_the_published_checkpoint(pair: Pair) -> None:
    _, variant = pair
    given = variant.preprocessing
    if timm.models.is_model_pretrained(variant.name):
        published = timm.models.get_pretrained_cfg(variant.name)
        assert published is not None
        tested_at_that_size = published.test_input_size == (3, given.size, given.size)
        theirs = resolve_data_config(pretrained_cfg=published.to_dict(), use_test_size=tested_at_that_size)
        resized = given.size / theirs["crop_pct"]
    else:
        transforms = AlexNet_Weights.IMAGENET1K_V1.transforms()
        theirs = {
            "mean": tuple(transforms.mean),
            "std": tuple(transforms.std),
            "interpolation": transforms.interpolation.value,
            "input_size": (3, *transforms.crop_size * 2),
        }
        [resized] = transforms.resize_size
    assert (given.mean, given.std) == (theirs["mean"], theirs["std"])
    assert (3, given.size, given.size) == theirs["input_size"]
    assert given.interpolation == theirs["interpolation"]
    assert round(given.size / given.crop) == round(resized)


@every_variant
def test_the_point_that_the_paper_used_can_be_trained(pair: Pair) -> None:
    family, variant = pair
    point = family.paper(variant.backbone_stages)
    on_meta(pair).freeze(point.freeze_depth)


def test_a_model_whose_cut_forgets_a_tensor_is_refused() -> None:
    family = architecture.get("resnet")
    forgetful = replace(family, cut=lambda model: [s for s in family.cut(model) if s.name != "layer3"])
    with pytest.raises(AssertionError, match=r"no stage holds .*layer3"), torch.device("meta"):
        building.assemble(forgetful, family.variant("mini", "none"), CLASSES)
