"""What once went wrong on a GPU and on no CPU, each tried on the GPU; tests/unit/test_devices.py has them on a CPU."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.contract.reading import reader_of
from tests.contract.tiny import POINT, RECIPE, digits, losses, run, untrained
from trainables import architecture, batches, building, planner, process
from trainables.batches import CachedSplit, ConcatSplits
from trainables.memory import DoesNotFit, Memory, PeakMemory, release
from trainables.optimisation import schedule
from trainables.precision import Precision
from trainables.process import ProcessCache
from trainables.run import Model
from trainables.stages import StagedModel
from trainables.step import Step, carried
from trainables.streaming import Streamed
from trainables.trainer import prepared_model
from trainables.world import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
FAMILIES = ["alexnet", "coatnet", "resnet", "vit"]


@pytest.fixture
def cuda() -> torch.device:
    return process.device()


@pytest.fixture
def half(cuda: torch.device) -> Precision:
    return Precision("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16", cuda)


@pytest.fixture
def whole_card(cuda: torch.device) -> Iterator[int]:
    """Bytes of the card, all of which are this process's again at the end."""
    yield torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    release()


def paper(name: str, cuda: torch.device, classes: int = 10) -> StagedModel:
    family = architecture.get(name)
    torch.manual_seed(0)
    model = building.assemble(family, family.variant("paper", "none"), classes)
    return model.to(memory_format=torch.channels_last).to(cuda)


def pictures(n: int, side: int = 224) -> CachedSplit:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)).permute(0, 3, 1, 2)
    return CachedSplit(images, torch.from_numpy(rng.integers(0, 10, n)), np.arange(n))


def test_a_head_is_the_same_in_the_first_and_the_second_run_of_a_process(cuda: torch.device) -> None:
    family = architecture.get("resnet")
    variant = family.variant("mini", "fashion60k")
    weights: Any = "in the object store"
    model, cache = Model("resnet", "mini", variant.name, 10, weights=weights), ProcessCache()
    state = building.pretrained(family, variant, offline=True)
    assert state is not None
    cache.weights[weights] = state
    heads = [[p.cpu().clone() for p in prepared_model(model, 3, cache).to(cuda).head.parameters()] for _ in range(3)]
    for other in heads[1:]:
        torch.testing.assert_close(other, heads[0], rtol=0, atol=0)


def test_a_chosen_part_is_streamed_from_its_own_images_which_stay_on_the_cpu(cuda: torch.device) -> None:
    reader = reader_of((architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")), None)
    everything = reader.images("train")
    assert isinstance(everything, CachedSplit)
    reader.device = cuda
    reader.split_digests["train"] = replace(reader.split_digests["train"], chosen=np.array([7, 8, 9]))
    stream = reader.source("train", augmentation="flip").at(0)
    assert isinstance(stream, Streamed)
    assert isinstance(stream.rows, CachedSplit)
    assert stream.rows.images.device.type == "cpu"
    assert stream.labels.device == cuda
    assert stream.labels.tolist() == everything.labels[[7, 8, 9]].tolist()
    assert torch.equal(stream.rows.images_at(torch.arange(3)), everything.images[[7, 8, 9]])
    assert stream.rows.places is not None  # by which its file, or what is put in its place, is read
    assert stream.rows.places.tolist() == [7, 8, 9]


def test_splits_of_which_one_lies_on_the_gpu_give_one_batch(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "fits_on_device", lambda size, device: size < 100_000)
    both = ConcatSplits(digits(64).to(cuda), digits(16, start=64).to(cuda))
    assert [split.gathers_on.type for split in both.splits] == ["cpu", "cuda"]
    images, labels = both.batch(torch.tensor([0, 70, 3]))
    there = digits(80)
    assert torch.equal(images.cpu(), there.images[[0, 70, 3]])
    assert torch.equal(labels.cpu(), there.labels[[0, 70, 3]])


@pytest.mark.parametrize(("name", "low", "high"), [("fp32", 0.0, 1e-5), ("tf32", 1e-5, 1e-2)])
def test_a_precision_means_the_same_for_convolutions_and_matrix_products(
    name: str, low: float, high: float, cuda: torch.device
) -> None:
    Precision(name, cuda).apply()
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 512, generator=generator, dtype=torch.float64) for _ in range(2))
    x, w = (
        torch.randn(8, 64, 28, 28, generator=generator).double(),
        torch.randn(64, 64, 3, 3, generator=generator).double(),
    )
    product = (a.float().to(cuda) @ b.float().to(cuda)).cpu().double()
    convolved = torch.conv2d(x.float().to(cuda), w.float().to(cuda)).cpu().double()
    for ours, exact in ((product, a @ b), (convolved, torch.conv2d(x, w))):
        assert low <= float((ours - exact).norm() / exact.norm()) <= high
    Precision("fp32", cuda).apply()


@pytest.mark.parametrize("name", FAMILIES)
def test_resident_and_copied_images_give_the_same_curve(name: str, cuda: torch.device, half: Precision) -> None:
    images, recipe = pictures(128), replace(RECIPE, epochs=2)
    point = replace(POINT, batch_size=32)
    curves = [
        losses(run(paper(name, cuda), split, point=point, recipe=recipe, precision=half))
        for split in (images.to(cuda), images.to(cuda), images.with_batches_on(cuda))
    ]
    assert curves[0] == curves[1]
    assert curves[0] == curves[2]


@pytest.mark.parametrize("name", FAMILIES)
def test_frozen_stages_give_the_same_whoever_computes_them(name: str, cuda: torch.device, half: Precision) -> None:
    """Bit for bit: all at once, in odd parts, and in batches that are carried together."""
    model = paper(name, cuda).eval()
    depth = model.backbone_stages
    model.freeze(depth)
    images = pictures(300).to(cuda).images
    with torch.inference_mode(), half.autocast():
        whole = model.frozen(0, depth, images)
        odd = torch.cat([model.frozen(0, depth, part) for part in images.split(63)])
    together = torch.cat([x for x, _ in carried(model, ((p, p) for p in images.split(50)), 0, half, 50)])
    assert torch.equal(whole, odd)
    assert torch.equal(whole, together)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_planner_measures_what_frozen_stages_take(name: str, cuda: torch.device, half: Precision) -> None:
    model, images = paper(name, cuda).eval(), pictures(256)
    costs = planner.measure(model, images.images, half, cuda)
    there = images.to(cuda).images

    def pass_of_all() -> float:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        with torch.inference_mode(), half.autocast():
            model.frozen(0, model.backbone_stages, there)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3

    seconds = min(pass_of_all() for _ in range(4)) / len(images)
    assert costs.compute(0, model.backbone_stages) < 2 * seconds
    assert costs.resident_bytes > 0
    assert costs.copy_bytes_per_second < float("inf")


def test_the_peak_of_a_run_is_its_own_wherever_the_images_lie(cuda: torch.device, half: Precision) -> None:
    images, peaks = pictures(512), []
    for to_device in (True, False):
        model, peak = paper("resnet", cuda), PeakMemory(cuda)
        peak.settle()
        split = images.to(cuda) if to_device else images.with_batches_on(cuda)
        if to_device:
            peak.hold(split.nbytes)
        run(model, split, point=replace(POINT, batch_size=64), recipe=replace(RECIPE, epochs=1), precision=half)
        peaks.append(peak.own)
        del model, split
    assert peaks[0] == pytest.approx(peaks[1], rel=0.05)


def test_a_card_that_is_too_small_by_any_amount_ends_a_run_with_one_reason(
    cuda: torch.device, whole_card: int, half: Precision
) -> None:
    """From too small for the model's gradients to large enough: also where only the optimiser's state is too much."""
    images, reasons = pictures(8).to(cuda), []
    for mib in range(260, 700, 20):
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
        model = paper("resnet", cuda)
        release()
        torch.cuda.set_per_process_memory_fraction(mib * 2**20 / whole_card, cuda)
        try:
            run(model, images, point=replace(POINT, batch_size=8), recipe=replace(RECIPE, epochs=1), precision=half)
            break
        except DoesNotFit as reason:
            reasons.append(str(reason))
        del model
    assert any("optimizer's step" in reason for reason in reasons)
    assert all(reason.startswith("out of memory") for reason in reasons)


def test_images_that_do_not_fit_after_all_stay_on_the_cpu(
    cuda: torch.device, whole_card: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "fits_on_device", lambda size, device: True)
    release()
    torch.cuda.set_per_process_memory_fraction(64 * 2**20 / whole_card, cuda)
    split = pictures(1024).to(cuda)
    assert split.images.device.type == "cpu"
    assert split.labels.device == cuda


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("depth", [0, 2])
def test_no_step_waits_for_the_gpu(name: str, depth: int, cuda: torch.device, half: Precision) -> None:
    if half.name == "fp16":
        pytest.skip("the gradient scaler looks at every step")
    model, images = (
        untrained(name).to(cuda).to(memory_format=torch.channels_last).freeze(depth).train(),
        digits(160).to(cuda),
    )
    step = Step(model, POINT, half, World(), Memory(), labels=images.labels)
    step.schedule = schedule(step.optimizer, POINT, milestones=(), steps=20)
    batched = images.shuffled(16, torch.Generator().manual_seed(0), World())
    batches = carried(model, batched, 0, half, 16)
    step(*next(batches), depth)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            step(*batch, depth)
    finally:
        torch.cuda.set_sync_debug_mode("default")


WHAT_RAY_GIVES = """
import study, json, ray
ray.init(address="local", include_dashboard=False, log_to_driver=False)
class Inside:
    def look(self, share):
        import torch
        from trainables import memory, process
        device = process.device()
        memory.share_device(device, share)
        if device.type == "cpu":
            return [str(device), 0.0, torch.cuda.is_available()]
        total = torch.cuda.get_device_properties(device).total_memory
        try:
            torch.empty(int(0.6 * total), dtype=torch.uint8, device=device)
            return [str(device), 1.0, True]
        except torch.OutOfMemoryError:
            return [str(device), torch.cuda.get_per_process_memory_fraction(device), True]
none, half = ray.remote(Inside).options(num_gpus=0).remote(), ray.remote(Inside).options(num_gpus=0.5).remote()
print(json.dumps(ray.get([none.look.remote(0), half.look.remote(0.5)])))
"""


def test_a_process_uses_no_gpu_that_ray_did_not_give_it_and_no_more_of_one_than_its_share() -> None:
    done = subprocess.run([sys.executable, "-c", WHAT_RAY_GIVES], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    none, half = json.loads(done.stdout.splitlines()[-1])
    assert none[0] == "cpu"
    assert half[:2] == ["cuda:0", 0.5]


LOOKS = "from study.results import provenance; print(provenance.hardware(), flush=True); input()"


def test_the_driver_of_a_study_takes_no_memory_of_the_gpu() -> None:
    before = used()
    with subprocess.Popen(
        [sys.executable, "-c", LOOKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as driver:
        assert driver.stdout
        assert driver.stdin
        assert "gpus" in driver.stdout.readline()
        taken = used() - before
        driver.stdin.write("\n")
    assert taken < 50, f"{taken} MiB"


def used() -> int:
    """MiB of the first card."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0])
