"""A search as a benchmark runs it: in a store and a record of its own, timed from the call to the last trial's row."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from study.cluster import connection
from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, split, stratified
from study.design.study import Study
from study.execution.search import Train, search
from study.results.record import Record, Row
from trainables import building
from trainables.resources import Resources
from trainables.run import Model, Run
from trainables.trainer import train


@contextmanager
def ray_with_a_store() -> Iterator[Path]:
    """Ray, started; its processes keep boundaries in the folder that this gives."""
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        os.environ["STUDY_CACHE"] = folder
        connection.quieten()
        with connection.connected():
            yield Path(folder)


def some_digits(images: int) -> DatasetSplits:
    """That many of scikit-learn's digits: four in five to train on, one to validate on."""
    source = named.load("digits")
    _, chosen = stratified(source, np.arange(len(source.labels)), images / len(source.labels), seed=0)
    train, val = stratified(source, chosen, 0.2, seed=0)
    return DatasetSplits(source, train, val, val[:0])


def all_digits() -> DatasetSplits:
    return split(named.load("digits"))


@dataclass
class Searched:
    seconds: float
    record: Record
    ended: list[float]

    @property
    def pace(self) -> float:
        """Seconds between the ends of trials, from the first to the last."""
        return (self.ended[-1] - self.ended[0]) / (len(self.ended) - 1)

    @property
    def trial_seconds(self) -> float:
        """What the trials themselves took, all together."""
        return sum(row["total_seconds"] for row in self.record.trials)


def searched(
    study: Study,
    splits: DatasetSplits,
    *,
    boundaries: str,
    trials: int,
    threads: int,
    resources: Resources | None = None,
    max_concurrent: int = 1,
    train: Train = train,
    on_trial: Callable[[], None] = lambda: None,
) -> Searched:
    """One search, by default with one trial at a time, in half a CPU; `on_trial` is called when one has ended."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        study = replace(study, results=Path(folder), trials=trials)
        study.folder.mkdir()
        record = Record(study.folder)
        variant = study.pretrained_variant
        data = datasets_of_study(splits, variant.preprocessing, margin=False)
        weights = connection.put(building.pretrained(study.architecture, variant))
        template = Run(
            run_id="",
            model=Model(study.model, study.scale, study.variant, len(splits.source.classes), weights),
            hyperparameters=study.point({}),
            recipe=study.recipe,
            seed=study.seed,
            split_digests=splits.digests(),
            precision=study.precision,
            boundaries=boundaries,
            readers=trials,
        )
        ended = []

        def on_end(row: Row, curve: list[Row]) -> None:
            record.add(trials=[row], curves=curve)
            ended.append(perf_counter())
            on_trial()

        start = perf_counter()
        search(
            study,
            record,
            template,
            data,
            replace(resources or Resources(cpus=0.5), threads=threads),
            max_concurrent=max_concurrent,
            interrupted=threading.Event(),
            on_start=lambda name, point: None,
            on_epoch=lambda name, row: None,
            on_end=on_end,
            train=train,
        )
        seconds = perf_counter() - start
        assert [row["status"] for row in record.trials] == ["completed"] * trials
        return Searched(seconds, record, ended)


def emptied(store: Path) -> None:
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
