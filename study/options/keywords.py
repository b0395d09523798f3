"""What the commands may be given, typed: the same names and defaults on a command line and in Python.

`study.api` makes them of keyword arguments, and `of` of what argparse has parsed. A test holds the two, and the
defaults of the parsers, to each other.
"""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from study.cluster import jobs
from study.results.place import shown
from trainables.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Keywords:
    """What every command may be given. Each field is an option of its name, with `-` for `_`."""

    offline: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        return cls(**{one.name: getattr(options, one.name) for one in fields(cls)})

    def words(self) -> list[str]:
        """The command line that gives the same."""
        words: list[str] = []
        for given in fields(self):
            value = getattr(self, given.name)
            if given.default is not MISSING and value == given.default:
                continue
            name = f"--{given.metadata.get('option', given.name).replace('_', '-')}"
            if value is True:
                words.append(name)
            elif given.name in REPEATED:
                words += [word for one in value for word in (name, str(one))]
            elif isinstance(value, list | tuple):
                words += [name, *("all" if one is None else word(one) for one in value)]
            else:
                words += [name, word(value)]
        return words


def word(value: Any) -> str:
    """As the command line has it; a place in a bucket by its address."""
    return shown(value) if isinstance(value, Path) else str(value)


REPEATED = ("fix", "preprocessing", "data_option")  # options that take one value each time they are given


@dataclass(frozen=True, kw_only=True)
class DataKeywords(Keywords):
    """How a dataset is asked for."""

    data_dir: Path | None = None
    data_option: Sequence[str] = ()
    strict: bool = False
    duplicates: str = "auto"


@dataclass(frozen=True, kw_only=True)
class SharedKeywords(DataKeywords):
    """Whatever does not say which study it is: the same for one study and for all rows of a comparison."""

    scale: str = "auto"
    train_fraction: float | None = None
    images_per_class: int | None = None
    epochs: int | None = None
    recipe: str = "fair"
    augmentation: str | None = None
    preprocessing: Sequence[str] = ()
    trials: int = 32
    hours: float | None = None
    fix: Sequence[str] = ()
    space: Path | None = None
    metric: str = Metric.ACCURACY
    early_stopping: str = "asha"
    top_k: int = 3
    seeds: int = 3
    seed: int = 0
    split_seed: int = 0
    repeats: int = 1
    max_concurrent: int | None = None
    trials_per_gpu: str | None = None
    max_failures: int = 2
    stall_timeout: str = "auto"
    corruptions: bool = False
    keep_models: bool = False
    retries_of_ray: int = 0
    checkpoint_every: float = 30.0
    workers_per_trial: int = 1
    sync_batchnorm: bool = False
    compile: bool = False
    grad_accum: str = "auto"
    boundaries: str = "on"
    precision: str = "auto"
    results: Path = Path("results")
    wandb: str | None = None
    tensorboard: bool = False
    quiet: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        if jobs.in_a_package() and isinstance(self.results, Path):
            object.__setattr__(self, "results", jobs.lasting(self.results).expanduser())


@dataclass(frozen=True, kw_only=True)
class StudyKeywords(SharedKeywords):
    """Of `study.run`."""

    model: str
    dataset: str = "digits"
    pretraining: str | None = None
    variant: str | None = None
    weights: Path | None = None
    name: str | None = None
    resume: bool = False
    search_only: bool = False


@dataclass(frozen=True, kw_only=True)
class ComparisonKeywords(SharedKeywords):
    """Of `study.compare`; `records` are what it reads with --from, and then it runs nothing."""

    models: Sequence[str]
    pretraining: Sequence[str] | None = None
    datasets: Sequence[str] = ("digits",)
    records: Sequence[Path] | None = field(default=None, metadata={"option": "from"})
    data_efficiency: Sequence[int | None] | None = None
    parallel_rows: str = "auto"
    rope: float | None = None
    register: Path | None = None
    primary: Sequence[str] | None = None
    name: str | None = None

    @property
    def margin(self) -> float | None:
        """Within which two accuracies count as equal, a fraction. Raises ValueError for what is no margin."""
        if self.rope is not None and not 0 < self.rope < 100:
            raise ValueError(f"rope must be points of accuracy above 0 and below 100, got {self.rope:g}")
        return None if self.rope is None else self.rope / 100

    @property
    def rows_at_once(self) -> int | None:
        """None where the machines decide. Raises ValueError for what is no number above 0."""
        if self.parallel_rows == "auto":
            return None
        if not self.parallel_rows.isdecimal() or not int(self.parallel_rows):
            raise ValueError(f"parallel-rows takes a whole number above 0 or auto, got {self.parallel_rows!r}")
        return int(self.parallel_rows)

    def row(self, *, model: str, pretraining: str, dataset: str, results: Path) -> StudyKeywords:
        """What `study.run` would be given for one row, into the folder of the comparison."""
        shared: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(SharedKeywords)}
        own = {"model": model, "pretraining": pretraining, "dataset": dataset, "results": results, "resume": True}
        return StudyKeywords(**shared | own)


@dataclass(frozen=True, kw_only=True)
class ProbeKeywords(DataKeywords):
    """Of `study.probe`."""

    models: Sequence[str]
    dataset: str = "digits"
    pretraining: str | None = None
    weights: Path | None = None
    scale: str = "auto"
    seeds: int = 3
    precision: str = "auto"
    name: str | None = None
    results: Path | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        if jobs.in_a_package() and self.name and isinstance(self.results, Path | None):
            place = self.results or Path("results")
            object.__setattr__(self, "results", jobs.lasting(place).expanduser())


@dataclass(frozen=True, kw_only=True)
class SelectKeywords(DataKeywords):
    """Of `study.select`; amounts are as people write them: see `study.options.amounts`."""

    models: Sequence[str] = ("*",)
    dataset: str = "digits"
    pretraining: Sequence[str] | None = None
    budget: str = "10m"
    keep: int = 5
    margin: float = 0.5
    max_params: str | None = None
    max_flops: str | None = None
    max_size: int | None = None
    max_latency: str | None = None
    licence: Sequence[str] | None = None
    weights_dir: Path | None = None
    scores: Path | None = None
    scale: str = "auto"
    seed: int = 0
    split_seed: int = 0
    precision: str = "auto"
    name: str | None = None
    results: Path = Path("results")
    quiet: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        if jobs.in_a_package() and isinstance(self.results, Path):
            object.__setattr__(self, "results", jobs.lasting(self.results).expanduser())


@dataclass(frozen=True, kw_only=True)
class DataEfficiencyKeywords(Keywords):
    """Of `study.data_efficiency`; of `images_per_class` None is all of train."""

    studies: Sequence[Path]
    images_per_class: Sequence[int | None] | None = None
    freeze_depths: Sequence[str] = ("winner",)
    seeds: int | None = None
    max_concurrent: int | None = None
    max_failures: int = 2
    stall_timeout: str = "auto"
    data_dir: Path | None = None
    weights: Path | None = None
    quiet: bool = False
