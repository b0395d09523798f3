"""A run that several workers share is the run of one, and their processes stay for the runs that follow."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psutil
import pytest
import torch
from ray.exceptions import RayActorError

from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, split
from study.design.recipes import RECIPES
from study.design.study import Study
from study.execution.pool import Pool
from study.execution.search import search
from study.results.record import Record, Row
from trainables import group
from trainables.images import SplitImages
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import train
from trainables.world import current_world

TOLERANCE = 1e-4  # of losses in fp32, where no BatchNorm is trained
AT_ONCE = 15.0  # seconds, on a machine that has other things to do
ALONE, TOGETHER = Resources(cpus=0.5), Resources(workers=2, cpus=0.4)
RECIPE = replace(RECIPES["fair"], epochs=3)
A_STUDY = Study("vit", "mini", "vit_mini", "digits", "ddp", Path("unused"), RECIPE, trials=7, top_k=1)


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return split(named.load("digits"))


@pytest.fixture(scope="module")
def images(ray_session: None, splits: DatasetSplits) -> Iterator[dict[ImagesKey, SplitImages]]:
    yield datasets_of_study(splits, A_STUDY.pretrained_variant.preprocessing, margin=True)
    group.close()


# All that may differ between workers at once: both phases, augmentation, mixes, weights of classes
EVERYTHING: dict[str, Any] = {
    "head_first_share": 0.5,
    "batch_size": 50,
    "freeze_depth": 2,
    "augmentation": "crop_flip",
    "mixup": 0.2,
    "class_weights": "balanced",
}
LITTLE: dict[str, Any] = {"freeze_depth": 2, "batch_size": 50}


def a_run(splits: DatasetSplits, point: dict[str, Any], run_id: str = "run") -> Run:
    return Run(
        run_id,
        Model("vit", "mini", "vit_mini", 10),
        replace(A_STUDY.point({}), **point),
        RECIPE,
        seed=3,
        split_digests=splits.digests(),
        fit_on=("val",),
        validate_on="test",
        predict_on="test",
        keep_state=True,
    )


def children() -> set[int]:
    """The processes of workers that this test's Ray has started."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if "ray::Member" in "".join(process.cmdline()):
                found.add(process.pid)
    return found


def losses(outcome: Outcome) -> list[float]:
    return [value for epoch in outcome.epochs for value in (epoch.train_loss, epoch.val_loss) if value is not None]


def test_two_workers_give_the_curve_the_predictions_and_the_weights_of_one(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits
) -> None:
    run = replace(a_run(splits, EVERYTHING), recipe=replace(RECIPE, epochs=2))
    rows: list[Row] = []
    alone = train(run, images, ALONE, lambda row: None)
    together = train(run, images, TOGETHER, rows.append)
    assert together.failure is None
    assert losses(together) == pytest.approx(losses(alone), rel=TOLERANCE)
    assert [row["curve"]["epoch"] for row in rows] == [1, 2]
    assert together.predictions is not None
    assert alone.predictions is not None
    assert (together.predictions.index == alone.predictions.index).all()
    assert (together.predictions.predicted == alone.predictions.predicted).mean() > 0.99
    assert together.state is not None
    assert alone.state is not None
    assert together.state.keys() == alone.state.keys()
    assert together.plan == alone.plan


def test_a_run_that_is_stopped_ends_in_all_workers_at_once_and_the_next_one_knows_nothing_of_it(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits
) -> None:
    run = a_run(splits, LITTLE)
    whole, before = train(run, images, TOGETHER, lambda row: None), children()
    assert len(before) == 2

    asked = 0.0

    def asha(row: Row) -> None:
        nonlocal asked
        asked = perf_counter()
        raise SystemExit

    with pytest.raises(SystemExit):
        train(a_run(splits, {**LITTLE, "lr": 1e-2, "freeze_depth": 0}), images, TOGETHER, asha)
    assert perf_counter() - asked < AT_ONCE
    assert losses(train(run, images, TOGETHER, lambda row: None)) == losses(whole)
    assert children() == before


def test_a_worker_that_was_stopped_between_two_runs_is_not_waited_for(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(splits, LITTLE)
    whole, before = train(run, images, TOGETHER, lambda row: None), children()
    os.kill(min(before), signal.SIGSTOP)
    monkeypatch.setattr(group, "UNWIND_SECONDS", 2)
    assert losses(train(run, images, TOGETHER, lambda row: None)) == losses(whole)
    assert not before & children()


def failing_beside_one_that_waits(report: Any) -> Outcome:
    world = current_world()
    if world.rank == 1:
        return Outcome("run", failure="no memory in the second worker")
    world.all_reduce_sum(torch.ones(1))
    return Outcome("run")


def test_a_worker_that_is_killed_or_fails_alone_ends_the_group_and_the_next_run_has_a_new_one(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(splits, LITTLE)
    whole = train(run, images, TOGETHER, lambda row: None)

    killed = 0.0

    def kill_one(row: Row) -> None:
        nonlocal killed
        killed = perf_counter()
        os.kill(max(children()), signal.SIGKILL)

    with pytest.raises(RayActorError):  # and not that another worker lost the connection to it
        train(run, images, TOGETHER, kill_one)
    assert perf_counter() - killed < AT_ONCE
    monkeypatch.setattr(group, "LAST_WORDS_SECONDS", 1)
    failed = group.current(TOGETHER).run(failing_beside_one_that_waits, (), lambda row: None)
    assert failed.failure == "no memory in the second worker"
    assert losses(train(run, images, TOGETHER, lambda row: None)) == losses(whole)
    group.close()


@dataclass
class Seen:
    """A search as it went: the record, and the workers' processes at each end of a trial."""

    record: Record
    workers: list[set[int]] = field(default_factory=list)

    def curves(self) -> dict[str, list[float]]:
        return {
            row["trial_id"]: [epoch["train_loss"] for epoch in self.record.curve(row["trial_id"])]
            for row in self.record.trials
        }


def searched(
    folder: Path,
    images: dict[ImagesKey, SplitImages],
    splits: DatasetSplits,
    resources: Resources,
    on_epoch: Any = lambda name, row: None,
) -> Seen:
    study = replace(A_STUDY, name=folder.name, results=folder.parent)
    study.folder.mkdir()
    seen = Seen(Record(study.folder))
    model = Model("vit", "mini", "vit_mini", 10)
    template = Run("", model, study.point({}), RECIPE, seed=0, split_digests=splits.digests(), fit_on=("val",))

    def on_end(row: Row, curve: list[Row]) -> None:
        seen.record.add(trials=[row], curves=curve)
        seen.workers.append(children())

    search(
        study,
        seen.record,
        replace(template, validate_on="test"),
        images,
        resources,
        max_concurrent=1,
        interrupted=threading.Event(),
        on_start=lambda name, point: None,
        on_epoch=on_epoch,
        on_end=on_end,
    )
    return seen


def test_a_search_with_two_workers_a_trial_is_that_of_one_and_a_killed_worker_costs_it_nothing(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits, tmp_path: Path
) -> None:
    alone = searched(tmp_path / "alone", images, splits, ALONE)
    assert {row["status"] for row in alone.record.trials} == {"pruned", "completed"}
    victim = max(row["trial_id"] for row in alone.record.trials if row["status"] == "completed")
    killed: list[int] = []

    def kill_one(name: str, row: Row) -> None:
        if name == victim and not killed:
            killed.append(max(children()))
            os.kill(killed[0], signal.SIGKILL)

    together = searched(tmp_path / "together", images, splits, TOGETHER, kill_one)
    assert killed
    points = ("trial_id", "status", "lr", "weight_decay", "freeze_depth", "epochs")
    assert [[row[name] for name in points] for row in together.record.trials] == [
        [row[name] for name in points] for row in alone.record.trials
    ]
    assert together.curves().keys() == alone.curves().keys()
    for trial, curve in together.curves().items():
        assert curve == pytest.approx(alone.curves()[trial], rel=TOLERANCE), trial
    ended = [row["trial_id"] for row in together.record.trials].index(victim)
    before, after = together.workers[:ended], together.workers[ended:]
    assert all(workers == before[0] and killed[0] in workers for workers in before)
    assert all(workers == after[0] and killed[0] not in workers for workers in after)
    assert len(after[0]) == 2
    end = perf_counter() + AT_ONCE
    while children() and perf_counter() < end:
        sleep(0.1)
    assert not children()  # they ended with the search


def test_replicates_with_two_workers_stay_in_warm_groups_and_one_is_tried_again_when_a_worker_dies(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits
) -> None:
    runs = [a_run(splits, LITTLE, f"replicate-{i}") for i in range(2)]
    pool = Pool(TOGETHER, 1)

    def kill_when_there() -> None:
        while len(children()) < 2:
            sleep(0.05)
        os.kill(min(children()), signal.SIGKILL)

    killer = threading.Thread(target=kill_when_there, daemon=True)
    killer.start()
    ended = list(pool.outcomes(runs, images, interrupted=threading.Event(), on_start=lambda run: None))
    pool.close()
    assert not killer.is_alive()
    assert [outcome.failure for _, outcome in ended] == [None, None]
