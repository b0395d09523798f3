"""A study is validated where it is born, and every mistake is shown with its value."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.design.recipes import RECIPES
from study.design.space import Choices, Range, fixed
from study.design.study import EARLY_STOPPING, LARGEST_SEED, Study
from trainables.metrics import Metric


def study(**changed: Any) -> Study:
    given: dict[str, Any] = {
        "model": "resnet",
        "scale": "mini",
        "variant": "resnet_mini",
        "dataset": "digits",
        "name": "a-study",
        "results": Path("results"),
        "recipe": RECIPES["fair"],
    }
    return Study(**{**given, **changed})


# What a study derives


def test_a_study_lies_in_a_folder_of_its_name() -> None:
    assert study().folder == Path("results/a-study")


def test_what_is_searched_is_the_space_of_the_model_without_what_is_fixed() -> None:
    whole = study()
    assert whole.space.keys() == {"lr", "weight_decay", "freeze_depth"}
    assert whole.space["freeze_depth"] == Range(0, whole.backbone_stages)
    assert study(fixed={"lr": 1e-3, "freeze_depth": 1}).space.keys() == {"weight_decay"}


def test_the_first_point_freezes_what_the_paper_does_and_differs_in_nothing_else_between_models() -> None:
    alexnet, resnet, vit, coatnet = (
        study(model=name, variant=f"{name}_mini") for name in ("alexnet", "resnet", "vit", "coatnet")
    )
    papers = alexnet.architecture.paper(7)  # the paper gives it whole
    assert alexnet.point({}) == replace(papers, label_smoothing=0.1)
    assert vit.point({}) == vit.recipe.point(lr=1e-2, weight_decay=1e-2, freeze_depth=vit.backbone_stages)
    assert resnet.point({}) == coatnet.point({}) == resnet.recipe.point(lr=3e-4, weight_decay=1e-2, freeze_depth=0)
    head = replace(resnet, fixed={"freeze_depth": resnet.backbone_stages})
    assert head.paper["lr"] == vit.paper["lr"]
    assert study(fixed={"lr": 0.5}).paper["lr"] == 0.5


def test_a_recipe_of_the_models_own_and_a_study_that_was_begun_before_start_where_they_did() -> None:
    vit = study(model="vit", variant="vit_mini")
    assert replace(vit, recipe=vit.architecture.recipes[0]).paper["lr"] == 1e-3
    assert replace(vit, protocol=2).paper["lr"] == 1e-3


def test_a_suggestion_is_completed_by_what_is_fixed_and_by_the_paper() -> None:
    given = study(fixed={"weight_decay": 0.25})
    point = given.point({"lr": 1e-4})
    assert (point.lr, point.weight_decay, point.freeze_depth) == (1e-4, 0.25, given.paper["freeze_depth"])
    assert point.label_smoothing == given.recipe.values["label_smoothing"]


def test_a_row_from_before_a_hyperparameter_was_declared_is_a_point_with_the_recipes_value_of_it() -> None:
    given = study()
    old = {"trial_id": "trial-003", "lr": 1e-4, "weight_decay": 0.5, "freeze_depth": 2}
    assert given.point_of(old) == given.point({"lr": 1e-4, "weight_decay": 0.5, "freeze_depth": 2})
    assert given.point_of({**old, "mixup": None, "schedule": "step"}).schedule == "step"


def test_a_space_of_ones_own_takes_the_place_of_the_models_and_what_it_searches_is_shown() -> None:
    table = {"lr": Range(1e-4, 1e-2, log=True), "schedule": Choices(("step", "cosine"))}
    own = study(table=table, fixed={"weight_decay": 0.5})
    assert own.space == table
    assert own.shown == ("lr", "schedule", "weight_decay")
    assert own.possible("schedule") == ("step", "cosine")
    assert own.possible("batch_size") == (64,)


def test_a_budget_is_no_larger_than_the_space_and_a_space_without_end_has_the_whole_budget() -> None:
    assert study(fixed={"lr": 1e-3, "weight_decay": 0.1}).budget == 6
    assert study(fixed={"lr": 1e-3, "weight_decay": 0.1}, trials=3).budget == 3
    assert study(fixed={"lr": 1e-3}).budget == 32


@pytest.mark.parametrize("metric", list(Metric))
def test_any_metric_may_decide(metric: Metric) -> None:
    assert study(metric=metric.value).metric is metric


def test_the_facts_of_a_study_are_json_and_hold_what_describes_it() -> None:
    given = study(fixed={"lr": 1e-3}, trials=5, variant="resnet_mini.fashion6k")
    facts = json.loads(json.dumps(given.facts()))
    assert facts["fixed"] == {"lr": 1e-3}
    assert (facts["trials"], facts["epochs"], facts["pretraining"]) == (5, given.recipe.epochs, "fashion6k")
    assert facts["recipe"]["batch_size"] == given.recipe.values["batch_size"]
    assert facts["recipe"]["label_smoothing"] == 0.1


def test_equal_descriptions_are_equal_studies() -> None:
    assert study() == study()
    assert study(seed=1) != study()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_known_by_its_name(name: str) -> None:
    assert RECIPES[name].name == name
    assert study(recipe=RECIPES[name]).facts()["recipe"]["name"] == name


@pytest.mark.parametrize("early_stopping", EARLY_STOPPING)
def test_every_way_to_stop_early_is_accepted(early_stopping: str) -> None:
    assert study(early_stopping=early_stopping).early_stopping == early_stopping


@pytest.mark.parametrize("name", ["a", "vit-in1k-digits", "2024.01_run", "..x"])
def test_a_name_may_be_any_name_of_a_folder(name: str) -> None:
    assert study(name=name).name == name


# What is refused, and that its value is shown


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"trials": 0}, "trials must be at least 1, got 0"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"top_k": -3}, "top-k must be at least 1, got -3"),
        ({"workers_per_trial": 0}, "workers-per-trial must be at least 1, got 0"),
        ({"sync_batchnorm": True}, "sync-batchnorm is for several workers of a trial"),
        ({"workers_per_trial": 65}, "workers-per-trial must be at most the batch size 64, got 65"),
        ({"seed": -1}, "seed must be 0 to .*, got -1"),
        ({"seed": 2**32}, f"seed must be 0 to {LARGEST_SEED - 3}, got 4294967296"),
        ({"name": "n" * 256}, "name must be at most 200 bytes long, got 256"),
        ({"metric": "acuracy"}, "metric 'acuracy'.*did you mean accuracy"),
        (
            {"model": "alexnet", "variant": "alexnet_mini", "fixed": {"drop_path": 0.1}},
            "alexnet_mini has no stochastic",
        ),
        ({"table": {"dropout": Range(0.0, 0.5)}}, "resnet_mini has no dropout to set: leave out dropout"),
        ({"table": {"batch_size": Choices((8, 64))}, "workers_per_trial": 9}, "at most the batch size 8, got 9"),
        ({"name": ""}, "name .* got ''"),
        ({"name": "a/b"}, "name .* got 'a/b'"),
        ({"name": ".."}, r"name .* got '\.\.'"),
        ({"name": "two words"}, "name .* got 'two words'"),
        ({"early_stopping": "hyperband"}, "early stopping 'hyperband'.*asha"),
        ({"model": "resnt"}, "model 'resnt'.*did you mean resnet"),
        ({"variant": "resnet_maxi"}, "variant 'resnet_maxi'.*did you mean resnet_mini"),
        ({"variant": "resnet50"}, "variant 'resnet50'"),  # it is of the other scale
        ({"precision": "bf61"}, "precision 'bf61'.*did you mean bf16"),
        ({"fixed": {"lr": 0.0}}, r"lr must be above 0, got 0\.0"),
        ({"fixed": {"lr": float("nan")}}, "lr must be above 0, got nan"),
        ({"fixed": {"weight_decay": -0.1}}, r"weight_decay must be 0 or more, got -0\.1"),
        ({"fixed": {"freeze_depth": -1}}, "freeze_depth must be 0 or more, got -1"),
        ({"fixed": {"freeze_depth": 6}}, "freeze_depth must be 0 to 5, got 6"),
    ],
    ids=str,
)
def test_a_mistake_is_refused_with_its_value(changed: dict[str, Any], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        study(**changed)


def test_a_study_with_nothing_left_to_search_is_refused_with_the_way_out() -> None:
    everything = {"lr": 1e-3, "weight_decay": 0.0, "freeze_depth": 1}
    with pytest.raises(ValueError, match="nothing is left to search: fix fewer of lr, weight_decay, freeze_depth"):
        study(fixed=everything)
    assert study(fixed=everything, trials=1).budget == 1


def test_a_suggested_depth_beyond_the_backbone_is_refused_with_its_value() -> None:
    with pytest.raises(ValueError, match="freeze_depth must be 0 to 5, got 7"):
        study().point({"freeze_depth": 7})


# --fix NAME=VALUE


@pytest.mark.parametrize(
    ("assignments", "values"),
    [
        ([], {}),
        (["lr=1e-3"], {"lr": 1e-3}),
        (["lr=1e-3", "weight_decay=0"], {"lr": 1e-3, "weight_decay": 0.0}),
        (["freeze_depth=2"], {"freeze_depth": 2}),
        (["freeze_depth=all"], {"freeze_depth": 5}),
        (["lr=1", "lr=2"], {"lr": 2.0}),
    ],
    ids=str,
)
def test_assignments_become_numbers(assignments: list[str], values: dict[str, float]) -> None:
    seen = fixed(assignments, backbone_stages=5)
    assert seen == values
    assert {name: type(value) for name, value in seen.items()} == {
        name: int if name == "freeze_depth" else float for name in values
    }


@pytest.mark.parametrize(
    ("assignment", "shown"),
    [
        ("lr", "--fix takes NAME=VALUE, got 'lr'"),
        ("lr=", "lr takes a number, got ''"),
        ("lr=fast", "lr takes a number, got 'fast'"),
        ("lr=all", "lr takes a number, got 'all'"),
        (
            "freeze_depth=1.5",
            "--fix freeze_depth takes a whole number from 0 to 5, a share such as 0.5, or all, got '1.5'",
        ),
        ("freeze_depth=most", "or all, got 'most'"),
        ("momentum=0.9", "unknown hyperparameter to fix 'momentum'"),
        ("=3", "unknown hyperparameter to fix ''"),
        ("lable_smoothing=1", "did you mean label_smoothing?"),
    ],
)
def test_an_assignment_that_cannot_be_read_is_refused_with_its_value(assignment: str, shown: str) -> None:
    with pytest.raises(ValueError, match=re.escape(shown)):
        fixed([assignment], backbone_stages=5)
