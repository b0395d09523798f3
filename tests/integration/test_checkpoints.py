"""What is killed in the middle of a run goes on from its checkpoint, and comes to the numbers of one undisturbed."""

import io
import os
import re
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
from study.results.record import Record, Row
from study.run import main
from tests.contract.tiny import numbers
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


def wait_for(checkpoints: Checkpoints, run_id: str, *, epochs: int, steps: int) -> bytes:
    """Until a run has come so far; its checkpoint then."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with suppress(ValueError, TypeError, RuntimeError, EOFError):  # none yet
            content = checkpoints.read(run_id) or b""
            rest = content[content.index(b"\n") + 1 :]
            state = torch.load(io.BytesIO(rest), weights_only=True)
            if (len(state["training"]["curve"]), len(state["workers"][0]["losses"])) >= (epochs, steps):
                return content
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


@pytest.mark.parametrize("resources", [ALONE, TOGETHER], ids=["alone", "two workers"])
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
    for fact in ("plan", "bytes_read", "notes", "micro_batch_size", "best"):
        seen, wanted = getattr(disturbed, fact), getattr(undisturbed, fact)
        assert (seen == wanted) if fact != "best" else (numbers([seen]) == numbers([wanted])), fact


WORDS = [
    *["--model", "resnet", "--pretraining", "none", "--name", "kept", "--max-concurrent", "1", "--wandb", "disabled"],
    *["--trials", "2", "--epochs", "3", "--top-k", "1", "--seeds", "1", "--early-stopping", "asha"],
]
CLOCK = {"train_seconds", "total_seconds", "seconds", "peak_memory_bytes", "process"}


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
            wait_for(kept, "trial-001", epochs=1, steps=3)
        finally:
            process.send_signal(signal.SIGKILL)
    held = Record(folder)
    assert [row["trial_id"] for row in held.trials] == ["trial-000"]
    assert list(kept.begun()) == ["trial-001"]  # of what has ended nothing is kept
    again = subprocess.run(
        [sys.executable, "-m", "study.run", *words, "--resume", "--verbose"],
        env=os.environ | {"RAY_DEDUP_LOGS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = again.stdout + again.stderr
    assert again.returncode == 0, said
    assert re.findall(r"(trial-\d+) goes on from its checkpoint, in epoch (\d)", said) == [("trial-001", "2")], said
    assert rows(Record(folder)) == rows(Record(tmp_path / "whole" / "kept"))
    assert not kept.folder.exists()
