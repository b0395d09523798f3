"""Steps that are recorded and replayed, by a recorder that computes on a CPU what a graph would have a GPU do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from tests.contract.tiny import CPU, FP32, POINT, digits, losses, numbers, run, run_whole, untrained
from trainables import graphs
from trainables.batches import CachedSplit, ConcatSplits
from trainables.graphs import REHEARSALS, GraphedSteps, graphed
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Training
from trainables.memory import Memory
from trainables.optimisation import DeviceRates, optimizer
from trainables.recipe import Recipe
from trainables.stages import StagedModel
from trainables.step import Step
from trainables.world import World

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES, EPOCHS = 47, 8  # in batches of 16, 16 and 15
RECIPE = Recipe("heads", epochs=EPOCHS)
RATE = 2.0**-9  # which float32 holds exactly, so that nothing may differ
HEAD = replace(POINT, lr=RATE, warmup=0.0, schedule="constant")


@dataclass
class Again:
    """In place of a graph: calls the function, and leaves what it returns where a graph would."""

    compute: Callable[[], Tensor]
    loss: Tensor
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        self.loss.copy_(self.compute())


@dataclass
class OnTheCpu:
    """Records without computing anything, as a capture does."""

    fails: bool = False
    rehearsed: int = 0
    recordings: list[Again] = field(default_factory=list)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        self.rehearsed += 1
        yield

    def record(self, compute: Callable[[], Tensor]) -> Again:
        if self.fails:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with ...")
        self.recordings.append(Again(compute, torch.zeros(())))
        return self.recordings[-1]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> OnTheCpu:
    one = OnTheCpu()
    monkeypatch.setattr(graphs, "recorder_of", lambda device: one)
    monkeypatch.setattr(graphs, "WORTH_IT", 4)
    return one


def features(model: StagedModel, n: int = IMAGES, start: int = 0) -> CachedSplit:
    """What flows into its head."""
    depth, images = model.backbone_stages, digits(n, start=start)
    with torch.no_grad():
        values = model.freeze(depth).eval().frozen(0, depth, images.images)
    return CachedSplit(values.clone(), images.labels, images.index, boundary=depth)


def head(name: str, point: Hyperparameters) -> tuple[StagedModel, Hyperparameters]:
    model = untrained(name)
    return model, replace(point, freeze_depth=model.backbone_stages)


@pytest.mark.parametrize("name", ["vit", "alexnet"])
@pytest.mark.parametrize(
    "changed",
    [{}, {"optimizer": "sgd"}, {"class_weights": "balanced", "label_smoothing": 0.1}, {"layer_decay": 0.5}],
    ids=lambda changed: " ".join(changed) or "as it is",
)
def test_replayed_steps_train_as_those_that_are_called_to_the_bit(
    name: str, changed: dict[str, object], recorder: OnTheCpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, point = head(name, replace(HEAD, **changed))  # type: ignore[arg-type]
    train, val = features(model), features(model, 20, IMAGES)
    with_graphs = run(model, train, val, point=point, recipe=RECIPE)
    assert [one.replays for one in recorder.recordings] == [2 * EPOCHS - REHEARSALS, EPOCHS - REHEARSALS]
    monkeypatch.undo()
    called = untrained(name)
    assert numbers(run(called, train, val, point=point, recipe=RECIPE)) == numbers(with_graphs)
    for ours, theirs in zip(model.parameters(), called.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_head_is_recorded_with_its_dropout_and_every_replay_draws_anew(recorder: OnTheCpu) -> None:
    model, point = head("alexnet", replace(HEAD, dropout=0.5))
    assert any(isinstance(layer, nn.Dropout) for layer in model.modules())
    run(model, features(model), point=point, recipe=RECIPE)
    assert recorder.recordings


@pytest.mark.parametrize("kind", ["cosine", "onecycle", "step"])
def test_a_replayed_step_has_the_rate_of_its_own_time(
    kind: str, recorder: OnTheCpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, point = head("vit", replace(POINT, schedule=kind))
    train = features(model)
    with_graphs = losses(run(model, train, point=point, recipe=RECIPE))
    assert recorder.recordings[0].replays
    monkeypatch.undo()
    called = losses(run(untrained("vit"), train, point=point, recipe=RECIPE))
    assert with_graphs == pytest.approx(called, rel=1e-6)  # a rate is rounded to float32


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_replays_as_the_undisturbed_one(recorder: OnTheCpu) -> None:
    model, point = head("vit", replace(POINT, schedule="cosine"))
    train = features(model)
    states = []

    def keep(training: Training) -> None:
        if (training.epoch, len(training.losses)) == (4, 2):
            states.append(deepcopy(training.state()))  # its tensors go on changing

    undisturbed, _ = run_whole(model, train, point=point, recipe=RECIPE, after_step=keep)
    again = untrained("vit")
    gone_on, _ = run_whole(again, train, point=point, recipe=RECIPE, state=states[0])
    assert numbers(gone_on) == numbers(undisturbed)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(again.parameters(), model.parameters(), strict=True))
    rates = [group["lr"] for group in states[0].shared["step"]["optimizer"]["param_groups"]]
    assert all(type(rate) is float for rate in rates)


def test_what_cannot_be_recorded_is_computed_step_by_step_and_said_once(
    recorder: OnTheCpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.fails = True
    model, point = head("vit", HEAD)
    train, memory = features(model), Memory()
    curve = run(model, train, point=point, recipe=RECIPE, memory=memory)
    assert memory.notes == (
        "steps could not be recorded as a CUDA graph, and are launched one by one: "
        "CUDA error: operation not permitted when stream is capturing",
    )
    monkeypatch.undo()
    assert numbers(run(untrained("vit"), train, point=point, recipe=RECIPE)) == numbers(curve)


def steps_of(model: StagedModel, images: CachedSplit | ConcatSplits, **given: object) -> GraphedSteps | None:
    point = replace(HEAD, freeze_depth=model.freeze_depth)
    step = Step(model.train(), point, FP32, World(), Memory(), labels=images.labels)
    return graphed(step, images, steps=int(given.get("steps", 100)))  # type: ignore[call-overload]


def test_only_a_head_whose_features_are_read_is_recorded_and_only_in_a_run_of_some_length(recorder: OnTheCpu) -> None:
    model = untrained("vit")
    read = features(model)
    assert steps_of(model, read)
    assert steps_of(model, ConcatSplits(read, read))
    assert not steps_of(model, read, steps=3)
    assert not steps_of(model, digits(IMAGES))  # the backbone is computed in every step
    assert not steps_of(untrained("vit").freeze(0), digits(IMAGES))


def test_on_a_cpu_nothing_is_recorded() -> None:
    assert graphs.recorder_of(CPU) is None
    model = untrained("vit")
    assert not steps_of(model, features(model))


def test_rates_are_written_where_they_change_and_the_optimizer_keeps_plain_numbers() -> None:
    model = untrained("vit").freeze(0)
    own = optimizer(model, replace(POINT, layer_decay=0.5))
    rates = DeviceRates(own, CPU)
    rates.refresh()
    plain = [group["lr"] for group in own.param_groups]
    assert [float(tensor) for tensor in rates.tensors] == pytest.approx(plain)
    with rates.read_by_optimizer():
        assert [group["lr"] for group in own.param_groups] == rates.tensors
        assert all(group["capturable"] for group in own.param_groups)
    assert [group["lr"] for group in own.param_groups] == plain
    assert not any(group["capturable"] for group in own.param_groups)
    own.load_state_dict(own.state_dict())  # makes new groups
    own.param_groups[0]["lr"] = 0.25
    rates.refresh()
    assert float(rates.tensors[0]) == 0.25
