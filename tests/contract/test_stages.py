"""The cut into stages computes what the library's own model computes: bit for bit, forwards and backwards."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.contract.variants import (
    CLASSES,
    MINI,
    MODELS_OF_THE_PAPER,
    Pair,
    depths,
    images,
    library_model,
    normalised,
    scrambled,
    title,
)
from trainables import building
from trainables.hyperparameters import Hyperparameters
from trainables.optimisation import optimizer
from trainables.stages import StagedModel

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = torch.tensor([3, 5])
POINT = Hyperparameters(lr=1e-3, weight_decay=0.1, freeze_depth=0)
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


@dataclass
class Twins:
    """One model twice, with the same tensors: cut into stages, and as its library builds it."""

    pair: Pair
    staged: StagedModel
    library: nn.Module
    images: Tensor

    def fresh(self) -> "Twins":
        """Both as they began: nothing frozen, no gradients, the same tensors."""
        self.staged.freeze(0).train().zero_grad(set_to_none=True)
        self.library.train().requires_grad_(True).zero_grad(set_to_none=True)
        self.staged.load(self.library.state_dict(), head=True)
        return self

    @property
    def stages_of_library(self) -> list[nn.Module]:
        return [stage.module for stage in self.pair[0].cut(self.library)]

    def library_forward(self) -> Tensor:
        return self.library(normalised(self.pair[1], self.images))


def twins_of(pair: Pair) -> Twins:
    family, variant = pair
    torch.manual_seed(0)
    staged = scrambled(building.assemble(family, variant, CLASSES))
    library = library_model(variant)
    library.load_state_dict(staged.library_state_dict(), strict=True)
    batch = images(variant)
    staged.frozen_rows = len(batch)  # as the library computes it: in one batch
    return Twins(pair, staged, library, batch)


@pytest.fixture(scope="module", params=[*MINI, *MODELS_OF_THE_PAPER], ids=title)
def built(request: pytest.FixtureRequest) -> Twins:
    return twins_of(request.param)


@pytest.fixture
def twins(built: Twins) -> Twins:
    return built.fresh()


def chosen_depths(twins: Twins) -> list[int]:
    """All of them for a mini variant, an early and a late one for a variant of the paper."""
    every = depths(twins.pair)
    return every if is_mini(twins) else [1, every[-2]]


def is_mini(twins: Twins) -> bool:
    return twins.pair[1].scale == "mini"


def test_prefix_and_suffix_equal_the_forward_of_the_library_bit_for_bit(twins: Twins) -> None:
    twins.staged.eval()
    twins.library.eval()
    with torch.no_grad():
        wanted = twins.library_forward()
        assert wanted.std() > 0
        for depth in chosen_depths(twins):
            boundary = twins.staged.freeze(depth).frozen(0, depth, twins.images)
            assert torch.equal(twins.staged.suffix(boundary), wanted), f"freeze_depth {depth}"


def test_the_prefix_carries_no_graph_and_the_suffix_does(twins: Twins) -> None:
    last = depths(twins.pair)[-1]
    boundary = twins.staged.freeze(last).frozen(0, last, twins.images)
    assert not boundary.requires_grad
    assert twins.staged.suffix(boundary).requires_grad


def test_no_stage_writes_into_its_input(twins: Twins) -> None:
    for training in (False, True) if is_mini(twins) else (True,):
        twins.staged.train(training)
        boundary = twins.images
        with torch.no_grad():
            for name, stage in twins.staged.stages.items():
                before = boundary.clone()
                after = stage(boundary)
                assert torch.equal(boundary, before), f"{name} changed its input"
                boundary = after


def test_gradients_over_a_frozen_prefix_equal_those_of_freezing_by_hand_inside_the_library_model(twins: Twins) -> None:
    every = depths(twins.pair)
    chosen = every if is_mini(twins) else every[-2:-1]
    for depth in chosen:
        twins.fresh()
        torch.manual_seed(1)
        cross_entropy(twins.staged.freeze(depth)(twins.images), LABELS).backward()
        for module in twins.stages_of_library[:depth]:
            module.requires_grad_(False).eval()
        torch.manual_seed(1)  # the same dropout
        cross_entropy(twins.library_forward(), LABELS).backward()
        theirs = {name: p.grad for name, p in twins.library.named_parameters()}
        ours = gradients_by_library_name(twins.staged)
        assert {name for name, g in ours.items() if g is None} == {name for name, g in theirs.items() if g is None}
        for name, gradient in ours.items():
            torch.testing.assert_close(gradient, theirs[name], rtol=1e-5, atol=1e-7, msg=f"the gradient of {name}")


def gradients_by_library_name(model: StagedModel) -> dict[str, Tensor | None]:
    """Every parameter's gradient; parameters are told by where their numbers lie."""
    names = {t.data_ptr(): name for name, t in model.tensors(head=True).items()}
    return {names[p.data_ptr()]: p.grad for p in model.parameters()}


def test_a_training_step_changes_the_later_stages_and_nothing_in_the_frozen_ones(twins: Twins) -> None:
    every = depths(twins.pair)
    chosen = every if is_mini(twins) else every[-2:-1]
    for depth in chosen:
        model = twins.fresh().staged.freeze(depth).train()
        before = {name: t.clone() for name, t in model.state_dict().items()}
        step = optimizer(model, POINT)
        cross_entropy(model(twins.images), LABELS).backward()
        step.step()
        after = model.state_dict()
        for position, (name, stage) in enumerate(model.stages.items()):
            moved = {key for key in stage.state_dict() if not same(before, after, f"stages.{name}.{key}")}
            if position < depth:
                assert moved == set(), f"freeze_depth {depth} let {name} move"
            else:
                assert running_statistics(stage) <= moved, f"freeze_depth {depth} held BatchNorm of {name}"
                assert {key for key, p in stage.named_parameters() if p.grad is not None and p.grad.any()} <= moved
                assert bool(moved) == bool(stage.state_dict())


def test_a_model_is_brought_back_to_what_it_was_loaded_with_and_what_was_frozen_since_is_not_copied(
    twins: Twins,
) -> None:
    every = depths(twins.pair)
    state = {name: t.clone() for name, t in twins.fresh().staged.library_state_dict().items()}
    for depth in every if is_mini(twins) else every[-2:-1]:
        model = twins.fresh().staged.freeze(depth)
        model.load(state, head=True)
        kept = [p for stage in list(model.stages.values())[:depth] for p in stage.parameters()]
        versions = [p._version for p in kept]
        for trained_from in (depth, every[-1], depth):
            trained(model.freeze(trained_from), twins.images)
            model.restore(state, head=True)
            assert all(torch.equal(t, state[name]) for name, t in model.library_state_dict().items())
        assert [p._version for p in kept] == versions
        trained(model.freeze(0), twins.images)
        model.restore(state, head=True)
        assert all(torch.equal(t, state[name]) for name, t in model.library_state_dict().items())


def trained(model: StagedModel, images: Tensor) -> None:
    """One step."""
    model.train().zero_grad(set_to_none=True)
    step = optimizer(model, POINT)
    cross_entropy(model(images), LABELS).backward()
    step.step()


def same(before: dict[str, Tensor], after: dict[str, Tensor], key: str) -> bool:
    return torch.equal(before[key], after[key])


def running_statistics(stage: nn.Module) -> set[str]:
    return {
        f"{name}.{statistic}" if name else statistic
        for name, module in stage.named_modules()
        if isinstance(module, BATCH_NORM)
        for statistic in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_a_checkpoint_loads_strictly_into_the_library_model_and_gives_the_same_logits(twins: Twins) -> None:
    model = twins.staged.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
        state = model.library_state_dict()
        assert all(t.is_contiguous() for t in state.values())
        assert not any(torch.equal(p, state[name]) for name, p in twins.library.named_parameters())
        twins.library.eval().load_state_dict(state, strict=True)
        assert torch.equal(model(twins.images), twins.library_forward())


def test_batch_norm_is_where_this_file_looks_for_it() -> None:
    with_batch_norm = {
        family.name
        for family, variant in MINI
        if any(isinstance(m, BATCH_NORM) for m in building.assemble(family, variant, CLASSES).modules())
    }
    assert with_batch_norm >= {"resnet", "coatnet"}
