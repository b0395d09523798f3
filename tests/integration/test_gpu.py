"""What only a GPU shows: fp16 with its gradient scaler, bf16, the memory that freezing saves, the memory format."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.contract.tiny import CPU, FP32, POINT, RECIPE, digits, losses, run, untrained
from trainables import process
from trainables.architecture import names
from trainables.batches import CachedSplit
from trainables.loop import predict
from trainables.memory import Memory, PeakMemory
from trainables.optimisation import schedule
from trainables.precision import Precision, precision
from trainables.stages import StagedModel
from trainables.step import Step
from trainables.world import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
NATIVE_BF16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
HALF = [
    "fp16",
    pytest.param("bf16", marks=pytest.mark.skipif(not NATIVE_BF16, reason="this GPU has no bf16")),
]
MILLION = 2**20


@pytest.fixture(autouse=True)
def exact_matrix_products(cuda: torch.device) -> None:
    """fp32 means fp32: without TF32, which has the mantissa of fp16."""
    Precision("fp32", cuda).apply()


@pytest.fixture
def cuda() -> torch.device:
    return process.device()


@pytest.fixture
def train(cuda: torch.device) -> CachedSplit:
    return digits(64).to(cuda)


@pytest.fixture
def val(cuda: torch.device) -> CachedSplit:
    return digits(32, start=64).to(cuda)


def on(device: torch.device, name: str) -> StagedModel:
    """As a trial has it: on its device, in channels_last."""
    return untrained(name).to(device).to(memory_format=torch.channels_last)


def test_a_process_with_a_gpu_trains_there(cuda: torch.device) -> None:
    assert cuda.type == "cuda"
    assert precision("auto", cuda).name == ("bf16" if NATIVE_BF16 else "fp16")


@pytest.mark.parametrize("name", ["vit", "resnet", "coatnet"])
def test_a_run_in_fp32_on_the_gpu_has_the_losses_of_one_on_the_cpu(name: str, cuda: torch.device) -> None:
    recipe = replace(RECIPE, epochs=1)
    here = run(on(cuda, name), digits(64).to(cuda), recipe=recipe, precision=Precision("fp32", cuda))
    there = run(untrained(name), digits(64), recipe=recipe, precision=FP32)
    assert losses(here) == pytest.approx(losses(there), rel=2e-2)


@pytest.mark.parametrize("format", HALF)
@pytest.mark.parametrize("name", names())
def test_a_run_in_half_precision_stays_close_to_fp32(
    name: str, format: str, cuda: torch.device, train: CachedSplit, val: CachedSplit
) -> None:
    half = run(on(cuda, name), train, val, precision=Precision(format, cuda))
    whole = run(on(cuda, name), train, val, precision=Precision("fp32", cuda))
    assert losses(half) == pytest.approx(losses(whole), rel=0.2)  # fp16 skips its first steps, until its scale fits
    assert losses(half) != losses(whole)


@pytest.mark.parametrize("format", HALF)
def test_the_loop_learns_in_half_precision(format: str, cuda: torch.device) -> None:
    seen = digits(128).to(cuda)
    curve = run(on(cuda, "resnet"), seen, seen, recipe=replace(RECIPE, epochs=20), precision=Precision(format, cuda))
    assert curve[-1].train_loss < 0.3 * curve[0].train_loss
    assert curve[-1].val_accuracy is not None
    assert curve[-1].val_accuracy > 0.9


@pytest.mark.parametrize("format", HALF)
def test_weights_stay_in_fp32_and_are_those_of_a_file(format: str, cuda: torch.device, train: CachedSplit) -> None:
    model = on(cuda, "coatnet")
    run(model, train, precision=Precision(format, cuda))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(torch.isfinite(t).all() for t in model.library_state_dict().values())


def fp16_step(model: StagedModel, cuda: torch.device) -> Step:
    model.freeze(0).train()
    labels = torch.arange(10, device=cuda)
    step = Step(model, POINT, Precision("fp16", cuda), World(), Memory(), labels=labels)
    step.schedule = schedule(step.optimizer, POINT, milestones=(), steps=20)
    return step


def test_a_step_whose_fp16_gradients_overflow_is_skipped_and_lowers_the_scale(
    cuda: torch.device, train: CachedSplit
) -> None:
    model = on(cuda, "vit")
    step = fp16_step(model, cuda)
    step.scaler = torch.amp.grad_scaler.GradScaler("cuda", init_scale=2.0**60)
    before = deepcopy(dict(model.named_parameters()))
    loss = step(train.images, train.labels)
    assert torch.isfinite(loss)
    assert step.scaler.get_scale() < 2.0**60
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_fp16_gradients_are_unscaled_before_they_are_clipped(cuda: torch.device, train: CachedSplit) -> None:
    model, whole = on(cuda, "vit"), on(cuda, "vit")
    step = fp16_step(model, cuda)
    step.scaler = torch.amp.grad_scaler.GradScaler("cuda", init_scale=2.0**8)
    step(train.images, train.labels)
    cross_entropy(whole.freeze(0).train()(train.images), train.labels).backward()
    torch.nn.utils.clip_grad_norm_(whole.parameters(), POINT.clip_norm)
    assert step.scaler.get_scale() == 2.0**8  # it was not skipped
    for (name, ours), theirs in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).norm() <= 0.05 * theirs.grad.norm() + 1e-4, name


@pytest.mark.parametrize("name", names())
def test_predictions_on_the_gpu_are_those_on_the_cpu(name: str, cuda: torch.device) -> None:
    model, split = untrained(name), digits(300)
    there = predict(model, split, Precision("fp32", CPU))
    here = predict(model.to(cuda), split.to(cuda), Precision("fp32", cuda))
    assert (here.predicted == there.predicted).mean() > 0.97
    assert here.confidence == pytest.approx(there.confidence, abs=1e-3)
    assert here.index.tolist() == there.index.tolist()


def test_a_frozen_prefix_needs_less_memory(cuda: torch.device) -> None:
    images = digits(512).to(cuda)
    peaks = []
    for depth in (0, 3, 5):
        model, peak = on(cuda, "resnet"), PeakMemory(cuda)
        run(model, images, point=replace(POINT, freeze_depth=depth, batch_size=512), precision=Precision("fp32", cuda))
        peaks.append(peak.own)
        del model
    assert peaks[0] > peaks[1] > peaks[2]


def test_peak_memory_is_what_was_held_at_most_besides_what_is_resident(cuda: torch.device) -> None:
    peak = PeakMemory(cuda)
    before = peak.own
    passing = torch.zeros(64 * MILLION, dtype=torch.uint8, device=cuda)
    del passing
    assert 64 * MILLION <= peak.own - before < 65 * MILLION
    peak.settle()
    resident = torch.zeros(128 * MILLION, dtype=torch.uint8, device=cuda)
    peak.hold(resident.nbytes)
    assert 64 * MILLION <= peak.own - before < 65 * MILLION
    more = torch.zeros(96 * MILLION, dtype=torch.uint8, device=cuda)
    assert 96 * MILLION <= peak.own - before < 97 * MILLION
    assert peak.resident == 128 * MILLION
    del more
    assert PeakMemory(cuda).own - before < 129 * MILLION


@pytest.mark.parametrize("name", ["resnet", "alexnet", "coatnet"])
def test_channels_last_reaches_the_convolutions_and_changes_no_result(name: str, cuda: torch.device) -> None:
    images = digits(32).to(cuda).images
    packed, plain = on(cuda, name).eval(), untrained(name).to(cuda).eval()
    filters = [p for p in packed.parameters() if p.ndim == 4 and p.shape[2] > 1 and p.shape[1] > 1]
    assert filters
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)
    with torch.no_grad():
        torch.testing.assert_close(packed(images), plain(images), rtol=1e-3, atol=1e-4)
    assert all(t.is_contiguous() for t in packed.library_state_dict().values())


def test_a_checkpoint_of_a_gpu_loads_on_a_cpu(cuda: torch.device, train: CachedSplit) -> None:
    trained = on(cuda, "coatnet")
    run(trained, train, precision=Precision("fp32", cuda))
    state = {name: t.cpu() for name, t in trained.library_state_dict().items()}
    loaded = untrained("coatnet", seed=1)
    loaded.load(state, head=True)
    with torch.no_grad():
        here, there = trained.eval()(train.images), loaded.eval()(train.images.cpu())
    torch.testing.assert_close(here.cpu(), there, rtol=1e-2, atol=1e-3)
