"""A GPU under our loop beside a bare PyTorch loop, with and without what saves it work. On a CPU: the mini models.

    python -m benchmarks.gpu                    # on a GPU the paper's models at 224 px in bf16, two minutes
    python -m benchmarks.gpu --out gpu.jsonl --seconds 120 --models vit resnet

Every figure is a ratio of two rates that were measured in turns in this process on this device, each the best epoch of
those that are not a run's first. What is compared with is what one would write by hand: images, labels and order on the
device, nothing that waits, frozen stages without a graph and in eval mode. With `--out` each line is JSON too.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables import architecture, building, graphs, planner, process, stages
from trainables.architecture import Preprocessing
from trainables.batches import CachedSplit
from trainables.boundaries import Chunk, Store
from trainables.device_augmentation import ChangedOnDevice, seconds_on_a_cpu
from trainables.graphs import GraphedSteps
from trainables.hyperparameters import Hyperparameters
from trainables.loop import fit
from trainables.memory import Memory, PeakMemory, release
from trainables.optimisation import schedule
from trainables.planner import synchronize
from trainables.precision import Precision, precision
from trainables.recipe import Recipe
from trainables.resizing import agrees
from trainables.stages import StagedModel
from trainables.step import Step
from trainables.world import World

GOAL = "at least 0.95 of a bare loop, 0.9 where images do not stay on the device; 50 x by stored features"

CLASSES, EPOCHS, BATCH = 257, 3, 64
TURNS = 2
TRIALS, HEAD_EPOCHS = 32, 10  # of a study of heads
AT_ONCE = 4  # processes on one device


class Bench:
    """Measures on one device within a time, says each result, and leaves out what there is no time for."""

    def __init__(self, scale: str, device: torch.device, number: Precision, seconds: float, out: Path | None) -> None:
        self.scale, self.device, self.precision, self.out = scale, device, number, out
        self.side, self.images = (224, 1024) if scale == "paper" else (32, 64)
        self.ends = perf_counter() + seconds
        number.apply()
        folder = tempfile.mkdtemp(prefix="bench-gpu-")
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (self.images, self.side, self.side, 3), dtype=np.uint8)
        np.save(Path(folder) / "boundary.npy", pixels)  # as the store has it: mapped, channels last
        stored = torch.from_numpy(np.load(Path(folder) / "boundary.npy", mmap_mode="c")).permute(0, 3, 1, 2)
        labels = torch.from_numpy(rng.integers(0, CLASSES, self.images))
        self.mapped = CachedSplit(stored, labels, np.arange(self.images)).with_batches_on(device)
        self.resident = self.mapped.to(device)

    def measure(self, what: str, model: str, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Says what `run` found; nothing where time is up or it failed."""
        common = {"what": what, "model": model, "precision": self.precision.name}
        if perf_counter() > self.ends:
            self.say({**common, "left out": "no time"})
            return {}
        start = perf_counter()
        try:
            found = run()
        except Exception as error:  # the next may do
            self.say({**common, "failed": f"{type(error).__name__}: {error}"[:400]})
            return {}
        finally:
            release()
        self.say({**common, **found, "seconds": round(perf_counter() - start, 1)})
        return found

    def say(self, line: dict[str, Any]) -> None:
        print(
            "  ".join(f"{name} {value}" if name != "what" else str(value) for name, value in line.items()), flush=True
        )
        if self.out:
            with self.out.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def built(self, name: str) -> StagedModel:
        family = architecture.get(name)
        torch.manual_seed(0)
        model = building.assemble(family, family.variant(self.scale, "none"), CLASSES)
        return model.to(memory_format=torch.channels_last).to(self.device)

    def ours(
        self, name: str, depth: int, split: CachedSplit | ChangedOnDevice, epochs: int = EPOCHS, **set_on: Any
    ) -> tuple[float, int]:
        """Images a second, and the peak of the run's own memory; `set_on` are attributes of the model."""
        model, seconds = self.built(name), []
        vars(model).update(set_on)
        peak = PeakMemory(self.device)
        if self.device.type == "cuda":
            arrays = [one for one in (self.resident, split) if isinstance(one, CachedSplit)]
            there = {id(one): one.nbytes for one in arrays if one.images.device == self.device}
            peak.hold(sum(there.values()))
        fit(
            model,
            split,
            None,
            hyperparameters=Hyperparameters(lr=1e-4, weight_decay=1e-2, freeze_depth=depth, batch_size=BATCH),
            recipe=Recipe("bench", epochs=epochs),
            precision=self.precision,
            seed=0,
            report=lambda epoch: seconds.append(epoch.train_seconds),
        )
        return len(split) / min(seconds[1:]), peak.own

    def bare(self, name: str, depth: int) -> float:
        """Images a second of what a practitioner writes."""
        model = self.built(name).freeze(depth).train()
        images = self.resident.images if self.device.type == "cuda" else self.resident.images.clone()
        images, labels, stages = images.permute(0, 2, 3, 1), self.resident.labels, len(model.stages)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=1e-2, fused=True)
        steps = EPOCHS * -(-self.images // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        scaler, seconds = self.precision.scaler(), []
        for _ in range(EPOCHS):
            synchronize(self.device)
            start = perf_counter()
            total = torch.zeros((), device=self.device)
            for rows in torch.randperm(self.images).to(self.device).split(BATCH):
                batch = images.index_select(0, rows).permute(0, 3, 1, 2)
                with self.precision.autocast():
                    with torch.no_grad():
                        frozen = model.between(0, depth, batch)
                    loss = cross_entropy(model.between(depth, stages, frozen), labels[rows])
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                total += loss.detach()
            float(total)
            seconds.append(perf_counter() - start)
        return self.images / min(seconds[1:])

    def against_bare(self, name: str, depth: int) -> dict[str, Any]:
        """In turns, the best of each: a step that waits for launches takes now and then a tenth longer."""
        hand = loop = 0.0
        for _ in range(TURNS):
            hand = max(hand, self.bare(name, depth))
            release()
            speed, peak = self.ours(name, depth, self.resident)
            loop = max(loop, speed)
            release()
        return {
            "depth": depth,
            "ratio": round(loop / hand, 3),
            "ours": round(loop, 1),
            "bare": round(hand, 1),
            "peak_mib": peak >> 20,
        }

    def augmented(self, name: str, resident: float) -> dict[str, Any]:
        """Crops and flips on the device beside images that nothing changes, and what all cores would bring of them."""
        given = self.preprocessing(name)
        changed, _ = self.ours(name, 0, ChangedOnDevice(self.resident, "crop_flip", 0, given))
        cores = os.cpu_count() or 1
        return {
            "ratio": round(changed / resident, 3),
            "on_device": round(changed, 1),
            "unchanged": round(resident, 1),
            "cpus_at_most": round(cores / seconds_on_a_cpu("crop_flip", self.mapped.images), 1),
        }

    def small(self, name: str, resident: float) -> dict[str, Any]:
        """Images of 32 px (16 px for a mini model) that the device makes larger, beside images that are large."""
        given, side = self.preprocessing(name), 32 if self.scale == "paper" else 16
        images = self.mapped.images[:, :, :side, :side]
        small = CachedSplit(images, self.resident.labels, self.resident.index).to(self.device)
        kept, _ = self.ours(name, 0, small, enlarges_to=given)
        return {
            "ratio": round(kept / resident, 3),
            "small": round(kept, 1),
            "large": round(resident, 1),
            "as_a_cpu_to_the_bit": agrees(images[:16], given, self.device),
        }

    def compiled(self, name: str, resident: float) -> dict[str, Any]:
        """Steps of compiled stages beside those that are not, and what the first epoch takes longer."""
        start = perf_counter()
        speed, peak = self.ours(name, 0, self.resident, compiles=True)
        seconds = perf_counter() - start - EPOCHS * self.images / speed
        return {
            "ratio": round(speed / resident, 3),
            "compiled": round(speed, 1),
            "compiling_s": round(seconds, 1),
            "peak_mib": peak >> 20,
        }

    def preprocessing(self, name: str) -> Preprocessing:
        """Of images of this side, made larger as by most checkpoints."""
        variant = architecture.get(name).variant(self.scale, "none")
        return replace(variant.preprocessing, size=self.side, crop=1.0, interpolation="bicubic")

    def not_resident(self, name: str, resident: float) -> dict[str, Any]:
        mapped, _ = self.ours(name, 0, self.mapped)
        return {"ratio": round(mapped / resident, 3), "mapped": round(mapped, 1), "resident": round(resident, 1)}

    def heads(self, name: str) -> dict[str, Any]:
        """A study of heads: every trial through the frozen stages, or from features that were computed once."""
        model = self.built(name)
        depth = model.backbone_stages
        model.freeze(depth).eval()
        rows, stored = model.rows_at_once(self.device), []
        with torch.inference_mode(), self.precision.autocast():
            model.frozen(0, depth, self.resident.batch(torch.arange(rows) % self.images)[0])
            synchronize(self.device)
            start = perf_counter()
            for images, _ in self.resident.in_order(rows):
                stored.append(model.frozen(0, depth, images))
            synchronize(self.device)
        one_pass = perf_counter() - start
        features = CachedSplit(torch.cat(stored).clone(), self.resident.labels, self.resident.index, boundary=depth)
        computed, _ = self.ours(name, depth, self.resident)
        read, _ = self.ours(name, depth, features, HEAD_EPOCHS)
        with replaced(graphs, "recorder_of", lambda device: None):
            launched, _ = self.ours(name, depth, features, HEAD_EPOCHS)
        epoch = self.images / read
        without, with_store = TRIALS * HEAD_EPOCHS * self.images / computed, one_pass + TRIALS * HEAD_EPOCHS * epoch
        return {
            "faster_by": round(without / with_store, 1),
            "of_one_pass": round(with_store / one_pass, 2),
            "pass_ms": round(1e3 * one_pass, 1),
            "epoch_of_heads_ms": round(1e3 * epoch, 2),
            "without_graphs_ms": round(1e3 * self.images / launched, 2),
            "note": f"{TRIALS} trials of {HEAD_EPOCHS} epochs, from the seconds of an epoch of each",
        }

    def whole_step(self, name: str) -> dict[str, Any]:
        """A step of a whole model as a graph, which no run makes of it yet, beside the same step launched."""
        model = self.built(name).freeze(0).train()
        point = Hyperparameters(lr=1e-4, weight_decay=1e-2, freeze_depth=0, batch_size=BATCH)
        step = Step(model, point, self.precision, World(), Memory(), labels=self.resident.labels)
        step.schedule = schedule(step.optimizer, point, milestones=(), steps=100)
        recorder = graphs.recorder_of(self.device)
        assert recorder, "a CPU records nothing"
        steps = GraphedSteps(step, self.resident, recorder, self.device)
        rows = torch.arange(BATCH, device=self.device) % self.images
        launched = best_of(lambda: step(*self.resident.batch(rows)), self.device, repeats=10)
        for _ in range(graphs.REHEARSALS):
            steps(rows)
        assert steps.recordings, step.memory.notes
        replayed = best_of(lambda: steps(rows), self.device, repeats=10)
        return {
            "ratio": round(launched / replayed, 3),
            "launched_ms": round(1e3 * launched, 2),
            "graph_ms": round(1e3 * replayed, 2),
        }

    def tuned(self, name: str, speed: float) -> dict[str, Any]:
        """Where cuDNN tries its algorithms, and takes the fastest: it may be another in the next process."""
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            tried, peak = self.ours(name, 0, self.resident)
        return {"ratio": round(tried / speed, 3), "tuned": round(tried, 1), "peak_mib": peak >> 20}

    def cast_once(self, name: str) -> dict[str, Any]:
        """Frozen stages whose weights are in half precision already, beside those that autocast casts every time."""
        model = self.built(name).eval()
        depth = model.backbone_stages
        model.freeze(depth)
        images = self.resident.batch(torch.arange(model.rows_at_once(self.device)) % self.images)[0]

        def seconds() -> float:
            with torch.inference_mode(), self.precision.autocast():
                return best_of(lambda: model.frozen(0, depth, images), self.device)

        once = seconds()
        with replaced(stages, "casts_weights", lambda device: False):
            every_time = seconds()
        return {"ratio": round(every_time / once, 3), "once_ms": round(1e3 * once, 2)}

    def filled(self, name: str) -> dict[str, Any]:
        """A boundary in the middle that is computed into the store, beside computing it alone."""
        model = self.built(name).eval()
        depth = max(1, model.backbone_stages // 2)
        model.freeze(depth)
        rows = model.rows_at_once(self.device)
        order = np.arange(self.images)

        def computed() -> Iterator[Chunk]:
            for at, (images, _) in enumerate(self.mapped.in_order(rows)):
                some = order[at * rows : (at + 1) * rows]
                with torch.inference_mode(), self.precision.autocast():
                    out = model.frozen(0, depth, images)
                yield some, some, some, out

        for *_, out in computed():  # the first pass chooses kernels
            row = out[0].numel() * out.element_size()
        synchronize(self.device)
        start = perf_counter()
        for _ in computed():
            pass
        synchronize(self.device)
        alone = perf_counter() - start
        with tempfile.TemporaryDirectory(prefix="bench-gpu-store-") as folder:
            store = Store(Path(folder), 1 << 40)
            start = perf_counter()
            entry = store.open_or_fill({"boundary": depth, "stage": "half"}, self.images, row, computed())
            taken = perf_counter() - start
            assert entry, store.notes
            entry.close()
        return {
            "ratio": round(alone / taken, 3),
            "fill_ms": round(1e3 * taken, 1),
            "gb_s": round(self.images * row / taken / 1e9, 2),
        }

    def planned(self, name: str) -> dict[str, Any]:
        """What the planner measures, beside the same stages as training runs them."""
        model = self.built(name).eval()
        costs = planner.measure(model, self.mapped.images, self.precision, self.device)
        rows = model.rows_at_once(self.device)
        images = self.resident.batch(torch.arange(rows) % self.images)[0]
        with torch.inference_mode(), self.precision.autocast():
            seconds = best_of(lambda: model.frozen(0, model.backbone_stages, images), self.device) / rows
        stages = sum(costs.stage_seconds)
        return {
            "ratio": round(stages / seconds, 2),
            "planner_us": round(1e6 * stages, 1),
            "frozen_us": round(1e6 * seconds, 1),
            "rows": rows,
            "reads_gb_s": round(costs.bytes_per_second / 1e9, 2),
            "copies_gb_s": round(costs.copy_bytes_per_second / 1e9, 2),
            "stores_gb_s": round(costs.store_bytes_per_second / 1e9, 2),
        }


@contextmanager
def replaced(module: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Inside, a part of the package is another."""
    own = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, own)


def best_of(run: Callable[[], Tensor], device: torch.device, repeats: int = 5) -> float:
    """Seconds, after one pass that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        synchronize(device)
        start = perf_counter()
        run()
        synchronize(device)
        seconds.append(perf_counter() - start)
    return min(seconds[1:])


def together(number: Precision, most: float, depth: int) -> dict[str, Any]:
    """Several mini trials of one freeze depth at once, each in a process with its share of the memory; and in turn."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(AT_ONCE), context.Queue()
    workers = [
        context.Process(target=one_of_several, args=(rank, barrier, results, number.name, depth))
        for rank in range(AT_ONCE)
    ]
    for worker in workers:
        worker.start()
    try:
        told = [results.get(timeout=most) for _ in workers]
    finally:
        for worker in workers:
            worker.join(timeout=10)
            if worker.is_alive():
                worker.kill()
    in_turn = max(seconds for rank, seconds, _ in told if rank == 0)
    at_once = max(seconds for _, _, seconds in told)
    return {
        "ratio": round(in_turn / at_once, 2),
        "in_turn_s": round(in_turn, 2),
        "at_once_s": round(at_once, 2),
        "trials": AT_ONCE,
    }


def one_of_several(rank: int, barrier: Any, results: Any, name: str, depth: int) -> None:
    """The first process trains as many trials in turn as there are processes; then each of them trains one."""
    device = process.device()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // AT_ONCE))
    bench = Bench("mini", device, precision(name, device, tiny=True), 1e9, None)

    def trial() -> float:
        start = perf_counter()
        bench.ours("coatnet", depth, bench.resident, epochs=6)
        synchronize(device)
        return perf_counter() - start

    trial()
    barrier.wait(120)
    in_turn = sum(trial() for _ in range(AT_ONCE)) if rank == 0 else 0.0
    barrier.wait(120)
    results.put((rank, in_turn, trial()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vit", "resnet", "coatnet", "alexnet"])
    parser.add_argument("--seconds", type=float, default=150, help="begin nothing after so many")
    parser.add_argument("--compile", action="store_true", help="torch.compile of the first model, too: half a minute")
    parser.add_argument("--out", type=Path, help="a file for the results, a JSON object a line")
    options = parser.parse_args()
    device = process.device()
    scale = "paper" if device.type == "cuda" else "mini"
    number = precision("auto", device, tiny=scale == "mini")
    if device.type == "cpu":
        torch.set_num_threads(1)
    bench = Bench(scale, device, number, options.seconds, options.out)
    # what no GPU has shown yet comes first: a machine is rare, and time may be up
    resident: dict[str, float] = {}
    for name in options.models:
        found = bench.measure("ours / bare loop", name, partial(bench.against_bare, name, 0))
        if speed := found.get("ours"):
            resident[name] = speed
            bench.measure("changed on the device / unchanged", name, partial(bench.augmented, name, speed))
            bench.measure("small images / large ones", name, partial(bench.small, name, speed))
    for name in options.models:
        bench.measure("head-only study, features stored", name, partial(bench.heads, name))
        if speed := resident.get(name):
            bench.measure("not resident / resident", name, partial(bench.not_resident, name, speed))
        bench.measure("computing / computing into the store", name, partial(bench.filled, name))
    if device.type == "cuda":
        half = Bench(scale, device, Precision("fp16", device), bench.ends - perf_counter(), options.out)
        for name in options.models[:2]:
            half.measure("ours / bare loop", name, partial(half.against_bare, name, 0))
        number.apply()
        for name in options.models:
            bench.measure("weights cast every time / once", name, partial(bench.cast_once, name))
            bench.measure("whole step, launched / graph", name, partial(bench.whole_step, name))
            if speed := resident.get(name):
                bench.measure("cuDNN that tries / as it is", name, partial(bench.tuned, name, speed))
        if options.compile:
            for name in options.models[:1]:
                bench.measure("compiled / not", name, partial(bench.compiled, name, resident.get(name, 1.0)))
    for what, depth in (("trials", 0), ("heads", architecture.get("coatnet").variant("mini", "none").backbone_stages)):
        left = bench.ends - perf_counter()
        title = f"mini {what}, in turn / at once"
        bench.measure(title, "coatnet mini", partial(together, number, max(left, 60), depth))
    for name in options.models:
        last = bench.built(name).backbone_stages
        for depth in (last // 2, last):
            bench.measure("ours / bare loop", name, partial(bench.against_bare, name, depth))
        bench.measure("planner / frozen stages", name, partial(bench.planned, name))


if __name__ == "__main__":
    main()
