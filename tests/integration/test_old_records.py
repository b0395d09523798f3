"""A study that an earlier version was interrupted in goes on, with what that version had finished."""

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from study.results.record import Record
from study.results.study_file import FORMAT
from study.run import main

NAME = "alexnet-fashion60k-digits"
ORIGINAL = Path(__file__).parents[1] / "old_records" / NAME
STUDY = ["--model", "alexnet", "--trials", "3", "--epochs", "2", "--seeds", "2", "--top-k", "1", "--scale", "mini"]


@pytest.mark.usefixtures("ray_session")
def test_its_tests_are_run_by_the_winner_that_it_has(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ORIGINAL, tmp_path / NAME))
    before = json.loads((folder / "study.json").read_text())
    reached = {name: value for name, value in before.items() if name not in ("test", "cost")}
    (folder / "study.json").write_text(json.dumps(reached | {"status": "interrupted"}))
    (folder / "predictions.parquet").unlink()
    runs = pq.read_table(folder / "runs.parquet")
    pq.write_table(runs.filter(pc.equal(runs["phase"], "replicate")), folder / "runs.parquet")

    assert main([*STUDY, "--resume", "--results", str(tmp_path), "--wandb", "disabled", "--quiet"]) == 0
    record = Record(folder)
    assert record.study.format == FORMAT
    assert record.winner["val_accuracies"] == before["winner"]["val_accuracies"]
    assert record.test.accuracies == pytest.approx(before["test"]["accuracies"], abs=0.05)
    assert {row["val_accuracy"] for row in record.runs if row["phase"] == "replicate"} == {
        accuracy for row in before["replicates"] for accuracy in row["val_accuracies"]
    }
