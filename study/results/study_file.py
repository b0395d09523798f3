"""`study.json` as one typed object: what a study was, on what it ran, and what came of it. docs/record.md describes it.

A record that an earlier version wrote is brought to this version's format where it is read, by `upgraded`; so every
reader sees one format.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from study.design.states import Phase, RunStatus, StudyStatus
from study.files import write_json
from study.results import shape
from study.results.writer import Writer
from trainables.architecture import Preprocessing
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric
from trainables.resources import Resources

FORMAT = 2
NAME = "study.json"

Row = dict[str, Any]


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `study`: all that was asked for.

    Attributes:
        data_options: the dataset's own settings, by name.
        split_seed: of the splits.
        protocol: the rules that say what runs there are; 1 in a record from before they had a number.
        grad_accum: into how many parts a batch is divided, or `auto`.
        fixed: hyperparameters that were taken out of the search, by name.
        recipe: its name, epochs, milestones, and its value of every hyperparameter, flat.
        preprocessing: None in a record from before there was a choice.
        max_concurrent: how many runs trained at a time.
        hours: the budget of wall clock; None without one.
    """

    name: str
    model: str
    scale: str
    variant: str
    pretraining: str
    dataset: str
    trials: int
    epochs: int
    seed: int
    seeds: int
    top_k: int
    early_stopping: str
    precision: str
    workers_per_trial: int
    recipe: Row
    metric: Metric = Metric.ACCURACY
    split_seed: int = 0
    protocol: int = 1
    data_options: dict[str, str] = {}
    duplicates: str = "auto"
    train_fraction: float | None = None
    images_per_class: int | None = None
    sync_batchnorm: bool = False
    compile: bool = False
    grad_accum: int | str = "auto"
    fixed: Row = {}
    preprocessing: Preprocessing | None = None
    max_concurrent: int | None = None
    hours: float | None = None

    @property
    def part_of_train(self) -> float | int | None:
        """The share of train, or the images per class, that the study is about; None for all of train."""
        return self.train_fraction or self.images_per_class


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `data`.

    Attributes:
        classes: names, in label order.
        fingerprint: a hash of the splits and of the images in them.
        test_set: a hash of the test images.
        sizes: images in each of train, val and test.
        left_out: images that the study does not use, each with the reason.
        aside: how many files there were that were not taken for its images, by kind.
        pixel_range: of pixels of more than 8 bits, the values that became black and white.
        warnings: what was said of it.
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    sizes: dict[str, int]
    test_set: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    aside: dict[str, int] = {}
    pixel_range: dict[str, tuple[float, float]] = {}
    warnings: tuple[str, ...] = ()


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `model`.

    Attributes:
        weights: a hash of the pretrained backbone, None without one.
        found: how the stages were found, None where they are written.
    """

    parameters: int
    stage_names: tuple[str, ...]
    weights: str | None = None
    found: str | None = None

    @property
    def backbone_stages(self) -> int:
        """How many stages can be frozen: all but the head."""
        return len(self.stage_names) - 1


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `test`: the winner on the test images.

    Attributes:
        n: test images.
        seeds, accuracies: of each run.
        accuracy, macro_f1, mean_class_accuracy: means over the runs.
        interval: 95 %, over runs and images.
        per_class: rows of class, precision, recall, f1-score, support; means over the runs.
        confusion: counts over all runs, true by predicted, in records from before they were a table.
        most_confused: (true, predicted, count), the most first.
    """

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for tests

    n: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    mean_class_accuracy: float
    per_class: tuple[Row, ...]
    most_confused: tuple[tuple[str, str, int], ...]
    confusion: tuple[tuple[int, ...], ...] = ()


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `gain`: what the search gains over the point that it starts from, on the test images.

    Attributes:
        accuracies: of the starting point, of each run that was completed.
        accuracy: their mean.
        gain: the winner's test accuracy less that.
        interval: of the gain, 95 %, over runs and images.
        p: of the hypothesis that it is 0.
    """

    accuracies: tuple[float, ...]
    accuracy: float
    gain: float
    interval: tuple[float, float]
    p: float


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a model answers, from uint8 images of its own size on the device, without decoding.

    Attributes:
        images_per_second: at the best batch, from the median pass.
        latency_ms, latency_p95_ms: of a batch of one image, median and 95th percentile of `repeats` passes.
        threads: of the CPU; it says nothing where the device is a GPU.
    """

    images_per_second: float
    batch: int
    latency_ms: float
    latency_p95_ms: float
    repeats: int
    device: str
    precision: str
    threads: int


class MeasuredCost(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `cost`; `stage_flops` are those of one image's forward pass, by stage."""

    stage_flops: tuple[int, ...] = ()
    inference: Inference | None = None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `budget`, of a study that had one of wall clock.

    Attributes:
        hours: what it was when this was written.
        seconds: that search, replicates and tests took of it, over all sessions.
        left_out: the runs of each step that did not fit, where there are any.
    """

    hours: float
    seconds: float
    left_out: dict[Phase, int] = {}


class StudyFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `study.json` holds. An entry that the study has not reached is None, or empty, and not in the file.

    A study whose writer was killed is read as interrupted: it could not say so itself.
    """

    format: int | None = None
    status: StudyStatus | None = None
    configuration: Configuration | None = msgspec.field(default=None, name="study")
    data: Data | None = None
    preprocessing: Preprocessing | None = None
    model: ModelFacts | None = None
    space: dict[str, Row] = {}
    sampler: Row = {}
    command: str | None = None
    writer: Writer | None = None
    versions: dict[str, str] = {}
    hardware: Row = {}
    resources: Resources | None = None
    started: str | None = None
    seconds: dict[str, float] = {}
    search: dict[RunStatus, int] = {}
    replicates: tuple[Row, ...] = ()
    candidates: int | None = None
    winner: Row | None = None
    paper: Row | None = None
    test: TestResult | None = None
    gain: Gain | None = None
    cost: MeasuredCost | None = None
    budget: Budget | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of the study in a folder; with no entry where there is none. Raises ValueError, in one line."""
        path = folder / NAME
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise damaged(path, error) from None
        if not isinstance(content, dict):
            raise ValueError(f"{path} is not an object: it is no record of ours")
        try:
            found = msgspec.convert(upgraded(content), cls)
            shape.check(found)
        except ValueError as error:  # msgspec's ValidationError is one
            raise ValueError(f"{path} is no record that this version reads: {str(error)[:300]}") from None
        if found.status is StudyStatus.RUNNING and found.writer and found.writer.gone:
            return msgspec.structs.replace(found, status=StudyStatus.INTERRUPTED)
        return found

    def with_entries(self, entries: dict[str, Any]) -> Self:
        """With some entries, under the names that they have in the file, in the place of what was there."""
        assert entries.keys() <= ENTRIES, f"no entries of study.json: {sorted(entries.keys() - ENTRIES)}"
        return msgspec.convert(self.content() | plain(entries), type(self))

    def write(self, folder: Path) -> None:
        write_json(folder / NAME, self.content())

    def content(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(msgspec.to_builtins(self))


ENTRIES = frozenset(entry.encode_name for entry in msgspec.structs.fields(StudyFile))


def plain(entry: Any) -> Any:
    """As JSON has it."""
    return msgspec.to_builtins(entry, enc_hook=lambda number: number.item())  # NumPy's numbers


def damaged(path: Path, error: Exception) -> ValueError:
    why = " ".join(str(error).split())[:120] or type(error).__name__
    return ValueError(
        f"{path} cannot be read ({why}): bring it back from a copy, or remove the folder and run it again"
    )


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a study.json in this version's format. Raises ValueError for one of a later version.

    Before format 2 a recipe had a table `head_first`, or null, and three hyperparameters were searched; all others
    were the recipe's, or what is declared as their default today. Validation accuracy alone said what is best.
    """
    written = content.get("format", FORMAT)
    if written == FORMAT:
        return content
    if written not in range(1, FORMAT):
        raise ValueError(f"it has format {written}, and this version reads formats 1 to {FORMAT}")
    content = content | {"format": FORMAT}
    recipe: Row = {}
    if study := content.get("study"):
        recipe = dict(study.get("recipe", {}))
        head_first = recipe.pop("head_first", None) or {}
        recipe |= {f"head_first_{name}": value for name, value in head_first.items()}
        recipe = {name: one.default for name, one in DECLARED.items() if not one.required} | recipe
        content["study"] = study | {"recipe": recipe}
    shared = {name: value for name, value in recipe.items() if name in DECLARED}

    def replicated(row: Row) -> Row:
        return {**shared, "scores": row.get("val_accuracies"), "score": row.get("val_accuracy"), **row}

    for name in ("winner", "paper"):
        if content.get(name):
            content[name] = replicated(content[name])
    if "replicates" in content:
        content["replicates"] = [replicated(row) for row in content["replicates"]]
    return content
