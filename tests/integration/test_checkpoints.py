"""What is killed in the middle of a run goes on from its checkpoint, and comes to the numbers of one undisturbed."""

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch

from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, split
from study.design.recipes import RECIPES
from study.design.study import Study
from study.execution.pool import Pool
from study.execution.search import search
from study.results.record import Record, Row
from study.run import main
from tests.contract.tiny import numbers
from tests.faults.test_failures import end_trial_processes
from trainables.checkpoint_folder import Checkpoints
from trainables.images import SplitImages, here
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey

SECONDS = 120.0
ALONE, TOGETHER = Resources(cpus=0.5), Resources(workers=2, cpus=0.4)
RECIPE = replace(RECIPES["fair"], epochs=3)
POINT: dict[str, Any] = {"head_first_share": 0.4, "freeze_depth": 2, "augmentation": "crop_flip", "mixup": 0.2}
A_STUDY = Study("resnet", "mini", "resnet_mini", "digits", "kept", Path("unused"), RECIPE, trials=4)


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return split(named.load("digits"))


@pytest.fixture(scope="module")
def images(ray_session: None, splits: DatasetSplits) -> dict[ImagesKey, SplitImages]:
    return datasets_of_study(splits, A_STUDY.pretrained_variant.preprocessing, margin=True)


def a_run(splits: DatasetSplits, checkpoints: Checkpoints | None) -> Run:
    """Both phases, a stream, mixes and BatchNorm; it is tested at its end."""
    return Run(
        "test-seed1",
        Model("resnet", "mini", "resnet_mini", 10),
        replace(A_STUDY.point({}), batch_size=32, **POINT),
        RECIPE,
        seed=1,
        split_digests=splits.digests(),
        fit_on=("val",),
        validate_on="test",
        predict_on="test",
        keep_state=True,
        checkpoints=checkpoints,
    )


def wait_for(checkpoints: Checkpoints, run_id: str, *, epochs: int, steps: int) -> list[Row]:
    """Until a run has come so far; its curve then."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with suppress(ValueError, TypeError, RuntimeError, EOFError):  # none yet
            content = checkpoints.read(run_id) or b""
            rest = content[content.index(b"\n") + 1 :]
            state = torch.load(io.BytesIO(rest), weights_only=True)
            curve: list[Row] = state["training"]["curve"]
            if (len(curve), len(state["workers"][0]["losses"])) >= (epochs, steps):
                return curve
        time.sleep(0.02)
    raise AssertionError(f"{run_id} did not come to step {steps} after {epochs} epochs")


def outcome_of(pool: Pool, run: Run, images: dict[ImagesKey, SplitImages]) -> Outcome:
    [(_, outcome)] = pool.outcomes([run], images, interrupted=threading.Event(), on_start=lambda run: None)
    return outcome


def workers_of_groups() -> Iterator[psutil.Process]:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if "ray::Member" in "".join(process.cmdline()):
                yield process


@pytest.mark.parametrize(
    "resources",
    [pytest.param(ALONE, id="alone"), pytest.param(TOGETHER, id="two workers", marks=pytest.mark.long)],
)
def test_a_run_whose_process_is_killed_goes_on_elsewhere_to_the_same_numbers(
    resources: Resources, images: dict[ImagesKey, SplitImages], splits: DatasetSplits, tmp_path: Path
) -> None:
    kept = Checkpoints(tmp_path / "kept", here(), every=0.0)

    def kill() -> None:
        wait_for(kept, "test-seed1", epochs=1, steps=2)
        if resources.workers:
            next(workers_of_groups()).kill()
        else:
            [(_, process)] = pool._busy.values()
            ray.kill(process)

    with closing(Pool(resources, 1)) as pool:
        undisturbed = outcome_of(pool, a_run(splits, None), images)
        killer = threading.Thread(target=kill)
        killer.start()
        disturbed = outcome_of(pool, a_run(splits, kept), images)
        killer.join()
    assert disturbed.failure is None, disturbed.failure
    assert disturbed.process != undisturbed.process
    assert numbers(disturbed.epochs) == numbers(undisturbed.epochs)
    assert disturbed.state is not None
    assert undisturbed.state is not None
    assert all(torch.equal(tensor, undisturbed.state[name]) for name, tensor in disturbed.state.items())
    assert disturbed.predictions is not None
    assert undisturbed.predictions is not None
    assert (disturbed.predictions.confidence == undisturbed.predictions.confidence).all()
    for fact in ("plan", "notes", "micro_batch_size"):
        assert getattr(disturbed, fact) == getattr(undisturbed, fact)


def test_a_trial_whose_process_dies_trains_only_what_is_left_and_is_reported_whole(
    images: dict[ImagesKey, SplitImages], splits: DatasetSplits, tmp_path: Path
) -> None:
    study = replace(A_STUDY, results=tmp_path, trials=1, early_stopping="none")
    study.folder.mkdir()
    record = Record(study.folder)
    reported: list[Row] = []

    def on_epoch(name: str, row: Row) -> None:
        reported.append(row)
        if len(reported) == 2:
            assert end_trial_processes() == 1

    search(
        study,
        record,
        a_run(splits, Checkpoints(tmp_path / "kept", here(), every=0.0)),
        images,
        ALONE,
        max_concurrent=1,
        interrupted=threading.Event(),
        on_start=lambda name, point: None,
        on_epoch=on_epoch,
        on_end=lambda row, curve: record.add(trials=[row], curves=curve),
    )
    first, second, *again = reported
    assert again[0] == first  # also in its seconds: it was not trained again
    assert again[1]["train_loss"] == second["train_loss"]
    assert [row["epoch"] for row in again] == [1, 2, 3]
    assert record.curve("trial-000") == again
    assert [(row["status"], row["epochs"]) for row in record.trials] == [("completed", 3)]


WORDS = [
    *["--model", "resnet", "--pretraining", "none", "--name", "kept", "--max-concurrent", "1", "--wandb", "disabled"],
    *["--trials", "2", "--epochs", "2", "--top-k", "1", "--seeds", "1", "--early-stopping", "asha"],
    *["--train-fraction", "0.1", "--fix", "batch_size=16"],  # enough steps in little time
]
# What is read depends on what the planner has measured
CLOCK = {"train_seconds", "total_seconds", "seconds", "peak_memory_bytes", "process", "boundary", "bytes_read"}
CLOCK |= {"attempts", "earlier_attempts"}


def rows(record: Record) -> list[Row]:
    given = (*record.trials, *record.runs, *record.curves, *record.tables["predictions"])
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in given]


def test_a_study_that_is_killed_goes_on_with_the_run_that_was_under_way(ray_session: None, tmp_path: Path) -> None:
    assert main([*WORDS, "--results", str(tmp_path / "whole")]) == 0
    folder, words = tmp_path / "cut" / "kept", [*WORDS, "--results", str(tmp_path / "cut")]
    kept = Checkpoints(folder / ".checkpoints")
    command = [sys.executable, "-m", "study.run", *words, "--checkpoint-every", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            curve = wait_for(kept, "trial-001", epochs=1, steps=3)
        finally:
            process.send_signal(signal.SIGKILL)
    held = Record(folder)
    assert [row["trial_id"] for row in held.trials] == ["trial-000"]
    assert list(kept.begun()) == ["trial-001"]  # of what has ended nothing is kept
    assert main([*words, "--resume"]) == 0
    assert (
        Record(folder).curve("trial-001")[0]["train_seconds"] == curve[0]["train_seconds"]
    )  # it was not trained again
    assert rows(Record(folder)) == rows(Record(tmp_path / "whole" / "kept"))
    assert not kept.folder.exists()
