"""Images become a model's input as its checkpoint has it, unless --preprocessing says otherwise."""

import re

import pytest

from study.design.preprocessing import overridden
from study.design.recipes import RECIPES
from study.design.study import Study
from study.options import machine
from tests.unit.test_config import study
from trainables import architecture, building
from trainables.architecture import Preprocessing
from trainables.run import Model


def override(*assignments: str, model: str = "resnet", scale: str = "mini") -> Preprocessing | None:
    return overridden(assignments, architecture.get(model).variant(scale, "none"))


def of_size(size: int, model: str, scale: str) -> Study:
    variant = architecture.get(model).variant(scale, "none")
    return study(model=model, scale=scale, variant=variant.name, preprocessing=overridden([f"size={size}"], variant))


def test_nothing_given_is_the_checkpoints() -> None:
    assert override() is None
    given = study()
    assert given.pretrained_variant.preprocessing == architecture.get("resnet").variant("mini", "none").preprocessing


def test_what_is_given_takes_the_place_of_the_checkpoints_and_the_rest_stays() -> None:
    assert override("crop=0.5", "interpolation=bicubic", "mean=0.1,0.2,0.3", "std=1, 2, 3") == Preprocessing(
        32, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), 0.5, "bicubic"
    )
    assert override("size=64") == Preprocessing(64, (0.5,) * 3, (0.5,) * 3)


def test_it_is_recorded_and_reaches_the_model_that_is_trained() -> None:
    darker = override("mean=0.1,0.2,0.3", "size=48")
    assert darker is not None
    given: Study = study(preprocessing=darker)
    assert given.facts()["preprocessing"]["mean"] == (0.1, 0.2, 0.3)
    assert given.facts()["preprocessing"]["size"] == 48
    model = Model("resnet", "mini", "resnet_mini", 10, preprocessing=given.preprocessing)
    assert model.described.preprocessing == darker
    shift = dict(model.build().named_buffers())["stages.stem.0.shift"]
    assert shift.flatten().tolist() == pytest.approx([25.5, 51.0, 76.5])


def test_another_mean_makes_another_model_so_that_its_boundaries_are_others() -> None:
    family = architecture.get("resnet")
    plain, darker = (
        Model("resnet", "mini", "resnet_mini", 10, preprocessing=given) for given in (None, override("mean=0,0,0"))
    )
    assert plain != darker
    first, second = (building.assemble(family, model.described, 10) for model in (plain, darker))
    second.load(first.library_state_dict(), head=True)
    assert first.digest(0) != second.digest(0)
    assert first.digest(1) == second.digest(1)


@pytest.mark.parametrize(
    ("model", "scale", "size"), [("alexnet", "mini", 64), ("resnet", "paper", 288), ("alexnet", "paper", 256)]
)
def test_a_convolutional_model_takes_images_of_another_size(model: str, scale: str, size: int) -> None:
    given = of_size(size, model, scale)
    machine.check(given)
    assert given.pretrained_variant.preprocessing.size == size


@pytest.mark.parametrize(
    ("model", "scale", "size"),
    [("vit", "mini", 64), ("vit", "paper", 256), ("coatnet", "paper", 256), ("alexnet", "paper", 16)],
)
def test_a_size_that_a_model_cannot_take_is_refused_with_the_way_out(model: str, scale: str, size: int) -> None:
    wanted = rf"--preprocessing: {model}\w* cannot take images of {size} px: leave size as its weights have it"
    with pytest.raises(ValueError, match=f"^{wanted}$"):
        machine.check(of_size(size, model, scale))


@pytest.mark.parametrize(
    ("assignment", "shown"),
    [
        ("size", "--preprocessing takes NAME=VALUE, got 'size'"),
        (
            "sise=3",
            "unknown preprocessing 'sise': choose one of crop, interpolation, mean, size, std; did you mean size?",
        ),
        ("size=big", "--preprocessing size takes a whole number, got 'big'"),
        ("size=0", "--preprocessing: size must be at least 1, got 0"),
        ("crop=all", "--preprocessing crop takes a number, got 'all'"),
        ("crop=1.5", "--preprocessing: crop must be above 0 and at most 1, got 1.5"),
        ("crop=nan", "--preprocessing: crop must be above 0 and at most 1, got nan"),
        ("interpolation=cubic", "--preprocessing: unknown interpolation 'cubic'"),
        ("mean=0.5", "--preprocessing mean takes three numbers R,G,B, got '0.5'"),
        ("mean=a,b,c", "--preprocessing mean takes three numbers R,G,B, got 'a,b,c'"),
        ("mean=nan,0,0", "--preprocessing: mean must be three numbers, got (nan, 0.0, 0.0)"),
        ("std=1,1,0", "--preprocessing: std must be above 0, got (1.0, 1.0, 0.0)"),
    ],
)
def test_a_mistake_is_refused_with_its_value(assignment: str, shown: str) -> None:
    with pytest.raises(ValueError, match=re.escape(shown)):
        override(assignment)


def test_the_margin_of_a_random_crop_is_around_the_size_that_the_model_takes() -> None:
    given = architecture.get("alexnet").variant("paper", "none").preprocessing
    assert (given.with_margin.size, given.with_margin.crop) == (256, 1.0)
    assert (given.with_margin.mean, given.with_margin.interpolation) == (given.mean, given.interpolation)


def test_how_a_batch_is_divided_is_part_of_a_study() -> None:
    assert study().facts()["grad_accum"] == "auto"
    assert study(grad_accum=4).facts()["grad_accum"] == 4
    for wrong in (0, int(str(RECIPES["fair"].values["batch_size"])) + 1):
        with pytest.raises(ValueError, match=f"grad-accum must be auto or 1 to the batch size 64, got {wrong}"):
            study(grad_accum=wrong)
