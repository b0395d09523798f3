"""Every search space: one per architecture, over what it can train, with the paper's point inside."""

from dataclasses import replace
from importlib.resources import files

import pytest

import search_spaces
from study.design import space as spaces
from study.design import start
from study.design.space import Choices, Range
from tests.contract.variants import EVERY, Pair, title
from trainables import architecture
from trainables.backbones.declared import SPACES
from trainables.hyperparameters import DECLARED, REQUIRED, Hyperparameters

every_variant = pytest.mark.parametrize("pair", EVERY, ids=title)
every_model = pytest.mark.parametrize("model", [*architecture.names(), *SPACES])


def test_every_architecture_and_every_kind_of_backbone_has_a_search_space_and_there_is_no_other() -> None:
    tables = sorted(one.name.removesuffix(".toml") for one in files(search_spaces).iterdir() if ".toml" in one.name)
    assert tables == sorted([*architecture.names(), *SPACES])


@every_model
@pytest.mark.parametrize("backbone_stages", [1, 5, 19])
def test_a_space_has_the_papers_hyperparameters_and_freezes_nothing_to_everything(
    model: str, backbone_stages: int
) -> None:
    space = spaces.default(model, backbone_stages)
    assert {*REQUIRED} <= space.keys() <= DECLARED.keys()
    assert space["freeze_depth"] == Range(0, backbone_stages, log=False)
    for name in ("lr", "weight_decay"):
        domain = space[name]
        assert isinstance(domain, Range)
        assert domain.log
        assert 0 < domain.low < domain.high


@every_model
def test_every_line_of_a_table_says_why(model: str) -> None:
    text = (files(search_spaces) / f"{model}.toml").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert all("  # " in line for line in lines)


@every_variant
def test_the_ends_of_a_space_are_points_that_can_be_trained(pair: Pair) -> None:
    family, variant = pair
    stages = variant.backbone_stages
    space = spaces.default(family.name, stages)
    paper = {name: getattr(family.paper(stages), name) for name in REQUIRED}
    for end in (0, -1):
        point = Hyperparameters(**paper | {name: domain.ends[end] for name, domain in space.items()})
        point.check_model(backbone_stages=stages, features=variant.features, model=variant.name)


@every_variant
def test_the_points_that_a_search_starts_from_lie_in_the_space(pair: Pair) -> None:
    family, variant = pair
    space = spaces.default(family.name, variant.backbone_stages)
    papers = family.paper(variant.backbone_stages)
    assert spaces.contains(space, papers)
    assert all(spaces.contains(space, replace(papers, **one)) for one in (start.HEAD, start.FURTHER))  # type: ignore[arg-type]


@every_model
def test_a_copy_of_a_table_in_a_file_is_the_same_space(model: str, tmp_path: object) -> None:
    text = (files(search_spaces) / f"{model}.toml").read_text()
    assert spaces.parse(text, "a file", 7) == spaces.default(model, 7)


def test_every_declared_hyperparameter_can_be_searched() -> None:
    for name, declared in DECLARED.items():
        if declared.choices:
            given = ", ".join(f'"{choice}"' for choice in declared.choices[:2])
            assert spaces.parse(f"{name} = {{ choices = [{given}] }}", "", 5)[name] == Choices(declared.choices[:2])
        else:
            low, high = (1, 4) if declared.kind is int else (0.25, 0.5)
            space = spaces.parse(f"{name} = {{ low = {low}, high = {high} }}", "", 5)
            assert space[name].ends == ((low, high) if name != "freeze_depth" else (1, 4))
