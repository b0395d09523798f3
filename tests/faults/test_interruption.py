"""A study that is interrupted, or killed, has lost nothing that was finished, and goes on as if it had not been."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from study.results.record import Record, Row

STUDY = [
    *["--model", "resnet", "--pretraining", "none", "--name", "cut", "--max-concurrent", "1", "--wandb", "offline"],
    *["--trials", "5", "--epochs", "2", "--top-k", "1", "--seeds", "1"],
]
POINT = ("trial_id", "lr", "weight_decay", "freeze_depth", "val_accuracy", "status")


def start(results: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "study.run", *STUDY, "--results", str(results), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_trials(results: Path, most: int, process: subprocess.Popen[str]) -> None:
    """Until that many trials are in the record."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if (results / "cut" / "trials.parquet").exists() and len(Record(results / "cut").trials) >= most:
            return
        time.sleep(0.2)
    raise AssertionError(f"no {most} trials in time")


def processes_of(session: psutil.Process) -> list[psutil.Process]:
    return session.children(recursive=True)


def gone(processes: list[psutil.Process], within: float) -> list[psutil.Process]:
    """Those that are still alive after that many seconds."""
    _, alive = psutil.wait_procs(processes, timeout=within)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def points(record: Record) -> list[tuple[object, ...]]:
    return sorted(tuple(row[name] for name in POINT) for row in record.trials)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """The trials of the same study, never interrupted."""
    results = tmp_path_factory.mktemp("whole")
    process = start(results)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    return points(Record(results / "cut"))


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """A test that fails leaves no study behind that would slow down the others."""
    yield
    for process in psutil.Process().children():
        if "study.run" in process.cmdline():
            process.kill()
            process.wait()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_study_that_ends_half_way_goes_on_where_it_stopped(
    how: signal.Signals, tmp_path: Path, whole: list[tuple[object, ...]]
) -> None:
    process = start(tmp_path)
    wait_for_trials(tmp_path, 2, process)
    family = processes_of(psutil.Process(process.pid))
    if how == signal.SIGKILL:  # Ray's two agents of a node may outlive their killed raylet for a while
        family = [member for member in family if not member.name().endswith("Agent")]
    # a terminal sends Ctrl-C to the whole group; nothing but the driver is killed by a SIGKILL
    os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()
    out, err = process.communicate(timeout=120)

    assert gone(family, within=60) == []
    before = Record(tmp_path / "cut").trials
    assert len(before) >= 2
    assert Record(tmp_path / "cut").study.status == "interrupted"
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in err
        assert "Traceback" not in out + err
        assert (tmp_path / "cut" / "report.html").exists()

    again = start(tmp_path, "--resume")
    out, err = again.communicate(timeout=400)
    assert again.returncode == 0, out + err
    after = Record(tmp_path / "cut")
    assert unchanged(before, after.trials)
    assert points(after) == whole
    assert after.study.status == "finished"
    assert sorted(row["run_id"] for row in after.runs) == sorted({row["run_id"] for row in after.runs})


def unchanged(before: list[Row], after: list[Row]) -> bool:
    kept = {row["trial_id"]: row for row in after}
    return all(kept[row["trial_id"]] == row for row in before)
