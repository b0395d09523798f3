"""The data path on a GPU: graphs of a head's steps, what stays there, what a thread brings, weights that are cast once.

tests/unit/test_graphs.py, test_resident.py, test_prefetch.py and test_halves.py have what a CPU can show of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import dropout

from tests.contract.reading import reader_of
from tests.contract.tiny import POINT, digits, losses, numbers, run, run_whole, untrained
from trainables import architecture, graphs, process, stages
from trainables.batches import CachedSplit, ConcatSplits
from trainables.graphs import CudaRecorder, GraphedSteps
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Training
from trainables.memory import Memory, PeakMemory, release
from trainables.optimisation import schedule
from trainables.precision import Precision
from trainables.process import ProcessCache
from trainables.recipe import Recipe
from trainables.stages import StagedModel
from trainables.step import Step
from trainables.world import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
RECIPE = Recipe("heads", epochs=24)  # of 3 steps: two sizes of batches


@pytest.fixture
def cuda() -> torch.device:
    return process.device()


@pytest.fixture
def half(cuda: torch.device) -> Precision:
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("fp16's scaler looks at every step")
    return Precision("bf16", cuda)


def head(name: str, cuda: torch.device, choice: Precision) -> tuple[StagedModel, CachedSplit]:
    """A model of which the head is trained, and what flows into it."""
    model = untrained(name).to(memory_format=torch.channels_last).to(cuda)
    depth, images = model.backbone_stages, digits(47).to(cuda)
    with torch.no_grad(), choice.autocast():
        values = model.freeze(depth).eval().frozen(0, depth, images.images)
    return model, CachedSplit(values.clone(), images.labels, images.index, boundary=depth)


@dataclass
class Counting(CudaRecorder):
    """Counts what it records; or cannot."""

    device: torch.device
    fails: bool = False
    recorded: list[graphs.CudaRecording] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.device)

    def record(self, compute: Callable[[], Tensor]) -> graphs.CudaRecording:
        if self.fails:
            raise RuntimeError("not on this card")
        self.recorded.append(super().record(compute))
        return self.recorded[-1]


@contextmanager
def recorded_by(recorder: Counting) -> Iterator[Counting]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "recorder_of", lambda device: recorder)
        yield recorder


CASES: dict[str, tuple[str, dict[str, object]]] = {
    "as it is": ("vit", {}),
    "dropout": ("alexnet", {"dropout": 0.5}),
    "SGD": ("resnet", {"optimizer": "sgd", "class_weights": "balanced"}),
    "smoothed": ("coatnet", {"label_smoothing": 0.1, "layer_decay": 0.7}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", ["bf16", "fp32"])
def test_a_head_whose_steps_are_graphs_trains_as_one_whose_steps_are_launched_to_the_bit(
    case: str, number: str, cuda: torch.device, half: Precision
) -> None:
    choice = Precision(number, cuda)
    choice.apply()
    curves, weights = [], []
    for fails in (False, True):
        name, changed = CASES[case]
        model, features = head(name, cuda, choice)
        point = replace(POINT, freeze_depth=model.backbone_stages, **changed)  # type: ignore[arg-type]
        memory = Memory()
        with recorded_by(Counting(cuda, fails)) as recorder:
            curves.append(run(model, features, features, point=point, recipe=RECIPE, precision=choice, memory=memory))
        assert len(recorder.recorded) == (0 if fails else 2), memory.notes
        assert len(memory.notes) == int(fails)
        weights.append([p.detach().cpu() for p in model.parameters()])
    assert numbers(curves[0]) == numbers(curves[1])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*weights, strict=True))
    assert losses(curves[0])[-1] < losses(curves[0])[0]


def test_rates_on_the_device_differ_from_plain_numbers_by_their_rounding_alone(
    cuda: torch.device, half: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = []
    for recorder in (Counting(cuda), None):
        model, features = head("vit", cuda, half)
        point = replace(POINT, freeze_depth=model.backbone_stages)
        monkeypatch.setattr(graphs, "recorder_of", lambda device, recorder=recorder: recorder)
        curves.append(losses(run(model, features, point=point, recipe=RECIPE, precision=half)))
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


def test_a_run_of_graphs_that_goes_on_in_the_middle_of_an_epoch_is_the_undisturbed_one(
    cuda: torch.device, half: Precision
) -> None:
    model, features = head("alexnet", cuda, half)
    point = replace(POINT, freeze_depth=model.backbone_stages, dropout=0.5)
    states = []

    def keep(training: Training) -> None:
        if (training.epoch, len(training.losses)) == (20, 2):
            states.append(deepcopy(training.state()))

    undisturbed, _ = run_whole(model, features, point=point, recipe=RECIPE, precision=half, after_step=keep)
    again, features = head("alexnet", cuda, half)
    gone_on, _ = run_whole(again, features, point=point, recipe=RECIPE, precision=half, state=states[0])
    assert losses(gone_on) == losses(undisturbed)


def test_a_replayed_step_does_not_wait_for_the_gpu(cuda: torch.device, half: Precision) -> None:
    model, features = head("vit", cuda, half)
    steps = steps_of(model, features, half, cuda)
    rows = torch.arange(16, device=cuda)
    for _ in range(graphs.REHEARSALS):
        steps(rows)
    assert steps.recordings
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            steps(rows)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def steps_of(model: StagedModel, images: CachedSplit, choice: Precision, cuda: torch.device) -> GraphedSteps:
    point: Hyperparameters = replace(POINT, freeze_depth=model.freeze_depth)
    step = Step(model.train(), point, choice, World(), Memory(), labels=images.labels)
    step.schedule = schedule(step.optimizer, point, milestones=(), steps=100)
    return GraphedSteps(step, images, CudaRecorder(cuda), cuda)


def test_after_a_recording_that_fails_everything_goes_on(cuda: torch.device) -> None:
    here, x = torch.cuda.current_stream(cuda), torch.ones(1000, device=cuda)
    with pytest.raises(RuntimeError):
        CudaRecorder(cuda).record(lambda: x * float(dropout(x, 0.5).sum()))
    assert torch.cuda.current_stream(cuda) == here
    assert 0 < int((dropout(x, 0.5) == 0).sum()) < 1000
    assert torch.cuda.get_rng_state(cuda).numel()
    torch.cuda.set_rng_state(torch.cuda.get_rng_state(cuda), cuda)
    model, features = head("alexnet", cuda, Precision("fp32", cuda))
    with recorded_by(Counting(cuda)) as recorder:
        point = replace(POINT, freeze_depth=model.backbone_stages, dropout=0.5)
        run(model, features, point=point, recipe=RECIPE, precision=Precision("fp32", cuda))
    assert len(recorder.recorded) == 2


def test_a_graph_s_memory_is_given_back_when_its_run_has_ended(cuda: torch.device, half: Precision) -> None:
    def reserved() -> int:
        model, features = head("vit", cuda, half)
        run(
            model,
            features,
            point=replace(POINT, freeze_depth=model.backbone_stages),
            recipe=RECIPE,
            precision=half,
        )
        del model, features
        release()
        return torch.cuda.memory_reserved(cuda)

    first = reserved()
    for _ in range(3):
        again = reserved()
    assert again <= first + 2**22


# What stays


def test_the_next_run_of_a_process_copies_nothing_and_has_the_same_peak_of_its_own(cuda: torch.device) -> None:
    cache = ProcessCache()
    pair = architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")

    def read() -> tuple[int, int, int]:
        peak = PeakMemory(cuda, cache.residents.nbytes)
        reader = reader_of(pair, None, device=cuda, cache=cache, peak=peak)
        split = reader.source("train").at(0)
        assert isinstance(split, CachedSplit)
        assert split.gathers_on == cuda
        passing = torch.zeros(2**24, dtype=torch.uint8, device=cuda)
        del passing
        reader.close()
        return split.images.data_ptr(), peak.own, peak.resident

    first, second = read(), read()
    assert first[0] == second[0]
    assert first[2] == second[2] > 0
    assert second[1] == pytest.approx(first[1], abs=2**20)


def test_splits_that_lie_on_the_gpu_give_their_batches_together_without_a_wait(cuda: torch.device) -> None:
    both, there = ConcatSplits(digits(40).to(cuda), digits(24, start=40).to(cuda)), digits(64)
    assert both.gathers_on == cuda
    batches = both.shuffled(10, torch.Generator().manual_seed(0), World())
    first = next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        others = list(batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    wanted = list(there.shuffled(10, torch.Generator().manual_seed(0), World()))
    for (images, labels), (images_there, labels_there) in zip([first, *others], wanted, strict=True):
        assert torch.equal(images.cpu(), images_there)
        assert torch.equal(labels.cpu(), labels_there)


# What a thread brings


@pytest.mark.parametrize("kind", ["mapped", "a part", "together", "features"])
def test_batches_that_a_thread_brings_are_those_of_the_cpu(kind: str, cuda: torch.device, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (600, 64, 48, 3), dtype=np.uint8)
    np.save(tmp_path / "boundary.npy", pixels)
    images = torch.from_numpy(np.load(tmp_path / "boundary.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    whole = CachedSplit(images, torch.arange(600), np.arange(600))
    if kind == "a part":
        whole = whole.only(torch.randperm(600)[:500])
    elif kind == "features":
        whole = CachedSplit(torch.randn(600, 77).to(torch.bfloat16), torch.arange(600), np.arange(600), boundary=3)
    here: CachedSplit | ConcatSplits = whole
    copied: CachedSplit | ConcatSplits = whole.with_batches_on(cuda)
    if kind == "together":
        copied = ConcatSplits(whole.with_batches_on(cuda), whole.with_batches_on(cuda))
        here = ConcatSplits(whole, whole)
    assert copied.is_copied
    kept = []
    for images, labels in copied.shuffled(32, torch.Generator().manual_seed(1), World()):
        kept.append((images, labels))  # no buffer of theirs is written again
        torch.cuda._sleep(2_000_000)  # so that the loop is behind the copies
    wanted = list(here.shuffled(32, torch.Generator().manual_seed(1), World()))
    for (images, labels), (images_here, labels_here) in zip(kept, wanted, strict=True):
        assert torch.equal(images.cpu(), images_here)
        assert torch.equal(labels.cpu(), labels_here)
        assert images.stride() == images_here.stride()


def test_batches_may_be_let_go_as_soon_as_they_are_used(cuda: torch.device) -> None:
    """Their memory is not written again before the loop's stream has come to its end with them."""
    whole = CachedSplit(torch.randn(512, 10_000), torch.arange(512), np.arange(512))
    sums = []
    for images, _ in whole.with_batches_on(cuda).in_order(16):
        torch.cuda._sleep(1_000_000)
        sums.append(images.double().sum())
    assert float(torch.stack(sums).sum()) == pytest.approx(float(whole.images.double().sum()), rel=1e-9)


# What is cast once


@pytest.mark.parametrize("name", architecture.names())
def test_frozen_stages_whose_weights_are_cast_once_give_the_same_to_the_bit(
    name: str, cuda: torch.device, half: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(name).to(memory_format=torch.channels_last).to(cuda).eval()
    model.freeze(model.backbone_stages)
    images = digits(64).to(cuda).images
    with half.autocast():
        once = model.frozen(0, model.backbone_stages, images)
        assert model._halves._made
        monkeypatch.setattr(stages, "casts_weights", lambda device: False)
        every_time = model.frozen(0, model.backbone_stages, images)
    assert torch.equal(once, every_time)
