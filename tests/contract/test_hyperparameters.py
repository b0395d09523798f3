"""Each declared hyperparameter really moves what is trained, in every architecture that has it, or is refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.contract.tiny import POINT, RECIPE, digits, losses, numbers, run, untrained
from trainables import architecture
from trainables.augmentation import AUGMENTATIONS, NONE
from trainables.batches import CachedSplit
from trainables.hyperparameters import DECLARED, Hyperparameter, Hyperparameters
from trainables.recipe import Recipe

pytestmark = pytest.mark.usefixtures("one_thread")

# Where another hyperparameter must be other than its default for this one to matter
NEEDS: dict[str, dict[str, Any]] = {
    "step_factor": {"schedule": "step", "warmup": 0.0},
    "head_first_lr_scale": {"head_first_share": 0.5},
}
IN_THE_READER = {"augmentation"}  # it needs Ray: tests/integration/test_streaming.py
MOVED = [
    (name, choice)
    for name, declared in DECLARED.items()
    if name not in IN_THE_READER
    for choice in declared.choices or (None,)
    if choice is None or choice != declared.default
]

every_architecture = pytest.mark.parametrize("name", architecture.names())


def another(declared: Hyperparameter, value: Any) -> Any:
    """A value of a number that the declaration allows and that is far from the given one."""
    if declared.kind is int:
        return declared.check(value // 2 if value else 1)
    return declared.check(value / 20 if value else 0.6)


@pytest.fixture(scope="module")
def train() -> CachedSplit:
    return digits(48)


def curve(name: str, train: CachedSplit, point: Hyperparameters = POINT, recipe: Recipe = RECIPE, seed: int = 0) -> Any:
    """A run from the same weights and the same random numbers, whatever ran before."""
    return numbers(run(untrained(name), train, point=point, recipe=recipe, seed=seed))


@every_architecture
@pytest.mark.parametrize(("moved", "choice"), MOVED)
def test_a_hyperparameter_moves_the_training_loss_or_is_refused(
    name: str, moved: str, choice: str | None, train: CachedSplit
) -> None:
    declared, before = DECLARED[moved], replace(POINT, **NEEDS.get(moved, {}))
    value: Any = choice or another(declared, getattr(before, moved))
    changed: dict[str, Any] = {moved: value}
    after = replace(before, **changed)
    if declared.part_of_model and declared.part_of_model not in untrained(name).features:
        with pytest.raises(ValueError, match=f"^this model has no {declared.title} to set: leave out {moved}$"):
            curve(name, train, after)
    else:
        assert losses(curve(name, train, after)) != losses(curve(name, train, before))


def test_a_model_that_lacks_every_feature_refuses_no_default_and_too_deep_a_freeze() -> None:
    POINT.check_model(backbone_stages=1, features=(), model="a model")
    with pytest.raises(ValueError, match="freeze_depth must be 0 to 1, got 2"):
        replace(POINT, freeze_depth=2).check_model(backbone_stages=1, features=(), model="a model")


def test_the_augmentations_that_may_be_chosen_are_those_there_are() -> None:
    assert DECLARED["augmentation"].choices == (NONE, *AUGMENTATIONS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (RECIPE, replace(RECIPE, epochs=3)),
        (replace(RECIPE, milestones=(0.5,)), replace(RECIPE, milestones=(0.3,))),
    ],
    ids=["epochs", "milestones"],
)
@every_architecture
def test_a_field_of_the_recipe_moves_the_training_loss(
    name: str, before: Recipe, after: Recipe, train: CachedSplit
) -> None:
    point = replace(POINT, schedule="step", warmup=0.0)
    first, second = (losses(curve(name, train, point, recipe)) for recipe in (before, after))
    assert first != second[: len(first)] or len(first) != len(second)


@every_architecture
def test_each_schedule_trains_differently(name: str, train: CachedSplit) -> None:
    schedules = DECLARED["schedule"].choices
    curves = {tuple(losses(curve(name, train, replace(POINT, schedule=schedule)))) for schedule in schedules}
    assert len(curves) == len(schedules)


@every_architecture
def test_each_freeze_depth_trains_differently_and_leaves_fewer_parameters_to_train(
    name: str, train: CachedSplit
) -> None:
    model = untrained(name)
    recipe = replace(RECIPE, epochs=1)
    curves, trained = set(), []
    for depth in range(model.backbone_stages + 1):
        curves.add(tuple(losses(curve(name, train, replace(POINT, freeze_depth=depth), recipe))))
        trained.append(model.freeze(depth).parameter_counts()[1])
    assert len(curves) == model.backbone_stages + 1
    assert trained == sorted(trained, reverse=True)
    assert len(set(trained)) == len(trained)


@every_architecture
def test_the_same_seed_gives_exactly_the_same_numbers_and_another_seed_gives_others(
    name: str, train: CachedSplit
) -> None:
    assert curve(name, train, seed=1) == curve(name, train, seed=1)
    assert losses(curve(name, train, seed=2)) != losses(curve(name, train, seed=1))


@every_architecture
def test_the_seed_of_a_run_decides_its_dropout_whatever_was_drawn_before(name: str, train: CachedSplit) -> None:
    curves = []
    for drawn_before in (0, 3):
        model = untrained(name)
        torch.rand(drawn_before)
        curves.append(numbers(run(model, train, seed=1)))
    assert curves[0] == curves[1]
