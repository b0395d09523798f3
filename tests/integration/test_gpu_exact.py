"""What is to be the same on a GPU as on a CPU or in the same run again, bit for bit; and what compiling may change."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.contract.reading import reader_of
from tests.contract.tiny import POINT, RECIPE, digits, losses, run, untrained
from trainables import architecture, process
from trainables.architecture import HALF, Preprocessing
from trainables.augmentation import augmented, seeds_of
from trainables.batches import CachedSplit
from trainables.choices import INTERPOLATIONS
from trainables.device_augmentation import CUTS, ChangedOnDevice, Draws, changed
from trainables.precision import Precision
from trainables.resizing import agrees
from trainables.world import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture
def cuda() -> torch.device:
    return process.device()


def noise(n: int, side: int) -> torch.Tensor:
    images = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return images.permute(0, 3, 1, 2)


@pytest.mark.parametrize("size", [32, 224, 256])
@pytest.mark.parametrize("name", CUTS)
def test_the_gpu_changes_images_as_a_cpu_does(name: str, size: int, cuda: torch.device) -> None:
    images, seeds, cut = noise(32, size), seeds_of(3, 1, np.arange(32)), CUTS[name](size)
    ours = changed(images.to(cuda), cut, Draws.of(cut, size, seeds).to(cuda))
    assert torch.equal(ours.cpu(), augmented(name, images, seeds))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("side", "size", "crop"), [(8, 32, 1.0), (28, 224, 0.875), (32, 224, 0.95), (32, 256, 1.0)])
def test_the_gpu_makes_small_images_larger_as_a_cpu_does(
    interpolation: str, side: int, size: int, crop: float, cuda: torch.device
) -> None:
    assert agrees(noise(32, side), Preprocessing(size, *HALF, crop=crop, interpolation=interpolation), cuda)


def test_no_batch_that_is_changed_on_the_gpu_waits_for_it(cuda: torch.device) -> None:
    rows = CachedSplit(noise(64, 32), torch.arange(64), np.arange(64)).to(cuda)
    batches = ChangedOnDevice(rows, "alexnet", 0, Preprocessing(37, *HALF)).shuffled(8, torch.Generator(), World())
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(batches)) == 7
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("one_thread")
def test_what_trains_faster_than_cpus_change_images_changes_them_itself(cuda: torch.device) -> None:
    reader = reader_of((architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")), None)
    reader.device = cuda
    reader.model.to(cuda)
    rows = reader.source("train", augmentation="crop_flip").at(0)
    assert isinstance(rows, ChangedOnDevice)
    assert reader.line.endswith("crop_flip changes them at random on the GPU")


TWICE = """
import torch
from tests.integration.test_gpu_errors import FAMILIES, paper, pictures
from tests.contract.tiny import POINT, RECIPE, losses, run
from dataclasses import replace
from trainables import process
from trainables.precision import Precision
torch.use_deterministic_algorithms(True, warn_only=True)
cuda = process.device()
fp32 = Precision("fp32", cuda)
fp32.apply()
for name in FAMILIES:
    images, ends = pictures(48).to(cuda), []
    for _ in range(2):
        model = paper(name, cuda)
        two = replace(RECIPE, epochs=2)
        curve = run(model, images, point=replace(POINT, batch_size=16), recipe=two, precision=fp32)
        ends.append([losses(curve), torch.cat([p.detach().flatten() for p in model.parameters()]).cpu()])
    print(name, ends[0][0] == ends[1][0] and torch.equal(ends[0][1], ends[1][1]))
"""


def test_a_run_in_fp32_with_deterministic_kernels_is_the_same_run_again() -> None:
    environment = os.environ | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TWICE], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = dict(line.split() for line in done.stdout.splitlines())
    assert said == dict.fromkeys(["alexnet", "coatnet", "resnet", "vit"], "True")


def test_compiled_stages_train_as_those_that_are_not_but_for_rounding(cuda: torch.device) -> None:
    fp32, train = Precision("fp32", cuda), digits(64).to(cuda)
    fp32.apply()
    curves = []
    for compiles in (False, True):
        model = untrained("vit").to(memory_format=torch.channels_last).to(cuda)
        model.compiles = compiles
        point = replace(POINT, freeze_depth=model.backbone_stages - 2)
        curves.append(losses(run(model, train, point=point, recipe=replace(RECIPE, epochs=3), precision=fp32)))
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
