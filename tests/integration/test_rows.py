"""Rows of a comparison at the same time: processes that share one Ray."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from study import compare
from study.options import comparison
from study.results.record import Record
from study.rows import process

MEASURED = {"train_seconds", "total_seconds", "peak_memory_bytes", "boundary", "process", "bytes_read", "notes", "node"}
OPTIONS = {
    "trials": 2,
    "epochs": 1,
    "train_fraction": 0.3,
    "top_k": 1,
    "seeds": 1,
    "max_concurrent": 1,
    "wandb": "disabled",
}


def found(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What each row's trials came to, but for what was measured."""
    records = {path.parent.name: Record(path.parent) for path in folder.glob("*/study.json")}
    return {
        name: [{k: v for k, v in row.items() if k not in MEASURED} for row in record.trials]
        for name, record in records.items()
    }


@pytest.mark.long
def test_rows_that_run_at_the_same_time_are_those_that_run_in_turn(
    ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    models = ["vit", "alexnet"]
    together = compare(models, parallel_rows=2, results=tmp_path / "2", **OPTIONS)  # type: ignore[arg-type]
    turn = compare(models[:1], parallel_rows=1, results=tmp_path / "1", **OPTIONS)  # type: ignore[arg-type]
    assert not together.failed
    assert len(together.comparison.rows) == 2
    [(name, alone)] = found(turn.folder).items()
    assert found(together.folder)[name] == alone
    said = capsys.readouterr().out.splitlines()
    begun = [said.index(f"{name} fashion60k on digits: begins") for name in ("ViT", "AlexNet")]
    ended = [i for i, line in enumerate(said) if line.startswith(("ViT ", "AlexNet ")) and "test 1/1" in line]
    assert len(ended) == 2
    assert max(begun) < min(ended)


def test_ctrl_c_ends_all_rows_in_order_and_the_same_command_goes_on(tmp_path: Path):
    words = ["--models", "vit", "resnet", "--trials", "20", "--parallel-rows", "2", "--wandb", "disabled"]
    command = [sys.executable, "-m", "study.compare", *words]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "RAY_ADDRESS": "local"}
    out = tmp_path / "out"
    with out.open("w") as file:
        running = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=file, stderr=subprocess.PIPE, text=True
        )
        end = time.monotonic() + 120
        while out.read_text().count("search ") < 1 and time.monotonic() < end:
            time.sleep(0.5)
        below = psutil.Process(running.pid).children(recursive=True)
        rows = [child for child in below if "study.rows.process" in child.cmdline()]
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=180)
    assert running.returncode == 130, err
    assert len(rows) == 2
    assert not any(row.is_running() for row in rows)
    assert err.splitlines()[-1].startswith("interrupted; go on with: ")
    records = [Record(path.parent) for path in (tmp_path / "results").glob("*/*/study.json")]
    assert {record.study.status for record in records} == {"interrupted"}


def test_a_row_whose_process_is_ended_says_by_what(ray_session: None, tmp_path: Path):
    options = comparison.parse(["--models", "vit", "--results", str(tmp_path), "--trials", "2", "--epochs", "1"])[0]
    plan = comparison.running(options, "mini")
    from study.rows.row import Row
    from study.terminal.progress import Terminal

    (study,) = plan.studies
    row = process.Process(Row(study, plan.execution, "command"), Terminal(quiet=True))
    row.signal(signal.SIGKILL)
    assert row.ended(within=60)
    assert row.reason == "its process was ended by SIGKILL"


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_rows_that_is_none_is_one_line(given: str, capsys: pytest.CaptureFixture[str]):
    from study.compare import main

    assert main(["--parallel-rows", given]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "parallel-rows takes a whole number above 0 or auto" in line
