"""What accuracy costs: parameters, FLOPs, seconds, memory. Counted on the meta device, measured, or read in a record.

The only measurement is `measure_inference`, which a study makes once, after its test step, in a process that has
nothing else to do. All the rest are pure functions of a record, or of a model's description.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from study.results.device_time import device_seconds, test_runs
from study.results.study_file import Inference, MeasuredCost
from trainables import architecture, building, process
from trainables.architecture import Architecture, Preprocessing, Variant
from trainables.planner import synchronize
from trainables.precision import Precision, precision
from trainables.run import Model, Run
from trainables.stages import StagedModel
from trainables.trainer import prepared_model

if TYPE_CHECKING:
    from study.results.record import Record

BACKWARD = 2  # forwards: one for the gradients of the weights, one for those of the inputs
BATCHES = (1, 8, 32, 128, 512)
REPEATS = 10  # of a single image, at least


# Counted


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one image's forward pass, by stage: two a multiply-accumulate.

    Matrix products, convolutions and attention are counted, as papers count them; norms, activations and additions
    are not.
    """

    stages: tuple[int, ...]

    @property
    def forward(self) -> int:
        return sum(self.stages)

    def frozen_share(self, freeze_depth: int) -> float:
        return sum(self.stages[:freeze_depth]) / self.forward

    def training(self, freeze_depth: int, *, stored: bool = False) -> int:
        """Of one image in one training step: a forward of what is frozen, and three of what is trained.

        Args:
            stored: the boundary at the freeze depth is read from the store, so that what is frozen costs nothing.
        """
        frozen = sum(self.stages[:freeze_depth])
        return (0 if stored else frozen) + (1 + BACKWARD) * (self.forward - frozen)


@cache
def flops(model: str, scale: str, variant: str, classes: int, preprocessing: Preprocessing | None = None) -> Flops:
    """Of a variant, for images of its own size or that of `preprocessing`: without allocating or computing anything.

    On the meta device, where attention is one operation that the counter knows; on a CPU it misses it. So it does of a
    model of timm that looks at its own numbers, which can be built on a CPU alone.
    """
    described = architecture.get(model).variant(scale, name=variant).with_preprocessing(preprocessing)
    try:
        return counted(architecture.get(model), described, classes, "meta")
    except (NotImplementedError, RuntimeError):
        return counted(architecture.get(model), described, classes, "cpu")


def counted(family: Architecture, described: Variant, classes: int, device: str) -> Flops:
    counts = []
    with torch.device(device), torch.no_grad():
        built = building.assemble(family, described, classes).eval().requires_grad_(False)  # the counter looks for them
        x = torch.empty((1, 3, described.preprocessing.size, described.preprocessing.size), dtype=torch.uint8)
        for stage in range(len(built.stages)):
            with FlopCounterMode(display=False) as counter:
                x = built.between(stage, stage + 1, x)
            counts.append(counter.get_total_flops())
    return Flops(tuple(counts))


# Measured


def measure_inference(
    model: StagedModel, precision: Precision, device: torch.device, size: int, *, seconds: float = 1.5
) -> Inference:
    """Times whole forward passes for about `seconds`, or for as long as a few passes take. Restores the model's state.

    Args:
        model: on `device`.
        size: of its square images, in pixels.
    """
    depth, mode = model.freeze_depth, model.training
    model.freeze(0).eval()  # frozen stages would compute a whole batch for one image
    speeds: dict[int, float] = {}
    try:
        single = passes(model, precision, device, size, batch=1, seconds=seconds / 3, least=REPEATS)
        with suppress(torch.OutOfMemoryError):
            for batch in BATCHES:
                took = passes(model, precision, device, size, batch=batch, seconds=seconds / 10, least=2)
                speeds[batch] = batch / median(took)
                if min(took) > seconds / 4:
                    break  # the next batch would take longer than everything so far
    finally:
        model.freeze(depth).train(mode)
    best = max(speeds, key=lambda batch: speeds[batch])
    return Inference(
        images_per_second=speeds[best],
        batch=best,
        latency_ms=1000 * median(single),
        latency_p95_ms=1000 * float(np.percentile(single, 95)),
        repeats=len(single),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision=precision.name,
        threads=torch.get_num_threads(),
    )


@torch.inference_mode()
def passes(
    model: StagedModel, precision: Precision, device: torch.device, size: int, *, batch: int, seconds: float, least: int
) -> list[float]:
    """Times forward passes, after one that is not counted: it allocates and chooses kernels.

    Args:
        model: on `device`, in eval mode.
        precision: of the pass.
        device: where the images are made and the clock waits.
        size: of the square images, in pixels.
        batch: images in a pass.
        seconds: how long to go on for.
        least: so many passes at least, however long they take.

    Returns:
        Seconds of each pass.
    """
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device=device)
    took: list[float] = []
    with precision.autocast():
        model(images)
        while len(took) < least or sum(took) < seconds:
            synchronize(device)
            start = perf_counter()
            model(images)
            synchronize(device)
            took.append(perf_counter() - start)
    return took


def of_a_study(run: Run, threads: int) -> MeasuredCost:
    """The entry `cost` of a study: FLOPs of its model, and how fast it answers in this process, as a run trains there.

    The model is the winner's but for its weights, which change no time.
    """
    torch.set_num_threads(threads)
    device = process.device()
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    choice.apply()
    model = prepared_model(run.model, run.seed, process.current()).to(device)
    inference = measure_inference(model, choice, device, run.model.described.preprocessing.size)
    return MeasuredCost(stage_flops=flops_of(run.model).stages, inference=inference)


def flops_of(model: Model) -> Flops:
    return flops(model.architecture, model.scale, model.variant, model.classes, model.preprocessing)


# Read in a record


def training_images_per_second(record: "Record") -> float | None:
    """Of the winner's test runs, over all their epochs, validation and start-up left out; None before there are any."""
    names = {row["run_id"] for row in test_runs(record)}
    epochs = [row["train_seconds"] for row in record.curves if row["run_id"] in names]
    return len(epochs) * images_of_an_epoch(record) / sum(epochs) if epochs else None


def images_of_an_epoch(record: "Record") -> int:
    """Of a test run, which trains on train + validation, or on the part of train that a study is about."""
    sizes = record.data.sizes
    return sizes["train"] + (0 if record.configuration.part_of_train else sizes["val"])


def costs(record: "Record") -> dict[str, float]:
    """Every cost of a finished study by its name in `COSTS`; those that its record does not tell are left out."""
    tests, winner, measured = test_runs(record), record.study.winner, record.study.cost
    values: dict[str, float | None] = {"parameters": record.model.parameters}
    if tests and winner:
        values["trained_parameters"] = tests[0]["trained_parameters"]
        values["peak_memory_bytes"] = max(row["peak_memory_bytes"] for row in tests)
        values["bytes_read"] = max(row.get("bytes_read") or 0 for row in tests) or None
        values["training_images_per_second"] = training_images_per_second(record)
    if measured and measured.stage_flops:
        by_stage = Flops(measured.stage_flops)
        values["flops"] = by_stage.forward
        if winner:
            images = images_of_an_epoch(record) * winner["last_epoch"]
            values["training_flops"] = by_stage.training(winner["freeze_depth"]) * images
    if measured and (speed := measured.inference):
        values |= {name: getattr(speed, name) for name in ("images_per_second", "latency_ms", "latency_p95_ms")}
    if record.study.resources:
        spent = device_seconds(record)
        values |= {"winner_device_seconds": spent.get("winner"), "study_device_seconds": spent["all"]}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Cost:
    """How a cost is written, and which way is better."""

    title: str
    unit: str = ""
    higher_is_better: bool = False


COSTS = {
    "parameters": Cost("parameters"),
    "trained_parameters": Cost("parameters that the winner trains"),
    "flops": Cost("forward pass of an image", "FLOP"),
    "training_flops": Cost("one training of the winner, nothing stored", "FLOP"),
    "training_images_per_second": Cost("training, the winner", "images/s", higher_is_better=True),
    "images_per_second": Cost("inference at the best batch", "images/s", higher_is_better=True),
    "latency_ms": Cost("inference of one image, median", "ms"),
    "latency_p95_ms": Cost("inference of one image, 95th percentile", "ms"),
    "peak_memory_bytes": Cost("peak memory of a test run", "bytes"),
    "bytes_read": Cost("data that a test run goes over, stored as it reads it", "bytes"),
    "winner_device_seconds": Cost("one training of the winner", "device-seconds"),
    "study_device_seconds": Cost("search, replicates and tests", "device-seconds"),
}


def pareto_front(
    accuracy: Sequence[float], cost: Sequence[float | None], *, higher_is_better: bool = False
) -> list[int]:
    """Indices, in order, of the rows that no other beats: none is at least as good in both and better in one.

    Rows that are equal in both stand or fall together. A row whose cost is not known (None, NaN) is on no front and
    beats nobody.

    Args:
        higher_is_better: of the cost, as for images a second.
    """
    sign = -1 if higher_is_better else 1
    known = [(i, a, sign * c) for i, (a, c) in enumerate(zip(accuracy, cost, strict=True)) if c is not None and c == c]
    return [i for i, a, c in known if not any(b >= a and d <= c and (b > a or d < c) for _, b, d in known)]
