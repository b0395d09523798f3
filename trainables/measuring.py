"""How much memory a run takes at most: measured, by a step of training and a batch of validation of random images."""

from dataclasses import replace

import numpy as np
import ray
import torch
from ray.exceptions import RayError

from trainables import process
from trainables.batches import CachedSplit
from trainables.loop import EVALUATION_BATCH, fit
from trainables.memory import Memory, PeakMemory
from trainables.precision import precision
from trainables.run import Run
from trainables.trainer import prepared_model

PATIENCE = 90  # seconds: another study may have the GPUs


def on_a_gpu(run: Run) -> int | None:
    """What `peak_bytes` finds on a GPU of the cluster; None where it finds nothing, as when none is free in time."""
    remote = ray.remote(num_cpus=0, num_gpus=1, max_calls=1, max_retries=0)(peak_bytes)  # its process goes with it
    asked = remote.remote(run)
    try:
        if ray.wait([asked], timeout=PATIENCE)[0]:
            return int(ray.get(asked))
        ray.cancel(asked, force=True)
    except RayError:
        pass
    return None


def peak_bytes(run: Run) -> int:
    """The most memory that this process's device holds for a run whose every step is as large as its largest.

    Without the images, which stay on a device only where it has room for them.
    """
    device, point, size = process.device(), run.hyperparameters, run.model.described.preprocessing.size
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    choice.apply()
    train, val = random_images(point.batch_size, size), random_images(EVALUATION_BATCH, size)
    peak = PeakMemory(device)
    fit(
        prepared_model(run.model, run.seed, process.current()).to(device),
        train.to(device),
        val.to(device),
        hyperparameters=replace(point, head_first_share=0.0),
        recipe=replace(run.recipe, epochs=1, milestones=()),
        precision=choice,
        seed=run.seed,
        report=lambda epoch: None,
        memory=Memory(run.grad_accum_steps),
    )
    if device.type == "cuda":
        peak.hold(sum(split.images.nbytes for split in (train, val)))
    return peak.own


def random_images(number: int, size: int) -> CachedSplit:
    images = torch.randint(0, 256, (number, 3, size, size), dtype=torch.uint8)
    return CachedSplit(images, torch.zeros(number, dtype=torch.int64), np.arange(number))
