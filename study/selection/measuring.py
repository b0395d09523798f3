"""Measuring candidates with Ray: each round of each candidate is a task, and its images are carried through once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from time import perf_counter
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from study.baselines.left_out import left_out
from study.cluster import connection
from study.cluster.allocation import Allocation
from study.data.resizing import resized
from study.data.splits import DatasetSplits
from study.selection.candidates import Candidate
from study.selection.race import Measured
from study.terminal.mistake import one_line, reason
from trainables import building
from trainables.hyperparameters import Hyperparameters
from trainables.images import SplitImages
from trainables.memory import DoesNotFit
from trainables.pooled import MODELS_KEPT, Pooled, pooled
from trainables.recipe import Recipe
from trainables.run import Model, Run
from trainables.splits import SplitDigest

FIRST_STORED = 1  # the round from which boundaries are stored: before it there are many candidates, and few images
Block = tuple[np.ndarray, ...]  # (N, D) of each boundary that is looked at


@dataclass(frozen=True)
class Answer:
    """What a task says of a round."""

    measured: Measured
    parameters: int
    image_seconds: float
    features: int
    backbone_stages: int
    family: str
    stored: int


@dataclass(frozen=True)
class Known:
    """The labels of a subset and the images that must be left out together, as far as there are such."""

    labels: np.ndarray
    classes: int
    groups: np.ndarray | None


@dataclass(frozen=True)
class Task:
    """One round of one candidate.

    Attributes:
        shared: images and labels of the whole dataset, in Ray's object store; home and seen: see `SplitImages`.
        rows: the images that this subset has more than the last one, by their places in the dataset.
        digest: of these.
        store: whether boundaries are stored.
    """

    candidate: Candidate
    shared: Any
    home: str
    seen: str | None
    rows: np.ndarray
    digest: SplitDigest
    known: Known
    precision: str
    threads: int
    store: bool
    offline: bool


def measure(task: Task, before: Sequence[Any]) -> tuple[Answer, Block]:
    """One candidate on one subset, in a process that Ray gave its share of the machine.

    A model of timm that this machine has not seen is traced here, so that many are at a time.

    Args:
        task: what to do.
        before: the features of the subsets before, in the object store.
    """
    start = perf_counter()
    new = carried(task)
    blocks = [*ray.get(list(before)), new.values]
    best, width = best_boundary(new, blocks, task.known)
    answer = Answer(
        replace(best, seconds=perf_counter() - start),
        new.parameters,
        new.seconds / len(task.rows),
        width,
        new.boundaries[0],
        task.candidate.architecture.family,
        len(task.rows) if new.stored else 0,
    )
    return answer, new.values


def carried(task: Task) -> Pooled:
    """The new images, through the backbone."""
    model = model_of(task)
    part = ray.put((task.rows, partial(resized, preprocessing=model.described.preprocessing)))
    images = SplitImages((task.shared, part), len(task.rows), task.home, task.seen)
    return pooled(run_of(task, model), images, task.threads, store=task.store)


_models: dict[Candidate, Model] = {}  # of this process, so that the next round finds what this one built


def model_of(task: Task) -> Model:
    """Raises ValueError where its weights are not to be had or do not fit, or it cannot take the images."""
    one = task.candidate
    if one not in _models:
        if len(_models) >= MODELS_KEPT:
            _models.clear()
        state = building.pretrained(one.architecture, one.variant, path=one.path, offline=task.offline)
        weights = connection.put(state)
        _models[one] = Model(one.model, one.scale, one.variant.name, task.known.classes, weights)
    return _models[one]


def run_of(task: Task, model: Model) -> Run:
    return Run(
        run_id=task.candidate.name,
        model=model,
        hyperparameters=Hyperparameters(lr=1.0, weight_decay=0.0, freeze_depth=0),
        recipe=Recipe("select", epochs=1),
        seed=1,  # a study's first: without pretraining the same backbone
        split_digests={"train": task.digest},
        precision=task.precision,
        boundaries="always",
        validate_on=None,
    )


def best_boundary(new: Pooled, blocks: Sequence[Block], known: Known) -> tuple[Measured, int]:
    """The boundary whose features predict best, the last one at equal; and how many features it has."""
    best: Measured | None = None
    width = 0
    for place, boundary in enumerate(new.boundaries):
        features = np.concatenate([block[place] for block in blocks])
        found = left_out(features, known.labels, known.classes, groups=known.groups)
        if best is None or found.smoothed > best.merit:
            best = Measured(found.correct, 0.0, boundary, found.penalty, found.smoothed)
            width = features.shape[1]
    assert best is not None
    return best, width


@dataclass
class Runs:
    """The course that `race.run` asks: candidates on the images of train, as tasks.

    Attributes:
        candidates: by name.
        order: positions in train, of which the subsets are the first.
        sizes: of the subsets.
        allocation: what each task may use, and how many there are at a time.
        latency: seconds that an image may take at most; None for any.
        budget, began: seconds of the race, and when it began by `perf_counter`.
        answers: the last one of each candidate, for the record.
        stored: training images of each whose boundaries the store holds.
        cut_short: who was being measured when the budget ended.
    """

    candidates: Mapping[str, Candidate]
    splits: DatasetSplits
    order: np.ndarray
    sizes: tuple[int, ...]
    allocation: Allocation
    budget: float
    began: float
    precision: str
    latency: float | None = None
    offline: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    cut_short: list[str] = field(default_factory=list)
    blocks: dict[str, list[Any]] = field(default_factory=dict)

    @cached_property
    def images(self) -> SplitImages:
        """All of train: what every task shares of the dataset is taken from it."""
        source = self.splits.source
        [every] = SplitImages.put(source.images, source.labels, [(self.splits.train, np.asarray)])
        return every

    def now(self) -> float:
        return perf_counter() - self.began

    def measured(self, names: Iterable[str], round: int) -> Iterator[tuple[str, Measured | str]]:
        waiting, flying = iter(names), dict[Any, tuple[str, Any]]()
        try:
            while True:
                while len(flying) < self.allocation.at_a_time and (name := next(waiting, None)):
                    answer, block = self.started(name, round)
                    flying[answer] = name, block
                if not flying:
                    return
                done, _ = ray.wait(list(flying), timeout=max(0.0, self.budget - self.now()))
                if not done:
                    self.cut_short += [name for name, _ in flying.values()]
                    return
                for ref in done:
                    name, block = flying.pop(ref)
                    yield name, self.ended(name, ref, block)
        finally:
            for ref in flying:
                ray.cancel(ref, force=True)

    def started(self, name: str, round: int) -> tuple[Any, Any]:
        """The answer that will come, and the features, which stay with Ray."""
        resources, rows = self.allocation.resources, self.rows(round)
        task = Task(
            self.candidates[name],
            self.images.shared[0],
            self.images.home,
            self.images.seen,
            rows,
            digest_of(self.splits, rows),
            self.known(self.order[: self.sizes[round]]),
            self.precision,
            resources.threads,
            round >= FIRST_STORED,
            self.offline,
        )
        there: Any = ray.remote(measure).options(
            num_cpus=resources.cpus, num_gpus=resources.gpus, num_returns=2, max_retries=0
        )
        answer, block = there.remote(task, self.blocks.setdefault(name, []))
        return answer, block

    def ended(self, name: str, ref: Any, block: Any) -> Measured | str:
        try:
            answer: Answer = ray.get(ref)
        except RayTaskError as error:
            self.forget(name)
            cause = error.as_instanceof_cause()
            return reason(error.cause) if isinstance(cause, ValueError | DoesNotFit | OSError) else told(error)
        except RayError as error:
            self.forget(name)
            return f"its process ended: {one_line(str(error))[:200]}"
        if self.latency is not None and answer.image_seconds > self.latency:
            self.forget(name)
            return f"{1000 * answer.image_seconds:.2f} ms an image, above --max-latency {1000 * self.latency:g} ms"
        self.answers[name] = answer
        self.stored[name] = self.stored.get(name, 0) + answer.stored
        self.blocks[name].append(block)
        return answer.measured

    def forget(self, name: str) -> None:
        """The features of one that has left the race."""
        self.blocks.pop(name, None)

    def rows(self, round: int) -> np.ndarray:
        """The images that a round adds, by their places in the dataset, in the order of the race."""
        start = self.sizes[round - 1] if round else 0
        return self.splits.train[self.order[start : self.sizes[round]]]

    def known(self, subset: np.ndarray) -> Known:
        source, rows = self.splits.source, self.splits.train[subset]
        groups = None if source.groups is None else source.groups[rows]
        return Known(source.labels[rows], len(source.classes), groups)


def digest_of(splits: DatasetSplits, rows: np.ndarray) -> SplitDigest:
    """Of some images of train: what is stored for them serves every split of the dataset that has them."""
    source = splits.source.content.encode()
    content = sha256(source + rows.astype(np.int64).tobytes()).hexdigest()[:16]
    return SplitDigest(content, len(rows), source=sha256(source).hexdigest()[:16])


def told(error: RayTaskError) -> str:
    """The last line of what went wrong in a task."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1])[:300]
