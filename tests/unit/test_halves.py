"""Frozen stages whose weights are cast once give what autocast gives, to the bit."""

import pytest
import torch
from torch import nn

from tests.contract.tiny import CPU, digits, untrained
from trainables import architecture, stages
from trainables.halves import half
from trainables.precision import Precision

pytestmark = pytest.mark.usefixtures("one_thread")

BF16 = Precision("bf16", CPU)


@pytest.fixture
def cast_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(stages, "casts_weights", lambda device: torch.is_autocast_enabled(device.type))


@pytest.mark.parametrize("name", architecture.names())
def test_what_frozen_stages_give_is_the_same_to_the_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = untrained(name).eval(), digits(32).images
    model.freeze(model.backbone_stages)
    with BF16.autocast():
        wanted = model.frozen(0, model.backbone_stages, images)
        monkeypatch.setattr(stages, "casts_weights", lambda device: True)
        found = model.frozen(0, model.backbone_stages, images)
    assert torch.equal(found, wanted)
    assert found.dtype == wanted.dtype
    assert {p.dtype for p in model.parameters()} == {torch.float32}  # its own weights are as they were
    cast = [p.dtype for k in range(model.backbone_stages) for p in model._halves._made[k][2].parameters()]
    assert cast.count(torch.bfloat16) >= 5


def test_only_layers_that_torch_itself_casts_whole_are_cast() -> None:
    class Standardised(nn.Conv2d):
        """Computes with its weight before it is cast."""

    stage = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), Standardised(4, 4, 1), nn.Linear(4, 4))
    assert [next(layer.parameters()).dtype for layer in half(stage, torch.bfloat16).children()] == [
        torch.bfloat16,
        torch.float32,
        torch.float32,
        torch.bfloat16,
    ]
    assert {p.dtype for p in stage.parameters()} == {torch.float32}


@pytest.mark.usefixtures("cast_here")
def test_weights_that_were_trained_or_loaded_are_cast_again() -> None:
    model, images = untrained("resnet").eval(), digits(32).images
    state, depth = {name: t.clone() for name, t in model.library_state_dict().items()}, model.backbone_stages

    def given() -> torch.Tensor:
        with BF16.autocast():
            return model.freeze(depth).eval().frozen(0, depth, images)

    model.load(state, head=True)
    before = given()
    model.freeze(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    trained = given()
    assert not torch.equal(trained, before)
    model.freeze(0)
    model.restore(state, head=True)
    assert torch.equal(given(), before)
    model.load({name: t * 1.5 if t.is_floating_point() else t for name, t in state.items()}, head=True)
    assert not torch.equal(given(), before)


@pytest.mark.usefixtures("cast_here")
def test_stages_are_cast_once_and_only_those_that_are_frozen() -> None:
    model, images = untrained("vit").eval().freeze(3), digits(16).images
    with BF16.autocast():
        first = model(images)
        casts = {position: made[2] for position, made in model._halves._made.items()}
        assert sorted(casts) == [0, 1, 2]
        assert torch.equal(model(images), first)
    assert all(model._halves._made[position][2] is stage for position, stage in casts.items())
    model(images)  # without autocast nothing is cast
    model.freeze(2)
    assert sorted(model._halves._made) == [0, 1]


@pytest.mark.usefixtures("cast_here")
def test_stages_that_a_prediction_cast_serve_a_training() -> None:
    model, images = untrained("vit").eval().freeze(3), digits(16).images
    with torch.inference_mode(), BF16.autocast():
        model(images)
    assert not any(p.is_inference() for made in model._halves._made.values() for p in made[2].parameters())


def test_on_a_cpu_stages_compute_themselves() -> None:
    model = untrained("vit").eval().freeze(3)
    with BF16.autocast():
        model(digits(16).images)
    assert not model._halves._made
