"""Data efficiency of one small study: the runs, the table, and what it takes to go on."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from study.data import named
from study.data.splits import split
from study.data_efficiency.__main__ import main
from study.data_efficiency.measure import Measurement
from study.execution.session import Session
from study.results.data_efficiency import SCHEMA
from study.results.record import Record, Row, read_table
from study.run import main as run

STUDY = ["--model", "resnet", "--pretraining", "none", "--name", "small", "--trials", "2", "--epochs", "1"]
STUDY += ["--fix", "batch_size=512"]  # as many epochs of few images as there are steps in one of all: 3
ONCE = ["--top-k", "1", "--seeds", "1", "--max-concurrent", "1", "--wandb", "disabled", "--quiet"]
ASKED = ["--images-per-class", "1", "4", "--seeds", "2", "--max-concurrent", "1", "--quiet"]
CLOCK = (
    "train_seconds",
    "total_seconds",
    "peak_memory_bytes",
    "boundary",
    "bytes_read",
    "process",
)  # the planner goes by the clock


def rows(folder: Path) -> dict[str, Row]:
    """The table by run, without the clock."""
    table = read_table(folder, "data_efficiency")
    kept: dict[str, Row] = {
        row["run_id"]: {name: value for name, value in row.items() if name not in CLOCK} for row in table
    }
    assert len(kept) == len(table)
    return kept


@pytest.fixture(scope="module")
def studied(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder."""
    results = tmp_path_factory.mktemp("results")
    assert run([*STUDY, *ONCE, "--results", str(results)]) == 0
    return results / "small"


@pytest.fixture(scope="module")
def measured(studied: Path) -> Path:
    before = (studied / "study.json").read_bytes()
    assert main([str(studied), *ASKED]) == 0
    assert (studied / "study.json").read_bytes() == before
    return studied


@pytest.fixture
def copied(studied: Path, tmp_path: Path) -> Path:
    """The study as it was before its data efficiency was measured."""
    shutil.copytree(studied, tmp_path / "small", ignore=shutil.ignore_patterns("data_efficiency.parquet"))
    return tmp_path / "small"


def changed(folder: Path, **entries: dict[str, Any] | str) -> None:
    """Entries of study.json, those of an object one by one."""
    path = folder / "study.json"
    study = json.loads(path.read_text())
    for name, value in entries.items():
        study[name] = {**study[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(study))


def test_there_is_a_run_for_every_amount_and_seed(measured: Path) -> None:
    table = pq.read_table(measured / "data_efficiency.parquet")
    assert table.schema.equals(SCHEMA)
    points = {(row["images_per_class"], row["images"], row["seed"]) for row in table.to_pylist()}
    assert points == {(n, 10 * n, seed) for n in (1, 4) for seed in (501, 502)}


def test_every_run_has_the_winners_hyperparameters_and_as_many_steps_as_the_study(measured: Path) -> None:
    winner = Record(measured).winner
    for row in rows(measured).values():
        assert row["status"] == "completed"
        assert {name: row[name] for name in ("lr", "weight_decay", "freeze_depth")} == {
            name: winner[name] for name in ("lr", "weight_decay", "freeze_depth")
        }
        assert row["epochs"] == row["steps"] == 3  # of 1,077 images in batches of 512


def test_every_test_image_is_answered_once_and_the_accuracy_is_that_of_the_answers(measured: Path) -> None:
    images = len(split(named.load("digits")).test)
    for row in rows(measured).values():
        assert len(row["correct"]) == images
        assert row["test_accuracy"] == pytest.approx(np.mean(row["correct"]))
        assert 0 <= row["val_accuracy"] <= 1


def test_a_second_call_trains_nothing_and_says_the_same(
    measured: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (measured / "data_efficiency.parquet").read_bytes()
    monkeypatch.setattr(Session, "pool", None)  # it would be called
    assert main([str(measured), *ASKED]) == 0
    assert (measured / "data_efficiency.parquet").read_bytes() == before
    out = capsys.readouterr().out
    assert "small, freeze depth" in out
    assert "(2 runs of 3 epochs)" in out


def test_one_that_is_interrupted_says_how_to_go_on_and_then_gives_the_same_runs(
    measured: Path, copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Measurement.keep

    def keep_and_press_ctrl_c(self: Measurement, *ended: Any) -> None:
        keep(self, *ended)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Measurement, "keep", keep_and_press_ctrl_c)
        assert main([str(copied), *ASKED]) == 130
    error = capsys.readouterr().err
    assert f"go on with: python -m study.data_efficiency {copied} --images-per-class 1 4 --seeds 2" in error
    assert len(rows(copied)) == 1
    assert Record(copied).study.status == "finished"

    assert main([str(copied), *ASKED]) == 0
    assert rows(copied) == rows(measured)


def test_a_run_that_fails_is_in_the_table_with_its_reason(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(copied, winner={"lr": 1e38})
    assert main([str(copied), "--images-per-class", "4", "--seeds", "1", "--quiet"]) == 1
    (row,) = rows(copied).values()
    assert (row["status"], row["test_accuracy"], row["correct"]) == ("failed", None, None)
    assert "training loss is" in row["reason"]
    assert row["reason"] in capsys.readouterr().out


def test_a_run_that_failed_is_tried_again(copied: Path) -> None:
    once = [str(copied), "--images-per-class", "4", "--seeds", "1", "--quiet"]
    lr = Record(copied).winner["lr"]
    changed(copied, winner={"lr": 1e38})
    assert main(once) == 1
    changed(copied, winner={"lr": lr})
    assert main(once) == 0
    (row,) = rows(copied).values()
    assert (row["status"], row["reason"], row["lr"]) == ("completed", None, lr)


@pytest.mark.usefixtures("ray_session")
def test_a_study_of_crops_with_preprocessing_and_accumulation_of_its_own_is_measured_as_it_was(tmp_path: Path) -> None:
    given = ["--preprocessing", "interpolation=bicubic", "--grad-accum", "2", "--augmentation", "crop_flip"]
    assert run([*STUDY, *ONCE, *given, "--trials", "1", "--results", str(tmp_path)]) == 0
    assert main([str(tmp_path / "small"), "--images-per-class", "4", "--seeds", "1", "--quiet"]) == 0
    (row,) = rows(tmp_path / "small").values()
    assert (row["status"], row["augmentation"]) == ("completed", "crop_flip")
    assert row["micro_batch_size"] == 20  # 40 images in one batch, of which half is computed at once


MISTAKES = {
    "more images than the smallest class has": (["--images-per-class", "5", "5000"], ["got 5000", "1 to 10"]),
    "no images": (["--images-per-class", "0"], ["a number from 1, or all, got '0'"]),
    "words for images": (["--images-per-class", "many"], ["--images-per-class", "'many'"]),
    "a depth beyond the backbone": (["--freeze-depths", "0", "9"], ["0 to 5", "got '9'"]),
    "no seeds": (["--seeds", "0"], ["seeds must be at least 1, got 0"]),
    "an unknown option": (["--depths", "0"], ["--depths", "python -m study.data_efficiency --help"]),
}


def line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a mistake."""
    try:
        status = main(arguments)
    except SystemExit as exit:  # argparse's own mistakes
        status = int(str(exit.code))
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(
    mistake: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = MISTAKES[mistake]
    said = line([str(copied), *arguments], capsys)
    for word in words:
        assert word in said
    assert not (copied / "data_efficiency.parquet").exists()


def test_a_folder_that_is_no_finished_study_is_refused(
    tmp_path: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{tmp_path} is no study" in line([str(tmp_path)], capsys)
    assert f"{tmp_path / 'none'} is no study" in line([str(tmp_path / "none")], capsys)
    changed(copied, status="interrupted")
    assert "is not finished (interrupted): go on with study.run and --resume" in line([str(copied)], capsys)


def test_a_study_of_a_part_of_train_or_of_other_images_is_refused(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(copied, study={"images_per_class": 20})
    assert "is a study of a part of train (images_per_class 20)" in line([str(copied)], capsys)
    changed(copied, study={"images_per_class": None}, data={"fingerprint": "0123456789abcdef"})
    assert "was recorded on other images than digits now" in line([str(copied)], capsys)


def test_a_study_of_other_weights_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(copied, model={"weights": "0123456789abcdef"})
    assert "was recorded with other weights of resnet_mini than these now" in line([str(copied)], capsys)


def test_two_studies_of_one_name_are_refused(studied: Path, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "are both called small" in line([str(studied), str(copied)], capsys)
