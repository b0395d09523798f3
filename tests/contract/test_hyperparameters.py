"""Each hyperparameter and each field of a recipe really moves what is trained, in every architecture."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from tests.contract.tiny import POINT, RECIPE, digits, losses, numbers, run, untrained
from trainables import architecture
from trainables.batches import CachedSplit
from trainables.recipe import SCHEDULES, HeadFirst, Hyperparameters, Recipe

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = replace(RECIPE, schedule="step", warmup=0.0)
POINTS: dict[str, Any] = {"lr": 3e-3, "weight_decay": 0.3, "freeze_depth": 1}
RECIPES: dict[str, tuple[Recipe, Recipe]] = {
    "epochs": (RECIPE, replace(RECIPE, epochs=3)),
    "batch_size": (RECIPE, replace(RECIPE, batch_size=12)),
    "warmup": (RECIPE, replace(RECIPE, warmup=0.6)),
    "label_smoothing": (RECIPE, replace(RECIPE, label_smoothing=0.1)),
    "clip_norm": (RECIPE, replace(RECIPE, clip_norm=0.05)),
    "head_first": (RECIPE, replace(RECIPE, head_first=HeadFirst(0.5, 1.0))),
    "milestones": (STEPS, replace(STEPS, milestones=(0.3,))),
    "step_factor": (STEPS, replace(STEPS, step_factor=0.5)),
}

every_architecture = pytest.mark.parametrize("name", architecture.names())


@pytest.fixture(scope="module")
def train() -> CachedSplit:
    return digits(48)


def curve(name: str, train: CachedSplit, point: Hyperparameters = POINT, recipe: Recipe = RECIPE, seed: int = 0) -> Any:
    """A run from the same weights and the same random numbers, whatever ran before."""
    return numbers(run(untrained(name), train, point=point, recipe=recipe, seed=seed))


def test_every_hyperparameter_and_every_field_of_a_recipe_is_moved_in_this_file() -> None:
    assert POINTS.keys() == {f.name for f in fields(Hyperparameters)}
    elsewhere = {"augmentation"}  # it needs Ray: tests/integration/test_streaming.py
    assert RECIPES.keys() | {"name", "schedule"} | elsewhere == {f.name for f in fields(Recipe)}


@every_architecture
@pytest.mark.parametrize("moved", POINTS)
def test_a_hyperparameter_moves_the_training_loss(name: str, moved: str, train: CachedSplit) -> None:
    point = replace(POINT, **{moved: POINTS[moved]})
    assert losses(curve(name, train, point)) != losses(curve(name, train))


@every_architecture
@pytest.mark.parametrize("moved", RECIPES)
def test_a_field_of_the_recipe_moves_the_training_loss(name: str, moved: str, train: CachedSplit) -> None:
    before, after = RECIPES[moved]
    first, second = losses(curve(name, train, recipe=before)), losses(curve(name, train, recipe=after))
    assert first != second[: len(first)]


@every_architecture
def test_each_schedule_trains_differently(name: str, train: CachedSplit) -> None:
    seen = {tuple(losses(curve(name, train, recipe=replace(RECIPE, schedule=schedule)))) for schedule in SCHEDULES}
    assert len(seen) == len(SCHEDULES)


@every_architecture
def test_each_freeze_depth_trains_differently_and_leaves_fewer_parameters_to_train(
    name: str, train: CachedSplit
) -> None:
    model = untrained(name)
    recipe = replace(RECIPE, epochs=1)
    seen, trained = set(), []
    for depth in range(model.backbone_stages + 1):
        seen.add(tuple(losses(curve(name, train, replace(POINT, freeze_depth=depth), recipe))))
        trained.append(model.freeze(depth).parameter_counts()[1])
    assert len(seen) == model.backbone_stages + 1
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
