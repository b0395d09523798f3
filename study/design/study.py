"""The design of one study: frozen, validated where it is born, and the same on a laptop and a cluster."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

from study.data.source import DatasetRequest
from study.design import space as spaces
from study.design.space import Space
from study.design.start import start
from trainables import architecture
from trainables.architecture import Architecture, Preprocessing, Variant
from trainables.choices import PRECISIONS, choose
from trainables.hyperparameters import (
    DECLARED,
    Hyperparameters,
    Value,
    check_feature,
    from_row,
)
from trainables.metrics import Metric
from trainables.recipe import Recipe

EARLY_STOPPING = ("asha", "none")
MOST = 1_000_000  # trials, seeds and the like
LARGEST_SEED = 2**32 - 1  # NumPy's and scikit-learn's
SEEDS_OF_A_STUDY = (
    1000  # which no study with another seed trains with: of replicates the first half, of tests the other
)
# Raised where the same options come to mean other runs. A record that was begun before goes on by the rules of its own:
# before 2, replicates and tests had the same seeds, which a study with the next seed had in part too; trials that were
# stopped early were no candidates; and the last epoch of the test was the median of the best ones. Before 3, each model
# had a learning rate of its own to start from.
PROTOCOL = 3


@dataclass(frozen=True)
class Study:
    """One row of the comparison: a model and its pretraining on a dataset, and the budget of its search.

    Attributes:
        recipe: how long every trial trains, and the values of what is not searched.
        fixed: hyperparameters that are taken out of the search, each at its value.
        table: what is searched, before `fixed` is taken out; None for the architecture's own table.
        split_seed: of the split into train, validation and test; of train and validation where a test set is given.
        protocol: which rules say what runs there are: see PROTOCOL.
        metric: what decides on validation which epoch, trial and point is best.
        preprocessing: the variant's own unless it is given.
        grad_accum: into how many parts a batch is divided, None for as few as fit in memory.
        compile: the stages that a run trains are compiled, which changes how numbers are rounded.
        sync_batchnorm: BatchNorm sees the whole batch, also where several workers of a trial share it.
        hours: of wall clock for search, replicates and tests together; None for as long as they take.
    """

    model: str
    scale: str
    variant: str
    dataset: str
    name: str
    results: Path
    recipe: Recipe
    trials: int = 32
    seed: int = 0
    split_seed: int = 0
    fixed: Mapping[str, Value] = field(default_factory=dict)
    table: Space | None = None
    metric: Metric = Metric.ACCURACY
    early_stopping: str = "asha"
    top_k: int = 3
    seeds: int = 3
    precision: str = "auto"
    workers_per_trial: int = 1
    train_fraction: float | None = None
    images_per_class: int | None = None
    request: DatasetRequest = field(default_factory=DatasetRequest)
    preprocessing: Preprocessing | None = None
    grad_accum: int | None = None
    sync_batchnorm: bool = False
    compile: bool = False
    hours: float | None = None
    protocol: int = PROTOCOL

    def __post_init__(self) -> None:
        for name in ("trials", "seeds", "top_k", "workers_per_trial"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
            if getattr(self, name) > MOST:
                raise ValueError(f"{name.replace('_', '-')} must be at most {MOST:,}, got {getattr(self, name)}")
        if self.hours is not None and not 0 < self.hours < inf:
            raise ValueError(f"hours must be above 0, got {self.hours:g}")
        if self.train_fraction is not None and self.images_per_class is not None:
            raise ValueError("train-fraction and images-per-class both choose a part of train: give one of them")
        if self.train_fraction is not None and not 0 < self.train_fraction <= 1:
            raise ValueError(f"train-fraction must be above 0 and at most 1, got {self.train_fraction}")
        if self.images_per_class is not None and self.images_per_class < 1:
            raise ValueError(f"images-per-class must be at least 1, got {self.images_per_class}")
        if not 0 <= self.seed <= LARGEST_SEED - self.seeds:
            raise ValueError(f"seed must be 0 to {LARGEST_SEED - self.seeds}, got {self.seed}")
        if not 0 <= self.split_seed <= LARGEST_SEED:
            raise ValueError(f"split-seed must be 0 to {LARGEST_SEED}, got {self.split_seed}")
        if self.protocol > 1 and self.seeds >= SEEDS_OF_A_STUDY // 2:
            raise ValueError(f"seeds must be at most {SEEDS_OF_A_STUDY // 2 - 1}, got {self.seeds}")
        check_name(self.name)
        object.__setattr__(self, "metric", Metric(choose("metric", self.metric, list(Metric))))
        choose("precision", self.precision, ["auto", *PRECISIONS])
        choose("early stopping", self.early_stopping, EARLY_STOPPING)
        self._check_space()
        size = min(int(str(value)) for value in self.possible("batch_size"))
        if self.workers_per_trial > size:
            raise ValueError(f"workers-per-trial must be at most the batch size {size}, got {self.workers_per_trial}")
        if self.sync_batchnorm and self.workers_per_trial == 1:
            raise ValueError("sync-batchnorm is for several workers of a trial: give workers-per-trial above 1 with it")
        if self.grad_accum is not None and not 1 <= self.grad_accum <= size:
            raise ValueError(f"grad-accum must be auto or 1 to the batch size {size}, got {self.grad_accum}")

    def _check_space(self) -> None:
        """What is fixed and searched must be points that the model can train with."""
        self.point({})  # the paper's with what is fixed
        if not self.space and self.trials > 1:
            names = ", ".join(self.fixed)
            raise ValueError(f"nothing is left to search: fix fewer of {names}, or train that point with --trials 1")
        for name, domain in self.space.items():
            for value in domain.ends:
                check_feature(DECLARED[name], value, features=self.pretrained_variant.features, model=self.variant)

    @property
    def folder(self) -> Path:
        return self.results / self.name

    def repeat(self, number: int) -> "Study":
        """A repeat of the whole procedure, with its own search, split, draw and run seeds; repeat 0 is this study."""
        if not number:
            return self
        return replace(
            self,
            name=f"{self.name}-repeat{number + 1}",
            seed=self.seed + number,
            split_seed=self.split_seed + number,
        )

    @property
    def search_seed(self) -> int:
        """That every trial trains with."""
        return self.seed if self.protocol == 1 else self._run_seed(0)

    @property
    def replicate_seeds(self) -> list[int]:
        """None of them is the search's."""
        first = self.seed + 1 if self.protocol == 1 else self._run_seed(1)
        return [first + i for i in range(self.seeds)]

    @property
    def test_seeds(self) -> list[int]:
        """None of them has had a part in choosing the winner."""
        if self.protocol == 1:
            return self.replicate_seeds
        return [self._run_seed(SEEDS_OF_A_STUDY // 2 + 1) + i for i in range(self.seeds)]

    def _run_seed(self, place: int) -> int:
        """Of the seeds that are this study's alone; beyond the largest there is they begin again."""
        return (SEEDS_OF_A_STUDY * self.seed + place) % (LARGEST_SEED + 1 - SEEDS_OF_A_STUDY)

    @cached_property
    def architecture(self) -> Architecture:
        return architecture.get(self.model)

    @cached_property
    def pretrained_variant(self) -> Variant:
        return self.architecture.variant(self.scale, name=self.variant).with_preprocessing(self.preprocessing)

    @property
    def backbone_stages(self) -> int:
        return self.pretrained_variant.backbone_stages

    @cached_property
    def space(self) -> Space:
        """What is searched, in the order of its table."""
        table = spaces.default(self.architecture.table, self.backbone_stages) if self.table is None else self.table
        return {name: domain for name, domain in table.items() if name not in self.fixed}

    @property
    def shown(self) -> tuple[str, ...]:
        """The hyperparameters that a reader is shown: those searched, then those fixed."""
        return (*self.space, *(name for name in self.fixed if name not in self.space))

    @cached_property
    def paper(self) -> Mapping[str, Value]:
        """Trial 0, where a search starts, with what is fixed: the paper's point as far as it gives one."""
        return start(self.architecture, self.recipe, self.backbone_stages, self.fixed, self.protocol)

    @property
    def budget(self) -> int:
        """How many trials the search has: as many as were asked for, or as there are points, each trained once."""
        size = spaces.size(self.space)
        if size is None:
            return self.trials
        return min(self.trials, size if spaces.contains(self.space, self.point({})) else size + 1)

    def point(self, suggested: Mapping[str, Value]) -> Hyperparameters:
        """A point of the search with what is fixed; what is missing is the paper's. Raises ValueError if it is none."""
        point = Hyperparameters(**{**self.paper, **suggested})  # type: ignore[arg-type]
        point.check_model(
            backbone_stages=self.backbone_stages, features=self.pretrained_variant.features, model=self.variant
        )
        return point

    def point_of(self, row: Mapping[str, Any]) -> Hyperparameters:
        """The point of a row of the record, which may be from before some hyperparameters were declared."""
        return from_row(row, self.point({}))

    def possible(self, name: str) -> tuple[Value, ...]:
        """The values that a hyperparameter may take in this study, of a range its ends."""
        return self.space[name].ends if name in self.space else (self.paper[name],)

    def facts(self) -> dict[str, Any]:
        """The configuration as the record holds it."""
        return {
            "name": self.name,
            "model": self.model,
            "scale": self.scale,
            "variant": self.variant,
            "pretraining": self.pretrained_variant.pretraining,
            "dataset": self.dataset,
            "data_options": dict(self.request.settings),
            "duplicates": self.request.duplicates,
            "train_fraction": self.train_fraction,
            "images_per_class": self.images_per_class,
            "trials": self.trials,
            "hours": self.hours,
            "epochs": self.recipe.epochs,
            "seed": self.seed,
            "split_seed": self.split_seed,
            "protocol": self.protocol,
            "seeds": self.seeds,
            "top_k": self.top_k,
            "metric": self.metric.value,
            "early_stopping": self.early_stopping,
            "precision": self.precision,
            "workers_per_trial": self.workers_per_trial,
            "sync_batchnorm": self.sync_batchnorm,
            "compile": self.compile,
            "grad_accum": self.grad_accum or "auto",
            "fixed": dict(self.fixed),
            "recipe": self.recipe.facts(),
            "preprocessing": {
                name: getattr(self.pretrained_variant.preprocessing, name)
                for name in ("size", "mean", "std", "crop", "interpolation")
            },
        }


def check_name(name: str) -> None:
    """Raises ValueError if it cannot name a folder of results."""
    if not re.fullmatch(r"[\w.-]+", name) or set(name) == {"."}:
        raise ValueError(f"name must be letters, digits, '.', '_' or '-', got {name!r}")
    if len(name.encode()) > 200:  # a file system takes 255 bytes, and files that are being written are called longer
        raise ValueError(f"name must be at most 200 bytes long, got {len(name.encode())}: {name[:20]}...")
