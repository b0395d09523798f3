"""Hyperparameters, recipes, their phases, the optimiser and the schedules, against torch's own and closed forms."""

from dataclasses import replace
from math import cos, inf, nan, pi
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, OneCycleLR

from trainables.recipe import SCHEDULES, HeadFirst, Hyperparameters, Phase, Recipe, optimizer, schedule

PEAK = 0.02
HEAD = 5
RECIPE = Recipe("test", epochs=10)


def rates(recipe: Recipe, steps: int, lr: float = PEAK) -> list[float]:
    """The learning rate of every optimiser step of a run."""
    weight = nn.Parameter(torch.ones(1))
    sgd = torch.optim.SGD([weight], lr=lr)
    plan = schedule(sgd, recipe, lr=lr, steps=steps)
    seen = []
    for _ in range(steps):
        seen.append(sgd.param_groups[0]["lr"])
        assert plan.get_last_lr() == [seen[-1]]
        sgd.step()
        plan.step()
    return seen


def rates_of(make: Any, steps: int) -> list[float]:
    """The same of a scheduler of torch's."""
    sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=PEAK)
    plan = make(sgd)
    seen = []
    for _ in range(steps):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        plan.step()
    return seen


# What is refused


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lr", 0.0, "lr must be above 0, got 0.0"),
        ("lr", -1e-3, "lr must be above 0, got -0.001"),
        ("lr", nan, "lr must be above 0, got nan"),
        ("lr", inf, "lr must be above 0, got inf"),
        ("weight_decay", -0.5, "weight_decay must be 0 or more, got -0.5"),
        ("weight_decay", nan, "weight_decay must be 0 or more, got nan"),
        ("weight_decay", inf, "weight_decay must be 0 or more, got inf"),
        ("freeze_depth", -1, "freeze_depth must be 0 or more, got -1"),
    ],
)
def test_a_hyperparameter_out_of_range_is_refused_with_its_value(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(Hyperparameters(lr=1e-3, weight_decay=0.0, freeze_depth=0), **{field: value})


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("epochs", 0, "epochs .* got 0"),
        ("batch_size", 0, "batch_size .* got 0"),
        ("schedule", "linear", "schedule .* got 'linear'"),
        ("warmup", 1.0, r"warmup .* got 1\.0"),
        ("warmup", -0.1, r"warmup .* got -0\.1"),
        ("label_smoothing", 1.5, r"label_smoothing .* got 1\.5"),
        ("clip_norm", -1.0, r"clip_norm .* got -1\.0"),
        ("clip_norm", nan, r"clip_norm .* got nan"),
        ("head_first", HeadFirst(1.0, 0.1), r"head_first\.share .* got 1\.0"),
        ("head_first", HeadFirst(0.5, 0.0), r"head_first\.lr_scale .* got 0\.0"),
        ("milestones", (0.5, 1.5), r"milestones\[1\] .* got 1\.5"),
        ("step_factor", 0.0, r"step_factor .* got 0\.0"),
    ],
)
def test_a_field_of_a_recipe_out_of_range_is_refused_with_its_value(field: str, value: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        replace(RECIPE, **{field: value})


# Schedules


@pytest.mark.parametrize("steps", [2, 3, 4, 10, 97])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_reaches_its_peak_learning_rate_however_short_it_is(name: str, steps: int) -> None:
    assert max(rates(replace(RECIPE, schedule=name), steps)) == pytest.approx(PEAK, rel=1e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_of_one_step_has_a_learning_rate(name: str) -> None:
    [rate] = rates(replace(RECIPE, schedule=name), 1)
    assert 0 < rate <= PEAK


@pytest.mark.parametrize("name", ["onecycle", "cosine"])
@pytest.mark.parametrize("steps", [50, 200])
def test_a_schedule_that_anneals_ends_near_zero(name: str, steps: int) -> None:
    assert 0 <= rates(replace(RECIPE, schedule=name), steps)[-1] < 0.005 * PEAK


def test_onecycle_is_torchs() -> None:
    theirs = rates_of(lambda sgd: OneCycleLR(sgd, max_lr=PEAK, total_steps=40, cycle_momentum=False), 40)
    assert rates(replace(RECIPE, schedule="onecycle"), 40) == pytest.approx(theirs)


def test_cosine_without_warmup_is_torchs_and_the_closed_form() -> None:
    seen = rates(replace(RECIPE, schedule="cosine", warmup=0.0), 20)
    assert seen == pytest.approx(rates_of(lambda sgd: CosineAnnealingLR(sgd, T_max=20), 20))
    assert seen == pytest.approx([PEAK * (1 + cos(pi * step / 20)) / 2 for step in range(20)])


def test_a_constant_learning_rate_is_constant_once_it_is_warm() -> None:
    assert rates(replace(RECIPE, schedule="constant", warmup=0.0), 20) == [PEAK] * 20
    assert rates(replace(RECIPE, schedule="constant", warmup=0.2), 20)[4:] == pytest.approx([PEAK] * 16)


@pytest.mark.parametrize("name", ["cosine", "step", "constant"])
def test_warmup_climbs_in_equal_steps_to_the_peak_and_the_schedule_starts_there(name: str) -> None:
    seen = rates(replace(RECIPE, schedule=name, warmup=0.25), 40)
    assert seen[:11] == pytest.approx([PEAK * (step + 1) / 11 for step in range(11)])
    if name == "cosine":
        assert seen[10:] == pytest.approx([PEAK * (1 + cos(pi * step / 30)) / 2 for step in range(30)])
    else:
        assert seen[10:20] == pytest.approx([PEAK] * 10)


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_milestones_of_steps_are_shares_of_the_whole_run(warmup: float) -> None:
    recipe = replace(RECIPE, schedule="step", warmup=warmup, milestones=(0.5, 0.8), step_factor=0.2)
    seen = rates(recipe, 50)
    assert seen[25:40] == pytest.approx([0.2 * PEAK] * 15)
    assert seen[40:] == pytest.approx([0.04 * PEAK] * 10)
    assert seen[24] == pytest.approx(PEAK)
    if not warmup:
        assert seen == pytest.approx(rates_of(lambda sgd: MultiStepLR(sgd, [25, 40], gamma=0.2), 50))


# In a line


def test_a_recipe_says_in_a_line_what_it_does_and_what_it_does_not() -> None:
    plain = replace(RECIPE, schedule="constant", batch_size=32, clip_norm=0.0)
    line = (
        "recipe test: 10 epochs, batches of 32, constant schedule, augmentation none, no label smoothing, no clipping"
    )
    assert str(plain) == line
    rich = replace(RECIPE, label_smoothing=0.1, head_first=HeadFirst(0.3, 0.1), augmentation="flip")
    for words in (
        "the head alone for 30% of the epochs, then the rest at 0.1 x lr",
        "augmentation flip",
        "label smoothing 0.1",
        "gradients clipped at 1",
    ):
        assert words in str(rich)


# Phases


def test_a_recipe_without_a_head_phase_is_one_phase() -> None:
    point = Hyperparameters(lr=PEAK, weight_decay=0.0, freeze_depth=2)
    assert RECIPE.phases(point, HEAD) == [Phase(10, 2, PEAK)]


@pytest.mark.parametrize(("share", "first"), [(0.0, 1), (0.1, 1), (0.3, 3), (0.5, 5), (0.99, 9)])
def test_the_head_is_trained_alone_first_and_the_epochs_add_up(share: float, first: int) -> None:
    point = Hyperparameters(lr=PEAK, weight_decay=0.0, freeze_depth=2)
    phases = replace(RECIPE, head_first=HeadFirst(share, 0.1)).phases(point, HEAD)
    assert [phase.epochs for phase in phases] == [first, 10 - first]
    assert [phase.freeze_depth for phase in phases] == [HEAD, 2]
    assert [phase.lr for phase in phases] == pytest.approx([PEAK, 0.1 * PEAK])


def test_a_run_that_trains_the_head_alone_or_has_one_epoch_is_one_phase() -> None:
    recipe = replace(RECIPE, head_first=HeadFirst(0.5, 0.1))
    head_alone = Hyperparameters(lr=PEAK, weight_decay=0.0, freeze_depth=HEAD)
    assert recipe.phases(head_alone, HEAD) == [Phase(10, HEAD, PEAK)]
    whole = replace(head_alone, freeze_depth=0)
    assert replace(recipe, epochs=1).phases(whole, HEAD) == [Phase(1, 0, PEAK)]


# The optimiser


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)


def test_norms_and_biases_do_not_decay_and_weights_do() -> None:
    torch.manual_seed(0)
    model = Mixed()
    nn.init.normal_(model.norm.bias)  # 0 would not show a decay
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    adamw = optimizer(model, lr=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    adamw.step()
    for name, parameter in model.named_parameters():
        decay = 1 - 0.1 * 0.5 if name in {"conv.weight", "linear.weight"} else 1.0
        torch.testing.assert_close(parameter.detach(), decay * before[name])


def test_only_what_is_not_frozen_is_optimised_and_each_of_it_once() -> None:
    model = Mixed()
    model.conv.requires_grad_(False)
    held = [id(p) for group in optimizer(model, lr=0.1, weight_decay=0.5).param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in [*model.norm.parameters(), *model.linear.parameters()])


def test_a_model_without_biases_has_no_empty_group() -> None:
    groups = optimizer(nn.Linear(3, 2, bias=False), lr=0.1, weight_decay=0.5).param_groups
    assert [len(group["params"]) for group in groups] == [1]


def test_steps_of_the_fused_optimiser_equal_those_of_torchs_plain_adamw() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(6, 5), nn.Linear(6, 5)
    theirs.load_state_dict(ours.state_dict())
    fused = optimizer(ours, lr=0.01, weight_decay=0.1)
    plain = torch.optim.AdamW(
        [{"params": [theirs.weight], "weight_decay": 0.1}, {"params": [theirs.bias], "weight_decay": 0.0}],
        lr=0.01,
        fused=False,
        foreach=False,
    )
    assert fused.defaults["fused"]
    for _ in range(10):
        x = torch.randn(8, 6)
        for model, adamw in ((ours, fused), (theirs, plain)):
            adamw.zero_grad()
            model(x).square().mean().backward()
            adamw.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-6)
