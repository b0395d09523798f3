"""One run of the training loop: which model, how it is trained on which splits, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

import ray
from torch import Tensor

from trainables import architecture, building
from trainables.architecture import Preprocessing, Variant
from trainables.augmentation import NONE, needs_margin
from trainables.checkpoint_folder import Checkpoints
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch, Predictions
from trainables.metrics import COLUMNS, Metric
from trainables.process import versions
from trainables.recipe import Recipe
from trainables.splits import ImagesKey, SplitDigest
from trainables.stages import StagedModel


@dataclass(frozen=True)
class Model:
    """Which model: a variant of an architecture, for a number of classes, from weights in Ray's object store.

    Attributes:
        preprocessing: takes the place of the variant's own.
        sync_batchnorm: in a worker group BatchNorm normalises a batch by the statistics of all of it, and not each
            worker's share by its own. GPUs alone can: torch has it for no CPU.
    """

    architecture: str
    scale: str
    variant: str
    classes: int
    weights: ray.ObjectRef | None = None
    preprocessing: Preprocessing | None = None
    sync_batchnorm: bool = False

    @property
    def described(self) -> Variant:
        variant = architecture.get(self.architecture).variant(self.scale, name=self.variant)
        return variant.with_preprocessing(self.preprocessing)

    def build(self) -> StagedModel:
        built = building.assemble(architecture.get(self.architecture), self.described, self.classes)
        return building.with_sync_batchnorm(built) if self.sync_batchnorm else built


@dataclass(frozen=True)
class Run:
    """One training run: fit on some splits, validate on another at every epoch or the last, predict one at the end.

    Attributes:
        hyperparameters: all that decides about it but the recipe's epochs and milestones.
        split_digests: what is in each split.
        boundaries: one of BOUNDARY_MODES.
        readers: how many runs are likely to read the boundaries that this one does.
        grad_accum_steps: into how many parts a batch is divided, None for as few as fit in memory.
        metric: which epoch is its best.
        checkpoints: where it is kept while it trains; None: nowhere.
        compile: whether the stages that it trains are compiled: see `compiling`.
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
    metric: Metric = Metric.ACCURACY
    checkpoints: Checkpoints | None = None
    compile: bool = False

    def digest(self, *, precision: str, device: str, workers: int) -> str:
        """A hash of all that decides what this run comes to, where it is computed like this.

        Args:
            precision: what it computes in.
            device: the type of it, which has random numbers of its own.
            workers: that share each batch.
        """
        model, splits = self.model, sorted({*self.fit_on, *self.evaluated})
        facts = {
            "model": [model.architecture, model.scale, model.variant, model.classes, model.sync_batchnorm],
            "preprocessing": asdict(model.described.preprocessing),
            "weights": self.checkpoints.weights if self.checkpoints else None,
            "hyperparameters": asdict(self.hyperparameters),
            "recipe": self.recipe.facts(),
            "seed": self.seed,
            "splits": {name: self.split_digests[name].facts() for name in splits},
            "fit_on": self.fit_on,
            "validate_on": self.validate_on,
            "predict_on": self.predict_on,
            "last_epoch": self.last_epoch,
            "validate_every_epoch": self.validate_every_epoch,
            "metric": self.metric,
            "grad_accum_steps": self.grad_accum_steps,
            "computed": [precision, device, workers, *(["compiled"] if self.compile else [])],
            "versions": versions(),
        }
        return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def evaluated(self) -> set[str]:
        """The splits that it validates on or predicts."""
        return {name for name in (self.validate_on, self.predict_on) if name}

    @property
    def trains_on_images(self) -> bool:
        """Whether what it trains on is changed at random, and so read as images whatever is frozen."""
        return self.hyperparameters.augmentation != NONE or self.hyperparameters.mixup > 0

    @property
    def images(self) -> dict[ImagesKey, tuple[SplitDigest, Preprocessing]]:
        """What it may read."""
        own = self.model.described.preprocessing
        margin = needs_margin(self.hyperparameters.augmentation)
        keys = [*(ImagesKey(name, margin) for name in self.fit_on), *(ImagesKey(name) for name in self.evaluated)]
        return {key: (self.split_digests[key.split], own.with_margin if key.margin else own) for key in keys}

    @property
    def small_images(self) -> dict[ImagesKey, tuple[SplitDigest, Preprocessing]]:
        """The same, those that are smaller than the model takes them as they are."""
        small, size = {}, self.model.described.preprocessing.size
        for key, (digest, preprocessing) in self.images.items():
            if digest.side is not None and digest.side < size:
                small[ImagesKey(key.split, own=True)] = digest, preprocessing.of_side(digest.side)
            else:
                small[key] = digest, preprocessing
        return small


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        epochs: the curve so far.
        best: of the epochs by the metric, at equal by loss; None where none was validated.
        failure: the reason why it gave no result, None if it did.
        peak_memory_bytes: the most of the device's memory that the run held, without what is resident; where there is
            no GPU, of the process's memory.
        resident_bytes: images and boundaries that lay on the GPU for the whole run.
        bytes_read: of the arrays that batches were taken from, each once.
        plan: which boundary was read, and why.
        micro_batch_size: the most images of a training batch that were computed at once.
        notes: what went wrong and was got over.
        node, device, process: where it ran: the machine's name, its GPU's or else its CPU's, the process's number.
        predictions: on the split that it was to predict.
        state: the model's tensors (CPU) under its library's names, where they were to be kept.
    """

    run_id: str
    metric: Metric = Metric.ACCURACY
    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    failure: str | None = None
    parameters: int = 0
    trained_parameters: int = 0
    peak_memory_bytes: int = 0
    resident_bytes: int = 0
    bytes_read: int = 0
    precision: str = ""
    plan: str = ""
    micro_batch_size: int = 0
    notes: tuple[str, ...] = ()
    node: str = ""
    device: str = ""
    process: int = 0
    total_seconds: float = 0.0
    predictions: Predictions | None = None
    state: dict[str, Tensor] | None = None

    @property
    def train_seconds(self) -> float:
        return sum(epoch.train_seconds for epoch in self.epochs)

    def summary(self) -> dict[str, Any]:
        """The outcome so far as one flat row, as every epoch reports it: `score` is the metric's value at its best."""
        best = self.best
        return {
            **{column: getattr(best, column) if best else None for column in COLUMNS},
            "score": best.score(self.metric) if best else None,
            "best_epoch": best.epoch if best else None,
            "epochs": len(self.epochs),
            "train_seconds": self.train_seconds,
            "total_seconds": self.total_seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "resident_bytes": self.resident_bytes,
            "bytes_read": self.bytes_read,
            "parameters": self.parameters,
            "trained_parameters": self.trained_parameters,
            "trained_share": self.trained_parameters / max(self.parameters, 1),
            "precision": self.precision,
            "boundary": self.plan,
            "micro_batch_size": self.micro_batch_size,
            "notes": self.notes,
            "node": self.node,
            "device": self.device,
            "process": self.process,
        }
