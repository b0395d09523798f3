"""Every search space: one an architecture, over what it can train, with the paper's point inside."""

from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from ray.tune.search.optuna import OptunaSearch

import search_spaces
from tests.contract.variants import EVERY, Pair, title
from trainables import architecture
from trainables.hyperparameters import Hyperparameters

every_variant = pytest.mark.parametrize("pair", EVERY, ids=title)


def distributions(model: str, backbone_stages: int) -> dict[str, Any]:
    """The space as the search is given it."""
    return OptunaSearch.convert_search_space(search_spaces.get(model, backbone_stages))


def test_every_architecture_has_a_search_space_and_every_search_space_an_architecture() -> None:
    assert search_spaces.names() == architecture.names()


@pytest.mark.parametrize("model", search_spaces.names())
@pytest.mark.parametrize("backbone_stages", [1, 5, 19])
def test_a_space_has_the_three_hyperparameters_and_freezes_nothing_to_everything(
    model: str, backbone_stages: int
) -> None:
    space = distributions(model, backbone_stages)
    assert space.keys() == {"lr", "weight_decay", "freeze_depth"}
    for name in ("lr", "weight_decay"):
        assert isinstance(space[name], FloatDistribution)
        assert space[name].log
        assert 0 < space[name].low < space[name].high
    depth = space["freeze_depth"]
    assert isinstance(depth, IntDistribution)
    assert (depth.low, depth.high, depth.step, depth.log) == (0, backbone_stages, 1, False)


@every_variant
def test_the_ends_of_a_space_are_points_that_can_be_trained(pair: Pair) -> None:
    family, variant = pair
    stages = variant.backbone_stages
    space = distributions(family.name, stages)
    for end in ("low", "high"):
        point = Hyperparameters(**{name: getattr(space[name], end) for name in space})
        assert 0 <= point.freeze_depth <= stages


@every_variant
def test_the_point_that_the_paper_used_lies_in_the_space(pair: Pair) -> None:
    family, variant = pair
    stages = variant.backbone_stages
    paper = family.paper(stages)
    for name, distribution in distributions(family.name, stages).items():
        assert distribution.low <= getattr(paper, name) <= distribution.high, name


@pytest.mark.parametrize("model", search_spaces.names())
def test_the_domains_of_tune_and_their_conversion_agree_on_the_last_freeze_depth(model: str) -> None:
    domain = search_spaces.get(model, 3)["freeze_depth"]
    assert {domain.sample() for _ in range(200)} == {0, 1, 2, 3}
