"""Dropout and stochastic depth: where a model has them, what a rate does, and that nothing of it outlives a run."""

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from timm.layers.drop import DropPath
from torch import nn

from tests.contract.tiny import POINT, digits, numbers, run, untrained
from tests.contract.variants import CLASSES, EVERY, MODELS_OF_THE_PAPER, Pair, library_name, title
from trainables import building
from trainables.process import ProcessCache
from trainables.run import Model
from trainables.stages import StagedModel
from trainables.trainer import prepared_model

pytestmark = pytest.mark.usefixtures("one_thread")

OF_TIMM = [pair for pair in MODELS_OF_THE_PAPER if "drop_path" in pair[1].features]
NAMES = sorted({pair[0].name for pair in EVERY if pair[1].features})
every_model = pytest.mark.parametrize("name", NAMES)


def on_meta(pair: Pair) -> StagedModel:
    with torch.device("meta"):
        return building.assemble(*pair, CLASSES)


def drop_paths(module: nn.Module) -> list[float]:
    """The rates that are not 0, from the images to the head."""
    return [layer.drop_prob for layer in module.modules() if isinstance(layer, DropPath) and layer.drop_prob]


def dropouts(module: nn.Module) -> dict[str, float]:
    return {name: layer.p for name, layer in module.named_modules() if isinstance(layer, nn.Dropout)}


@pytest.mark.parametrize("pair", OF_TIMM, ids=title)
def test_stochastic_depth_rises_from_block_to_block_as_timm_builds_it(pair: Pair) -> None:
    with torch.device("meta"):
        theirs: Any = timm.create_model(library_name(pair[1]), num_classes=CLASSES, drop_path_rate=0.3)
    ours = drop_paths(on_meta(pair).set_rates(drop_path=0.3))
    assert ours == pytest.approx(drop_paths(theirs), abs=1e-6)
    assert ours[-1] == 0.3
    assert len(ours) > 10


@every_model
def test_a_model_is_built_with_the_rates_of_its_library(name: str) -> None:
    model = untrained(name)
    assert drop_paths(model) == []
    assert set(dropouts(model).values()) <= ({0.5} if name == "alexnet" else {0.0})


@every_model
def test_frozen_stages_have_the_rates_that_they_were_built_with(name: str) -> None:
    model = untrained(name)
    rates = {"dropout": 0.3, "drop_path": 0.2}
    built = dropouts(model)
    for depth in range(model.backbone_stages + 1):
        model.freeze(depth).set_rates(**rates)
        for position, stage in enumerate(model.stages.values()):
            key = f"stages.{list(model.stages)[position]}"
            for layer, rate in dropouts(stage).items():
                of_softmax = layer.endswith("attn_drop")
                assert rate == (0.3 if position >= depth and not of_softmax else built[f"{key}.{layer}"])
            if position < depth:
                assert drop_paths(stage) == []
    model.freeze(0).set_rates()
    assert (dropouts(model), drop_paths(model)) == (built, [])


@every_model
def test_the_key_of_what_a_stage_computes_knows_no_rates(name: str) -> None:
    model = untrained(name)
    digests = [model.digest(stage) for stage in range(model.backbone_stages)]
    model.set_rates(dropout=0.3, drop_path=0.2)
    assert [model.digest(stage) for stage in range(model.backbone_stages)] == digests
    assert len(set(digests)) == len(digests)


@every_model
def test_the_rates_of_a_run_do_not_reach_the_next_one_in_a_warm_process(name: str) -> None:
    cache, train = ProcessCache(), digits(32)
    model = Model(name, "mini", f"{name}_mini", 10)
    point = replace(POINT, freeze_depth=1)
    features = untrained(name).features
    other = replace(
        point,
        dropout=0.3 if "dropout" in features else None,
        drop_path=0.3 if "drop_path" in features else 0.0,
    )
    first, between, again = (
        numbers(run(prepared_model(model, 0, cache), train, train, point=one)) for one in (point, other, point)
    )
    assert again == first != between
    assert len(cache.models) == 1
    run(prepared_model(model, 0, cache), train, point=other)
    prepared = prepared_model(model, 0, cache)  # also for what only measures it
    assert (dropouts(prepared), drop_paths(prepared)) == (dropouts(untrained(name)), [])


def test_a_process_forgets_all_that_it_keeps_when_told_to() -> None:
    cache, model = ProcessCache(), Model("resnet", "mini", "resnet_mini", 10)
    kept = prepared_model(model, 0, cache)
    assert prepared_model(model, 0, cache) is kept
    cache.clear()
    assert prepared_model(model, 0, cache) is not kept
