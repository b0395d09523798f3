"""A sample of timm's models, cut where their graphs allow it, keeps the contract of an architecture: `make backbones`
asks the same of one model of every module of timm."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.backbones import contract
from tests.contract.test_stages import Twins

pytestmark = pytest.mark.usefixtures("one_thread")

# Convolution with BatchNorm and LayerNorm, without any, attention, both; squeeze and excitation, a distilled head
SAMPLE = (
    *("test_resnet", "test_convnext", "test_byobnet", "test_efficientnet", "test_nfnet"),
    *("test_vit", "test_vit_relpos", "test_maxvit", "test_mambaout", "convnext_atto"),
)


@pytest.fixture(scope="module", autouse=True)
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is found here is kept here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_CACHE", str(tmp_path_factory.mktemp("cuts")))
        yield


@cache
def twins_of(name: str) -> Twins:
    return contract.twins_of(contract.pair_of(name), every_depth=False)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_backbone_that_was_cut_declares_what_it_has_and_holds_every_tensor(name: str) -> None:
    for one in contract.pair_contracts().values():
        one(contract.pair_of(name))


@pytest.mark.parametrize("name", SAMPLE)
def test_a_backbone_that_was_cut_computes_and_learns_as_its_library_has_it(name: str) -> None:
    for one in contract.stage_contracts().values():
        one(twins_of(name).fresh())


@pytest.mark.parametrize("name", SAMPLE)
def test_a_stored_boundary_of_a_backbone_that_was_cut_gives_the_numbers_of_the_images(
    name: str, tmp_path: Path
) -> None:
    pair = contract.pair_of(name)
    contract.a_stored_boundary_gives_the_numbers_that_the_images_give(pair, tmp_path, contract.some_depths(pair)[0])
