"""The description of a study: frozen, validated where it is born, and the same on a laptop and a cluster."""

import re
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from ray.tune.search.optuna import OptunaSearch

import search_spaces
from study.data.source import DatasetRequest
from trainables import architecture
from trainables.architecture import Architecture, Preprocessing, Variant
from trainables.choices import choose
from trainables.precision import DTYPES
from trainables.recipe import Hyperparameters, Recipe

RECIPES = {
    # the same for every model: what differs between models is what was searched
    "fair": Recipe("fair", epochs=10, batch_size=64, schedule="cosine", warmup=0.1, label_smoothing=0.1, clip_norm=1.0),
}
EARLY_STOPPING = ("asha", "none")


@dataclass(frozen=True)
class Study:
    """One row of the comparison: a model and its pretraining on a dataset, and the budget of its search.

    `preprocessing` is the variant's own unless it is given; `grad_accum` is into how many parts a batch is divided,
    None for as few as fit in memory.
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
    fixed: dict[str, float] = field(default_factory=dict)
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

    def __post_init__(self) -> None:
        for name in ("trials", "seeds", "top_k", "workers_per_trial"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        if self.train_fraction is not None and self.images_per_class is not None:
            raise ValueError("train-fraction and images-per-class both choose a part of train: give one of them")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        check_name(self.name)
        if self.workers_per_trial > self.recipe.batch_size:
            size = self.recipe.batch_size
            raise ValueError(f"workers-per-trial must be at most the batch size {size}, got {self.workers_per_trial}")
        if self.grad_accum is not None and not 1 <= self.grad_accum <= self.recipe.batch_size:
            size = self.recipe.batch_size
            raise ValueError(f"grad-accum must be auto or 1 to the batch size {size}, got {self.grad_accum}")
        choose("precision", self.precision, ["auto", *DTYPES])
        choose("early stopping", self.early_stopping, EARLY_STOPPING)
        self.hyperparameters({})  # the paper's point with what is fixed must be a point
        if not self.space:
            raise ValueError("nothing is left to search: fix fewer of lr, weight_decay, freeze_depth")

    @property
    def folder(self) -> Path:
        return self.results / self.name

    @cached_property
    def architecture(self) -> Architecture:
        return architecture.get(self.model)

    @cached_property
    def pretrained_variant(self) -> Variant:
        variant = self.architecture.variant(self.scale, name=self.variant)
        return replace(variant, preprocessing=self.preprocessing or variant.preprocessing)

    @cached_property
    def backbone_stages(self) -> int:
        return self.architecture.backbone_stages(self.pretrained_variant)

    @cached_property
    def space(self) -> dict[str, FloatDistribution | IntDistribution]:
        """What is searched, as Optuna's distributions."""
        domains = search_spaces.get(self.model, self.backbone_stages)
        return OptunaSearch.convert_search_space({k: v for k, v in domains.items() if k not in self.fixed})

    @cached_property
    def paper(self) -> dict[str, Any]:
        """Trial 0: the paper's own point, where it was not fixed."""
        return {**asdict(self.architecture.paper(self.backbone_stages)), **self.fixed}

    def hyperparameters(self, suggested: dict[str, Any]) -> Hyperparameters:
        """A point of the search with what is fixed; what is missing is the paper's. ValueError if it is none."""
        point = Hyperparameters(**{**self.paper, **suggested})
        if point.freeze_depth > self.backbone_stages:
            raise ValueError(f"freeze_depth must be 0 to {self.backbone_stages}, got {point.freeze_depth}")
        return point

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
            "epochs": self.recipe.epochs,
            "seed": self.seed,
            "seeds": self.seeds,
            "top_k": self.top_k,
            "early_stopping": self.early_stopping,
            "precision": self.precision,
            "workers_per_trial": self.workers_per_trial,
            "grad_accum": self.grad_accum or "auto",
            "fixed": self.fixed,
            "recipe": asdict(self.recipe),
            "preprocessing": asdict(self.pretrained_variant.preprocessing),
        }


def check_name(name: str) -> None:
    """Raises ValueError if it cannot name a folder of results."""
    if not re.fullmatch(r"[\w.-]+", name) or set(name) == {"."}:
        raise ValueError(f"name must be letters, digits, '.', '_' or '-', got {name!r}")


def fixed(assignments: list[str], backbone_stages: int) -> dict[str, float]:
    """`NAME=VALUE` of --fix as a dict; `freeze_depth=all` freezes the whole backbone. Raises ValueError."""
    values: dict[str, float] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--fix takes NAME=VALUE, got {assignment!r}")
        choose("hyperparameter to fix", name, ["lr", "weight_decay", "freeze_depth"])
        if name == "freeze_depth" and value == "all":
            values[name] = backbone_stages
            continue
        try:
            values[name] = int(value) if name == "freeze_depth" else float(value)
        except ValueError:
            kind = "a whole number or all" if name == "freeze_depth" else "a number"
            raise ValueError(f"--fix {name} takes {kind}, got {value!r}") from None
    return values
