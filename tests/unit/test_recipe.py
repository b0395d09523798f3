"""Hyperparameters, recipes, their phases, the optimiser and the schedules, against torch's own and closed forms."""

import pickle
from dataclasses import replace
from math import cos, inf, nan, pi
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, OneCycleLR

from trainables.hyperparameters import DECLARED, Hyperparameters
from trainables.optimisation import lr_scales, optimizer, schedule
from trainables.recipe import Phase, Recipe
from trainables.stages import Stage, StagedModel

PEAK = 0.02
HEAD = 5
SCHEDULES = DECLARED["schedule"].choices
RECIPE = Recipe("test", epochs=10)
POINT = Hyperparameters(lr=PEAK, weight_decay=0.0, freeze_depth=2)


def rates(point: Hyperparameters, steps: int, milestones: tuple[float, ...] = (0.5, 0.75)) -> list[float]:
    """The learning rate of every optimiser step of a run."""
    sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=point.lr)
    plan = schedule(sgd, point, milestones=milestones, steps=steps)
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
        ("batch_size", 0, "batch_size .* got 0"),
        ("schedule", "linear", "schedule 'linear'"),
        ("warmup", 1.0, r"warmup .* got 1\.0"),
        ("warmup", -0.1, r"warmup .* got -0\.1"),
        ("label_smoothing", 1.5, r"label_smoothing .* got 1\.5"),
        ("clip_norm", -1.0, r"clip_norm .* got -1\.0"),
        ("clip_norm", nan, r"clip_norm .* got nan"),
        ("head_first_share", 1.0, r"head_first_share .* got 1\.0"),
        ("head_first_lr_scale", 0.0, r"head_first_lr_scale .* got 0\.0"),
        ("step_factor", 0.0, r"step_factor .* got 0\.0"),
        ("lr", 1e-3, r"lr is searched, or fixed with --fix lr=VALUE"),
        ("lable_smoothing", 0.1, r"did you mean label_smoothing\?"),
    ],
)
def test_a_setting_of_a_recipe_out_of_range_is_refused_with_its_value(field: str, value: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        Recipe("mine", epochs=1, settings={field: value})


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [("epochs", 0, "epochs .* got 0"), ("milestones", (0.5, 1.5), r"milestones\[1\] .* got 1\.5")],
)
def test_a_field_of_a_recipe_out_of_range_is_refused_with_its_value(field: str, value: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        replace(RECIPE, **{field: value})


def test_a_recipe_gives_every_hyperparameter_that_a_point_leaves_open() -> None:
    recipe = Recipe("mine", epochs=1, settings={"batch_size": 32, "dropout": 0.2})
    point = recipe.point(lr=PEAK, weight_decay=0.1, freeze_depth=1, batch_size=8)
    assert (point.lr, point.batch_size, point.dropout, point.schedule) == (PEAK, 8, 0.2, "cosine")
    assert recipe.with_settings(batch_size=16).settings == {"batch_size": 16, "dropout": 0.2}


def test_a_recipe_travels_to_other_processes_and_is_a_key() -> None:
    recipe = Recipe("mine", epochs=1, settings={"batch_size": 32})
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert {recipe: 1}[replace(recipe)] == 1


# Schedules


@pytest.mark.parametrize("steps", [2, 3, 4, 10, 97])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_reaches_its_peak_learning_rate_however_short_it_is(name: str, steps: int) -> None:
    assert max(rates(replace(POINT, schedule=name), steps)) == pytest.approx(PEAK, rel=1e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_of_one_step_has_a_learning_rate(name: str) -> None:
    [rate] = rates(replace(POINT, schedule=name), 1)
    assert 0 < rate <= PEAK


@pytest.mark.parametrize("name", ["onecycle", "cosine"])
@pytest.mark.parametrize("steps", [50, 200])
def test_a_schedule_that_anneals_ends_near_zero(name: str, steps: int) -> None:
    assert 0 <= rates(replace(POINT, schedule=name), steps)[-1] < 0.005 * PEAK


def test_onecycle_is_torchs() -> None:
    theirs = rates_of(lambda sgd: OneCycleLR(sgd, max_lr=PEAK, total_steps=40, cycle_momentum=False), 40)
    assert rates(replace(POINT, schedule="onecycle"), 40) == pytest.approx(theirs)


def test_cosine_without_warmup_is_torchs_and_the_closed_form() -> None:
    seen = rates(replace(POINT, schedule="cosine", warmup=0.0), 20)
    assert seen == pytest.approx(rates_of(lambda sgd: CosineAnnealingLR(sgd, T_max=20), 20))
    assert seen == pytest.approx([PEAK * (1 + cos(pi * step / 20)) / 2 for step in range(20)])


def test_a_constant_learning_rate_is_constant_once_it_is_warm() -> None:
    assert rates(replace(POINT, schedule="constant", warmup=0.0), 20) == [PEAK] * 20
    assert rates(replace(POINT, schedule="constant", warmup=0.2), 20)[4:] == pytest.approx([PEAK] * 16)


@pytest.mark.parametrize("name", ["cosine", "step", "constant"])
def test_warmup_climbs_in_equal_steps_to_the_peak_and_the_schedule_starts_there(name: str) -> None:
    seen = rates(replace(POINT, schedule=name, warmup=0.25), 40)
    assert seen[:11] == pytest.approx([PEAK * (step + 1) / 11 for step in range(11)])
    if name == "cosine":
        assert seen[10:] == pytest.approx([PEAK * (1 + cos(pi * step / 30)) / 2 for step in range(30)])
    else:
        assert seen[10:20] == pytest.approx([PEAK] * 10)


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_the_milestones_of_steps_are_shares_of_the_whole_run(warmup: float) -> None:
    seen = rates(replace(POINT, schedule="step", warmup=warmup, step_factor=0.2), 50, milestones=(0.5, 0.8))
    assert seen[25:40] == pytest.approx([0.2 * PEAK] * 15)
    assert seen[40:] == pytest.approx([0.04 * PEAK] * 10)
    assert seen[24] == pytest.approx(PEAK)
    if not warmup:
        assert seen == pytest.approx(rates_of(lambda sgd: MultiStepLR(sgd, [25, 40], gamma=0.2), 50))


# In a line


def test_a_recipe_says_in_a_line_what_it_does_and_what_it_does_not() -> None:
    plain = RECIPE.with_settings(schedule="constant", batch_size=32, clip_norm=0.0)
    line = (
        "recipe test: 10 epochs, batches of 32, constant schedule, augmentation none, no label smoothing, no clipping"
    )
    assert str(plain) == line
    rich = RECIPE.with_settings(
        label_smoothing=0.1, head_first_share=0.3, head_first_lr_scale=0.1, augmentation="flip", mixup=0.2
    )
    for words in (
        "the head alone for 30% of the epochs, then the rest at 0.1 x lr",
        "augmentation flip",
        "label smoothing 0.1",
        "gradients clipped at 1",
        "mixup 0.2",
    ):
        assert words in str(rich)


# Phases


def test_a_point_without_a_head_phase_is_one_phase() -> None:
    assert RECIPE.phases(POINT, HEAD) == [Phase(10, POINT)]


@pytest.mark.parametrize(("share", "first"), [(0.01, 1), (0.1, 1), (0.3, 3), (0.5, 5), (0.99, 9)])
def test_the_head_is_trained_alone_first_and_the_epochs_add_up(share: float, first: int) -> None:
    phases = RECIPE.phases(replace(POINT, head_first_share=share, head_first_lr_scale=0.1), HEAD)
    assert [phase.epochs for phase in phases] == [first, 10 - first]
    assert [phase.point.freeze_depth for phase in phases] == [HEAD, 2]
    assert [phase.point.lr for phase in phases] == pytest.approx([PEAK, 0.1 * PEAK])


def test_a_run_that_trains_the_head_alone_or_has_one_epoch_is_one_phase() -> None:
    head_alone = replace(POINT, freeze_depth=HEAD, head_first_share=0.5, head_first_lr_scale=0.1)
    assert RECIPE.phases(head_alone, HEAD) == [Phase(10, head_alone)]
    whole = replace(head_alone, freeze_depth=0)
    assert replace(RECIPE, epochs=1).phases(whole, HEAD) == [Phase(1, whole)]


# The optimiser


def staged(**stages: nn.Module) -> StagedModel:
    whole = nn.Sequential(*stages.values())
    return StagedModel([Stage(name, module) for name, module in stages.items()], whole)


def mixed() -> StagedModel:
    return staged(
        stem=nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), middle=nn.Linear(4, 4), head=nn.Linear(4, 2)
    )


@pytest.mark.parametrize("kind", DECLARED["optimizer"].choices)
def test_norms_and_biases_do_not_decay_and_weights_do(kind: str) -> None:
    torch.manual_seed(0)
    model = mixed()
    nn.init.normal_(next(p for name, p in model.named_parameters() if name.endswith("stem.1.bias")))  # 0 shows no decay
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    step = optimizer(model, replace(POINT, lr=0.1, weight_decay=0.5, optimizer=kind))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step.step()
    for name, parameter in model.named_parameters():
        decay = 1 - 0.1 * 0.5 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), decay * before[name])


def test_only_what_is_not_frozen_is_optimised_and_each_of_it_once() -> None:
    model = mixed().freeze(1)
    held = [id(p) for group in optimizer(model, POINT).param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for stage in list(model.stages.values())[1:] for p in stage.parameters())


def test_a_model_without_biases_has_no_empty_group() -> None:
    groups = optimizer(staged(head=nn.Linear(3, 2, bias=False)), POINT).param_groups
    assert [len(group["params"]) for group in groups] == [1]


def test_without_scales_there_are_two_groups_as_of_one_learning_rate() -> None:
    assert [group["lr"] for group in optimizer(mixed(), POINT).param_groups] == [PEAK, PEAK]


def test_the_learning_rate_falls_by_the_layer_decay_from_stage_to_stage_and_the_head_has_its_own_scale() -> None:
    model, point = mixed(), replace(POINT, layer_decay=0.5, head_lr_scale=3.0)
    assert lr_scales(model, point) == [0.25, 0.5, 3.0]
    rate_of = {id(p): group["lr"] for group in optimizer(model, point).param_groups for p in group["params"]}
    for stage, scale in zip(model.stages.values(), (0.25, 0.5, 3.0), strict=True):
        assert {rate_of[id(p)] for p in stage.parameters()} == {PEAK * scale}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_scales_every_group_alike(name: str) -> None:
    point = replace(POINT, schedule=name, layer_decay=0.5, head_lr_scale=3.0)
    step = optimizer(mixed(), point)
    plan = schedule(step, point, milestones=(0.5,), steps=20)
    for base in rates(point, 20, milestones=(0.5,)):
        for group in step.param_groups:
            assert group["lr"] == pytest.approx(base * group["lr_scale"], rel=1e-9)
        step.step()
        plan.step()


def stepped(ours: StagedModel, step: torch.optim.Optimizer, theirs: nn.Module, plain: torch.optim.Optimizer) -> None:
    for _ in range(10):
        x = torch.randn(8, 6)
        for model, one in ((ours.head, step), (theirs, plain)):
            one.zero_grad()
            model(x).square().mean().backward()
            one.step()
    torch.testing.assert_close(ours.head.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", DECLARED["optimizer"].choices)
def test_steps_of_the_fused_optimiser_equal_those_of_torchs_plain_one(kind: str) -> None:
    torch.manual_seed(0)
    ours, theirs = staged(head=nn.Linear(6, 5)), nn.Linear(6, 5)
    theirs.load_state_dict(ours.head.state_dict())
    groups = [{"params": [theirs.weight], "weight_decay": 0.1}, {"params": [theirs.bias], "weight_decay": 0.0}]
    plain: torch.optim.Optimizer
    if kind == "sgd":
        plain = torch.optim.SGD(groups, lr=0.01, momentum=0.9, fused=False, foreach=False)
    else:
        plain = torch.optim.AdamW(groups, lr=0.01, fused=False, foreach=False)
    fused = optimizer(ours, replace(POINT, lr=0.01, weight_decay=0.1, optimizer=kind))
    assert fused.defaults["fused"]
    stepped(ours, fused, theirs, plain)
