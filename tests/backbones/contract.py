"""What is asked of a model of timm that was cut: the contract tests of the written architectures, called one by one."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.contract import test_architectures as declared
from tests.contract import test_stages as stages
from tests.contract.reading import RECIPE, Pictures, built, trained
from tests.contract.stored import store_in
from tests.contract.test_stages import Twins
from tests.contract.variants import CLASSES, Pair, depths, images, scrambled
from trainables import architecture, building

ROWS = 24  # images of a run


def pair_of(name: str) -> Pair:
    """The model at the mini scale, without weights."""
    family = architecture.get(f"timm/{name}")
    return family, family.variant("mini", "none")


def twins_of(pair: Pair, *, every_depth: bool = True) -> Twins:
    """As `test_stages` has them; the library's model is the one that timm builds for that size of images.

    Args:
        every_depth: else its tests look at an early and a late one, as at the models of the paper.
    """
    if not every_depth:
        pair = pair[0], replace(pair[1], scale="paper")
    torch.manual_seed(0)
    staged = scrambled(building.assemble(*pair, CLASSES))
    library = pair[1].build(CLASSES)
    library.load_state_dict(staged.library_state_dict(), strict=True)
    batch = images(pair[1])
    staged.frozen_rows = len(batch)
    return Twins(pair, staged, library, batch)


def every_parameter_is_in_one_stage_and_every_tensor_of_a_checkpoint_in_some(pair: Pair) -> None:
    whole = pair[1].build(CLASSES)
    cut = pair[0].cut(whole)
    held = Counter(id(t) for one in cut for t in [*one.module.parameters(), *one.module.buffers()])
    assert all(held[id(p)] == 1 for p in whole.parameters())
    assert all(held[id(t)] for t in whole.state_dict(keep_vars=True).values())


def the_stages_have_names_and_the_last_is_the_head(pair: Pair) -> None:
    model = building.assemble(*pair, CLASSES)
    assert len(set(model.stage_names)) == len(model.stages) == pair[1].backbone_stages + 1
    assert model.stage_names[-1] == "head"
    assert all(any(True for _ in stage.parameters()) for stage in model.stages.values())


def a_stored_boundary_gives_the_numbers_that_the_images_give(pair: Pair, folder: Path, depth: int) -> None:
    size = pair[1].preprocessing.size
    few: dict[str, Any] = {
        "train": Pictures(ROWS, size=size),
        "validate": False,
        "recipe": replace(RECIPE, epochs=1),
        "model": built(pair),
    }
    model = few["model"]
    model.frozen_rows = ROWS
    state = {name: t.clone() for name, t in model.library_state_dict().items()}
    store = store_in(folder)
    stored = trained(pair, store, depth, **few)
    stored.weights = {name: t.clone() for name, t in stored.weights.items()}
    model.load(state, head=True)
    assert stored == trained(pair, None, depth, **few)
    assert stored.line.startswith(f"reads boundary {depth} of {depth} ")
    assert store.notes == []


def some_depths(pair: Pair) -> list[int]:
    """One in the middle, and the whole backbone."""
    every = depths(pair)
    return sorted({max(every[-1] // 2, 1), every[-1]})


def pair_contracts() -> Mapping[str, Callable[[Pair], None]]:
    given = [
        every_parameter_is_in_one_stage_and_every_tensor_of_a_checkpoint_in_some,
        the_stages_have_names_and_the_last_is_the_head,
        declared.test_what_a_variant_declares_of_its_model_is_what_the_model_has,
        declared.test_the_tensors_without_the_head_are_all_but_those_of_the_head,
    ]
    return {one.__name__.removeprefix("test_"): one for one in given}


def stage_contracts() -> Mapping[str, Callable[[Twins], None]]:
    """Every test of `test_stages` that is of one model."""
    return {
        name.removeprefix("test_"): one
        for name, one in vars(stages).items()
        if name.startswith("test_") and list(inspect.signature(one).parameters) == ["twins"]
    }
