"""A training that is kept in the middle of an epoch, and gone on with by another process, is the one undisturbed."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import pytest
import torch
from torch import Tensor

from study.execution.failures import lost_node
from tests.contract.tiny import CPU, FP32, POINT, RECIPE, digits, little_memory, numbers, run, run_whole, untrained
from trainables.architecture import Preprocessing
from trainables.checkpoint import Keeper, Unusable, packed, unpacked
from trainables.checkpoint_folder import Checkpoints
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch, State, Training, predict
from trainables.memory import Memory
from trainables.precision import Precision
from trainables.preemption import Preempted
from trainables.recipe import Recipe
from trainables.run import Model, Run
from trainables.splits import SplitDigest
from trainables.world import World

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 3  # of an epoch
THREE = replace(RECIPE, epochs=3)
CASES: dict[str, tuple[str, Hyperparameters, Recipe, str]] = {
    "dropout": ("alexnet", replace(POINT, dropout=0.5), RECIPE, "fp32"),
    "stochastic depth": ("coatnet", replace(POINT, drop_path=0.3), RECIPE, "fp32"),
    "batch norm, partly frozen": ("resnet", replace(POINT, freeze_depth=2), RECIPE, "fp32"),
    "the head alone": ("vit", replace(POINT, freeze_depth=untrained("vit").backbone_stages), RECIPE, "fp32"),
    "mixup": ("vit", replace(POINT, mixup=0.4, class_weights="balanced"), RECIPE, "fp32"),
    "the head first": ("resnet", replace(POINT, freeze_depth=2, head_first_share=0.4, layer_decay=0.8), THREE, "fp32"),
    "SGD in steps": ("vit", replace(POINT, optimizer="sgd", schedule="step"), RECIPE, "fp32"),
    "one cycle": ("vit", replace(POINT, schedule="onecycle"), RECIPE, "fp32"),
    "bf16": ("coatnet", POINT, RECIPE, "bf16"),
    "scaled gradients": ("vit", POINT, RECIPE, "fp16"),
}


@dataclass
class Seen:
    """What a training comes to."""

    curve: list[Epoch]
    weights: dict[str, Tensor]
    predictions: Any

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Seen)
        return (
            numbers(self.curve) == numbers(other.curve)
            and all(torch.equal(tensor, other.weights[name]) for name, tensor in self.weights.items())
            and all((getattr(self.predictions, n) == getattr(other.predictions, n)).all() for n in self.predictions_of)
        )

    predictions_of = ("predicted", "confidence")


def trained(
    case: str, state: State | None = None, after_step: Callable[[Training], None] = lambda training: None
) -> Seen:
    name, point, recipe, precision = CASES[case]
    torch.manual_seed(7)  # of whatever the process did before
    model, val, computed = untrained(name), digits(20, start=48), Precision(precision, CPU)
    curve = run(
        model,
        digits(47),
        val,
        point=point,
        recipe=recipe,
        precision=computed,
        state=state,
        after_step=after_step,
    )
    return Seen(curve, model.library_state_dict(), predict(model, val, computed))


def stored(training: Training) -> bytes:
    state = training.state()
    return packed({"training": dict(state.shared), "workers": [dict(state.own)]}, belongs_to="this")


def restored(content: bytes) -> State:
    state = unpacked(content, "this")
    return State(state["training"], state["workers"][0])


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_goes_on_after_any_step_is_the_undisturbed_one_to_the_bit(case: str) -> None:
    kept: list[bytes] = []
    undisturbed = trained(case, after_step=lambda training: kept.append(stored(training)))
    assert len(kept) == STEPS * len(undisturbed.curve)
    slow = CASES[case][-1] == "fp16"  # on a CPU
    for steps in {STEPS + 2} if slow else {1, STEPS, STEPS + 2, len(kept)}:
        state = restored(kept[steps - 1])
        anew: list[int] = []
        assert (state.epochs, state.steps) == ((steps - 1) // STEPS, (steps - 1) % STEPS + 1)
        again = trained(case, state, lambda training, anew=anew: anew.append(training.epoch))  # type: ignore[misc]
        assert again == undisturbed, f"after {steps} steps"
        assert len(anew) == len(kept) - steps


def test_what_was_found_out_of_memory_is_kept_and_epochs_have_the_seconds_of_both_processes() -> None:
    def divided(memory: Memory, **given: Any) -> list[Epoch]:
        model = little_memory(untrained("vit"), 5)
        return run(model, digits(47), recipe=RECIPE, memory=memory, **given)

    kept: list[bytes] = []

    def keep_slowly(training: Training) -> None:
        sleep(0.05)
        kept.append(stored(training))

    curve = divided(first := Memory(), after_step=keep_slowly)
    again = divided(second := Memory(), state=restored(kept[1]))
    assert second.state_dict() == first.state_dict()
    assert numbers(again) == numbers(curve)
    assert again[0].seconds >= 0.1


# What is kept, and what is believed


def kept_run(folder: Path, every: float = 0.0, **changes: Any) -> Keeper:
    world = changes.pop("world", World())
    given: dict[str, Any] = {"belongs_to": "this", "describe": lambda: {"plan": "a plan"}} | changes
    keeper = Keeper(Checkpoints(folder, every=every), "trial-000", given.pop("belongs_to"), POINT, world, CPU, **given)
    return keeper


def checkpoint(folder: Path, steps: int = 2) -> bytes:
    """That of a run that was killed after so many steps."""
    keeper = kept_run(folder)
    keeper.load()

    def killed(training: Training) -> None:
        keeper.after_step(training)
        if len(training.losses) == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(untrained("vit"), digits(47), after_step=killed)
    return (folder / "trial-000.checkpoint").read_bytes()


def test_a_checkpoint_has_what_is_trained_and_no_frozen_stage() -> None:
    model = untrained("resnet")
    kept: list[State] = []
    run(model, digits(47), point=replace(POINT, freeze_depth=3), after_step=lambda t: kept.append(t.state()))
    frozen = tuple(f"stages.{name}." for name in list(model.stages)[:3])
    names = kept[0].shared["model"].keys()
    assert not any(name.startswith(frozen) for name in names)
    assert any("running_mean" in name for name in names)
    assert len(kept[0].shared["step"]["optimizer"]["state"]) == sum(p.requires_grad for p in model.parameters())


def test_only_the_newest_is_there_and_none_before_its_time(tmp_path: Path) -> None:
    quick = kept_run(tmp_path / "none", every=30)
    quick.load()
    run(untrained("vit"), digits(47), after_step=quick.after_step)
    assert not (tmp_path / "none").exists()
    checkpoint(tmp_path / "some")
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["trial-000.checkpoint"]
    found = kept_run(tmp_path / "some").load()
    assert found is not None
    assert (found.training.steps, found.run) == (2, {"plan": "a plan"})
    assert Checkpoints(tmp_path / "some").begun()["trial-000"]["lr"] == POINT.lr


def test_keeping_takes_at_most_a_hundredth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def write_slowly(self: Checkpoints, run_id: str, content: bytes) -> None:
        sleep(0.1)
        written.append(run_id)

    monkeypatch.setattr(Checkpoints, "write", write_slowly)
    keeper = kept_run(tmp_path, every=1e-6)
    keeper.load()
    run(untrained("vit"), digits(47), after_step=keeper.after_step)  # in less than 10 s
    assert written == ["trial-000"]


def unusable(content: bytes) -> list[tuple[str, bytes]]:
    middle = len(content) // 2
    return [
        ("is damaged", content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]),
        ("is damaged", content[:-100]),
        ("is damaged", b""),
        ("is damaged", b"\0" * 5000),
        ("is of another run", content.replace(b'"belongs_to": "this"', b'"belongs_to": "that"')),
        ("holds what it should not (UnpicklingError)", packed({"training": Evil()}, belongs_to="this")),
    ]


class Evil:
    """What is executed where a pickle is believed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was executed",)


def test_a_checkpoint_that_is_damaged_or_of_another_run_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    content = checkpoint(tmp_path)
    unpacked(content, "this")
    with pytest.raises(pytest.fail.Exception):
        pickle.loads(pickle.dumps(Evil()))
    for reason, other in unusable(content):
        (tmp_path / "trial-000.checkpoint").write_bytes(other)
        keeper = kept_run(tmp_path)
        assert keeper.load() is None
        assert keeper.notes == [f"a checkpoint of trial-000 {reason}, and is not used"]
        with pytest.raises(Unusable):
            unpacked(other, "this")


def test_a_checkpoint_whose_reader_ended_before_its_next_step_is_dropped_and_that_is_said(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    reader = kept_run(tmp_path)
    kept = reader.load()
    assert kept is not None
    run(untrained("vit"), digits(47), state=kept.training, after_step=reader.after_step)
    again = kept_run(tmp_path)
    assert again.load() is not None  # it had come further, and this one ends at once
    third = kept_run(tmp_path)
    assert third.load() is None
    assert third.notes == ["what went on from the checkpoint of trial-000 ended at once, so it begins anew"]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_checkpoint_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keeper = kept_run(tmp_path / "file")
    keeper.load()
    curve = run(untrained("vit"), digits(47), after_step=keeper.after_step)
    assert numbers(curve) == numbers(run(untrained("vit"), digits(47)))
    assert len(keeper.notes) == 2  # it can be neither read nor written
    assert "no checkpoint of trial-000 can be kept" in keeper.notes[-1]


def test_a_run_whose_node_goes_away_is_kept_after_its_next_step_and_ends(tmp_path: Path) -> None:
    keeper = kept_run(tmp_path, every=1e6, leaving=lambda: True)
    keeper.load()
    with pytest.raises(Preempted) as left:
        run(untrained("vit"), digits(47), after_step=keeper.after_step)
    assert lost_node(str(pickle.loads(pickle.dumps(left.value))))  # as another process gets it
    found = kept_run(tmp_path).load()
    assert found is not None
    assert found.training.steps == 1
    curve = run(untrained("vit"), digits(47), state=found.training)
    assert numbers(curve) == numbers(run(untrained("vit"), digits(47)))


def kept_before(folder: Path) -> State:
    """What was kept of a run that left while it validated after its second epoch, or was tested."""
    found = kept_run(folder).load()
    assert found is not None
    assert (found.training.epochs, found.training.steps) == (1, STEPS)
    return found.training


def test_a_run_whose_node_goes_away_while_it_validates_or_is_tested_does_not_wait_for_the_end_of_that(
    tmp_path: Path,
) -> None:
    val, notice = digits(600, start=48), Event()  # three batches
    keeper = kept_run(tmp_path, every=1e6, leaving=notice.is_set)
    keeper.load()

    def in_epoch_2(training: Training) -> None:
        if training.epoch == 2:
            notice.set()
            keeper.after_step(training)

    def whole(state: State | None = None, **given: Any) -> Seen:
        model = untrained("resnet")
        curve, training = run_whole(model, digits(47), val, state=state, **given)
        tested = predict(model, val, FP32, after_batch=partial(keeper.after_step, training))
        return Seen(numbers(curve), model.library_state_dict(), tested)

    undisturbed = whole()
    with pytest.raises(Preempted):
        whole(while_validating=in_epoch_2)
    state = kept_before(tmp_path)
    with pytest.raises(Preempted):  # again, before it is over
        whole(state)
    state = kept_before(tmp_path)
    notice.clear()
    assert whole(state) == undisturbed


def test_who_wants_no_checkpoints_has_none_and_is_not_ended_either(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    keeper = kept_run(tmp_path, every=inf, leaving=lambda: True)
    assert keeper.load() is None
    assert len(run(untrained("vit"), digits(47), after_step=keeper.after_step)) == RECIPE.epochs


def test_a_run_that_has_ended_leaves_nothing(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    (tmp_path / ".trial-000.checkpoint.host-1.part").touch()  # of a process that was killed while it wrote
    Checkpoints(tmp_path).remove("trial-000")
    assert list(tmp_path.iterdir()) == []
    Checkpoints(tmp_path).clear()
    assert not tmp_path.exists()


# Whose it is

SPLITS = {"train": SplitDigest("a", 10), "val": SplitDigest("b", 4), "test": SplitDigest("c", 5)}
RUN = Run("trial-000", Model("vit", "mini", "vit_mini", 10), POINT, RECIPE, seed=1, split_digests=SPLITS)
HOW: dict[str, Any] = {"precision": "fp32", "device": "cpu", "workers": 1}
OTHERS = {
    "seed": replace(RUN, seed=2),
    "point": replace(RUN, hyperparameters=replace(POINT, lr=2e-3)),
    "epochs": replace(RUN, recipe=THREE),
    "images": replace(RUN, split_digests={**SPLITS, "train": SplitDigest("x", 10)}),
    "part of train": replace(RUN, split_digests={**SPLITS, "train": SplitDigest("a", 10, digits(5).index)}),
    "classes": replace(RUN, model=replace(RUN.model, classes=9)),
    "preprocessing": replace(RUN, model=replace(RUN.model, preprocessing=Preprocessing(64, (0, 0, 0), (1, 1, 1)))),
    "weights": replace(RUN, checkpoints=Checkpoints(Path(), weights="others")),
    "splits": replace(RUN, fit_on=("train", "val"), validate_on=None),
    "last epoch": replace(RUN, last_epoch=1),
    "parts of a batch": replace(RUN, grad_accum_steps=2),
}


@pytest.mark.parametrize("other", OTHERS)
def test_whatever_decides_about_a_run_makes_it_another(other: str) -> None:
    assert OTHERS[other].digest(**HOW) != RUN.digest(**HOW)


def test_where_a_run_is_trained_and_what_it_reads_do_not(tmp_path: Path) -> None:
    elsewhere = replace(RUN, boundaries="off", readers=9, checkpoints=Checkpoints(tmp_path, home="node"))
    assert elsewhere.digest(**HOW) == RUN.digest(**HOW)
    for name, value in {"precision": "bf16", "device": "cuda", "workers": 2}.items():
        assert RUN.digest(**{**HOW, name: value}) != RUN.digest(**HOW)
