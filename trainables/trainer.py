"""Ray Train around the loop: local mode in a warm process when a run has one worker, a DDP worker group when more.

A process keeps what runs share: pretrained weights, and the pretrained model. What they read is in the store of
boundaries. So the second run in a process starts with its first step.
"""

import gc
import os
import resource
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import ray
import torch
from ray.data import Dataset
from ray.train import DataConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from torch import Tensor

from trainables import architecture, world
from trainables.architecture import Preprocessing, Variant
from trainables.augmentation import NONE
from trainables.boundaries import Store
from trainables.loop import Epoch, NotFinite, Predictions, fit, predict
from trainables.memory import DoesNotFit, Memory
from trainables.precision import Precision, precision
from trainables.reader import Reader, SplitDigest, iter_image_batches, open_or_cache, wide
from trainables.recipe import Hyperparameters, Recipe
from trainables.stages import StagedModel

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Model:
    """Which model: a variant of an architecture, for a number of classes, from weights in Ray's object store.

    `preprocessing` takes the place of the variant's own.
    """

    architecture: str
    scale: str
    variant: str
    classes: int
    weights: ray.ObjectRef | None = None
    preprocessing: Preprocessing | None = None

    @property
    def described(self) -> Variant:
        variant = architecture.get(self.architecture).variant(self.scale, name=self.variant)
        return replace(variant, preprocessing=self.preprocessing or variant.preprocessing)

    def build(self) -> StagedModel:
        return architecture.get(self.architecture).assemble(self.described, self.classes)


@dataclass(frozen=True)
class Run:
    """One training run: fit on some splits, validate on another at every epoch or the last, predict one at the end.

    `parts` says what is in each split; `boundaries` is a mode of the planner; `readers` is how many runs are likely
    to read the boundaries that this one does; `grad_accum` is into how many parts a batch is divided, None for as few
    as fit in memory.
    """

    run_id: str
    model: Model
    hyperparameters: Hyperparameters
    recipe: Recipe
    seed: int
    split_digests: Mapping[str, SplitDigest]
    precision: str = "auto"
    boundaries: str = "on"
    readers: float = 1
    grad_accum_steps: int | None = None
    fit_on: tuple[str, ...] = ("train",)
    validate_on: str | None = "val"
    predict_on: str | None = None
    last_epoch: int | None = None
    validate_every_epoch: bool = True
    keep_state: bool = False

    @property
    def evaluated(self) -> set[str]:
        """The splits that it validates on or predicts."""
        return {name for name in (self.validate_on, self.predict_on) if name}

    @property
    def images(self) -> dict[str, tuple[SplitDigest, Preprocessing]]:
        """What it may read, by the names of the Ray Datasets that bring it."""
        own = self.model.described.preprocessing
        train = {(wide(name) if self.recipe.needs_margin else name): name for name in self.fit_on}
        given = {
            dataset: (self.split_digests[name], own.with_margin if self.recipe.needs_margin else own)
            for dataset, name in train.items()
        }
        return given | {name: (self.split_digests[name], own) for name in self.evaluated}


@dataclass(frozen=True)
class Resources:
    """What one run may use: its workers, and for each of them logical CPUs, threads and GPUs (fractions share one).

    As for Ray Train, no workers means local mode: the run is trained in the process that asks for it.
    """

    workers: int = 0
    cpus: float = 1
    threads: int = 1
    gpus: float = 0


@dataclass
class Outcome:
    """What became of a run. `failure` is the reason why it gave no result, None if it did."""

    run_id: str
    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    failure: str | None = None
    parameters: int = 0
    trained_parameters: int = 0
    peak_memory_bytes: int = 0
    bytes_read: int = 0
    precision: str = ""
    plan: str = ""
    micro_batch_size: int = 0
    notes: tuple[str, ...] = ()
    total_seconds: float = 0.0
    predictions: Predictions | None = None
    state: dict[str, Tensor] | None = None

    @property
    def train_seconds(self) -> float:
        return sum(epoch.train_seconds for epoch in self.epochs)

    def summary(self) -> dict[str, Any]:
        """The outcome so far as one flat row of numbers, as every epoch reports it."""
        best = self.best
        return {
            "val_accuracy": best.val_accuracy if best else None,
            "best_epoch": best.epoch if best else None,
            "epochs": len(self.epochs),
            "train_seconds": self.train_seconds,
            "total_seconds": self.total_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "bytes_read": self.bytes_read,
            "parameters": self.parameters,
            "trained_parameters": self.trained_parameters,
            "trained_share": self.trained_parameters / max(self.parameters, 1),
            "precision": self.precision,
            "boundary": self.plan,
            "micro_batch_size": self.micro_batch_size,
            "notes": self.notes,
        }


def train(
    run: Run, datasets: Mapping[str, Dataset], resources: Resources, report: Report, callbacks: list[Any] | None = None
) -> Outcome:
    """Trains one run through Ray Train and returns what became of it.

    Args:
        datasets: Ray Datasets of `position, index, image (H, W, 3) uint8, label`, one for each of the run's `images`.
        report: called after every epoch in local mode; a worker group reports to Ray Train instead, where
            `callbacks` may pick it up.
    """
    local = resources.workers == 0
    worker = {"CPU": resources.cpus} | ({"GPU": resources.gpus} if resources.gpus else {})
    threads = resources.threads
    loop: Any = lambda: work(run, threads, report if local else ray.train.report)  # noqa: E731 -- Ray types it as -> None
    trainer = TorchTrainer(
        loop,
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus > 0,
            resources_per_worker=None if local else worker,
        ),
        torch_config=TorchConfig(backend="nccl" if resources.gpus >= 1 else "gloo"),
        datasets={name: datasets[name] for name in sorted(run.images)},
        dataset_config=DataConfig(datasets_to_split=[]),
        run_config=RunConfig(name=run.run_id, storage_path=scratch(), callbacks=callbacks or []),
    )
    result: Any = trainer.fit()
    return result.return_value


def work(run: Run, threads: int, report: Report) -> Outcome:
    """The run itself, in every worker."""
    start = perf_counter()
    collect_garbage()
    reset_peak_memory()
    torch.set_num_threads(threads)
    workers = world.current_world()
    device = world.device() if workers.size == 1 else ray.train.torch.get_device()
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    model = prepared_model(run.model, run.seed).to(device)
    model.freeze(run.hyperparameters.freeze_depth)
    everything, trained = model.parameter_counts()
    outcome = Outcome(run.run_id, parameters=everything, trained_parameters=trained, precision=choice.name)

    memory = Memory(run.grad_accum_steps)
    reader = reader_of(run, model, choice, device, ray.train.get_dataset_shard)

    def on_epoch(epoch: Epoch) -> None:
        reader.check()
        outcome.plan, outcome.notes = reader.line, (*reader.notes, *memory.notes)
        outcome.bytes_read, outcome.micro_batch_size = reader.bytes_read, memory.micro_batch_size
        outcome.epochs.append(epoch)
        if epoch.beats(outcome.best):
            outcome.best = epoch
        outcome.peak_memory_bytes = peak_memory()
        outcome.total_seconds = perf_counter() - start
        report({**outcome.summary(), "curve": asdict(epoch)})

    try:
        fit(
            model,
            reader.source(*run.fit_on, augmentation=run.recipe.augmentation, seed=run.seed),
            reader.source(run.validate_on) if run.validate_on else None,
            hyperparameters=run.hyperparameters,
            recipe=run.recipe,
            precision=choice,
            seed=run.seed,
            report=on_epoch,
            world=workers,
            memory=memory,
            last_epoch=run.last_epoch,
            validate_every_epoch=run.validate_every_epoch,
        )
        if run.predict_on:
            outcome.predictions = predict(model, reader.source(run.predict_on, epochs=1), choice, memory)
            reader.check()
            outcome.bytes_read = reader.bytes_read
        if run.keep_state and workers.rank == 0:
            outcome.state = {name: t.cpu().clone() for name, t in model.library_state_dict().items()}
    except (NotFinite, DoesNotFit) as reason:
        outcome.failure = str(reason)
    finally:
        reader.close()
    outcome.notes, outcome.micro_batch_size = (*reader.notes, *memory.notes), memory.micro_batch_size
    outcome.total_seconds = perf_counter() - start
    return outcome


def reader_of(
    run: Run, model: StagedModel, choice: Precision, device: torch.device, shard: Callable[[str], Dataset]
) -> Reader:
    return Reader(
        split_digests=dict(run.split_digests),
        shard=shard,
        model=model,
        model_key=(run.model, None if run.model.weights else run.seed),
        variant=run.model.variant,
        preprocessing=run.model.described.preprocessing,
        precision=choice,
        device=device,
        store=None if run.boundaries == "off" else Store.here(),
        mode=run.boundaries,
        epochs=run.last_epoch or run.recipe.epochs,
        readers=run.readers,
    )


def cache_images(run: Run, datasets: Mapping[str, Dataset]) -> None:
    """Has the store hold the images of a run on this node."""
    store = Store.here()
    for name, (part, preprocessing) in sorted(run.images.items()):
        images = open_or_cache(store, part, preprocessing, iter_image_batches(datasets[name]))
        if images:
            images.close()


def fill_boundaries(run: Run, datasets: Mapping[str, Dataset], threads: int) -> None:
    """Has the store hold what the run will read, on this node's CPU; the run itself would wait for it or do it."""
    torch.set_num_threads(threads)
    cpu = torch.device("cpu")
    model = prepared_model(run.model, run.seed)
    choice = precision(run.precision, cpu, tiny=run.model.scale == "mini")
    reader = reader_of(run, model.freeze(run.hyperparameters.freeze_depth), choice, cpu, lambda name: datasets[name])
    try:
        augmented = {*run.fit_on} if run.recipe.augmentation != NONE else set()
        for name in sorted({*run.fit_on, *run.evaluated} - augmented):
            reader.source(name).at(run.hyperparameters.freeze_depth)
    finally:
        reader.close()


_models: dict[Model, StagedModel] = {}
_loaded: dict[Model, Hashable] = {}  # what each was loaded with last
_weights: dict[ray.ObjectRef, dict[str, Tensor]] = {}


def prepared_model(model: Model, seed: int) -> StagedModel:
    """The model as every run begins: pretrained backbone and new head, or all new; the seed decides what is new.

    It may be as frozen as the last run left it.
    """
    if model not in _models:
        _models[model] = model.build().to(memory_format=torch.channels_last)
    prepared = _models[model]
    prepared.zero_grad(set_to_none=True)
    pretrained = model.weights is not None
    wanted = None if pretrained else seed
    bring_back = prepared.restore if model in _loaded and _loaded[model] == wanted else prepared.load
    bring_back(weights_of(model) if pretrained else random_weights(model, seed), head=not pretrained)
    _loaded[model] = wanted
    if pretrained:
        torch.manual_seed(seed)
        for layer in prepared.head.modules():
            reset: Any = getattr(layer, "reset_parameters", lambda: None)
            reset()
    return prepared


def weights_of(model: Model) -> dict[str, Tensor]:
    """The pretrained weights, from Ray's object store once a process."""
    assert model.weights is not None
    if model.weights not in _weights:
        _weights[model.weights] = ray.get(model.weights)
    return _weights[model.weights]


@cache
def freeze_what_is_imported() -> None:
    gc.freeze()


@lru_cache(maxsize=1)
def random_weights(model: Model, seed: int) -> dict[str, Tensor]:
    """All of a new model's tensors: drawing them takes longer than copying them."""
    torch.manual_seed(seed)
    return model.build().library_state_dict()


def collect_garbage() -> None:
    """A run that was stopped half way leaves its tensors behind. What every run shares is not looked through again."""
    gc.collect()
    freeze_what_is_imported()


def reset_peak_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_memory() -> int:
    """Bytes: the most that torch held on the GPU, or that this process held in memory, since the reset."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def scratch() -> str:
    """Where Ray Train may keep its state for a run; nothing of ours is written there."""
    import tempfile

    return os.path.join(tempfile.gettempdir(), "study-ray-train")
