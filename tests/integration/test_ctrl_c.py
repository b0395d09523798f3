"""Ctrl-C and SIGTERM at any moment: one line, its exit code, and nothing left behind.

`STUDY_MOMENTS=0.1,0.5,3` in the environment sends them at other moments, seconds after the start.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from study.results.study_file import StudyFile

MOMENTS = [float(moment) for moment in os.environ.get("STUDY_MOMENTS", "0.3,2.5").split(",")]
STUDY = ["--model", "resnet", "--pretraining", "none", "--scale", "mini", "--wandb", "disabled", "--trials", "9"]
BEFORE = "interrupted before the study began: nothing was written\n"


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Its exit code and what it said, after a signal that was sent as by a terminal; none of its processes is left."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert psutil.wait_procs(family, timeout=30)[1] == []
    return process.returncode, err


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_study_is_interrupted_before_it_has_begun(
    moment: float, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    process = start(tmp_path, "study.run", *STUDY, "--name", "early")
    time.sleep(moment)
    returned, err = interrupted(process, number)
    assert returned == code
    assert err in ("interrupted\n", BEFORE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["study.compare", "--models", "resnet", "vit", "--scale", "mini", "--trials", "2"],
        ["study.probe", "--model", "resnet", "--scale", "mini"],
        ["study.data", "check", "digits"],
        ["study.status"],
        ["study", "run", *STUDY],
        ["study.cache", "verify"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_is_interrupted_in_one_line(words: list[str], tmp_path: Path) -> None:
    process = start(tmp_path, *words)
    time.sleep(0.5)
    if process.poll() is not None:  # it was quicker
        assert process.communicate()[1] == ""
        return
    returned, err = interrupted(process, signal.SIGINT)
    assert (returned, err.count("\n"), err[:11]) == (130, 1, "interrupted")
    assert list(tmp_path.iterdir()) == []


def begun(folder: Path, process: subprocess.Popen[str]) -> None:
    """Returns when a trial has ended."""
    until = time.monotonic() + 120
    while not (folder / "results" / "late" / "trials.parquet").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_study_that_runs_stops_in_order_and_at_once_the_second_time(tmp_path: Path) -> None:
    process = start(tmp_path, "study.run", *STUDY, "--name", "late", "--epochs", "2")
    begun(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.2)
    returned, err = interrupted(process, signal.SIGINT)
    assert returned == 130
    first, *others = err.splitlines()
    assert first == "stopping: what is finished is kept; Ctrl-C again to leave at once"
    assert [line.partition(";")[0] for line in others] == ["interrupted"]
    assert "--resume" in others[0]
    assert StudyFile.read(tmp_path / "results" / "late").status == "interrupted"


@pytest.mark.parametrize(
    ("number", "victim", "seconds"),
    [
        (signal.SIGKILL, "raylet", 30),
        pytest.param(signal.SIGKILL, "gcs_server", 30, marks=pytest.mark.long),
        pytest.param(signal.SIGSTOP, "raylet", 150, marks=pytest.mark.long),  # Ray itself gives it more than a minute
        pytest.param(signal.SIGSTOP, "gcs_server", 150, marks=pytest.mark.long),
    ],
)
def test_a_study_outlives_its_ray_and_says_how_to_go_on(
    number: signal.Signals, victim: str, seconds: float, tmp_path: Path
) -> None:
    process = start(tmp_path, "study.run", *STUDY, "--name", "late", "--epochs", "2")
    begun(tmp_path, process)
    family = psutil.Process(process.pid).children(recursive=True)
    struck = time.monotonic()
    next(one for one in family if one.name() == victim).send_signal(number)
    _, err = process.communicate(timeout=180)
    assert time.monotonic() - struck < seconds
    assert process.returncode == 1
    *notes, last = err.splitlines()
    assert last.startswith("error: Ray has ended (its ")
    assert last.endswith("--resume")
    # Ray's head ends the processes of a node whose raylet it takes for dead
    assert [line for line in notes if number == signal.SIGKILL or "its process died" not in line] == []
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert StudyFile.read(tmp_path / "results" / "late").status == "interrupted"
    assert (tmp_path / "results" / "late" / "report.html").exists()
    assert not (tmp_path / "results" / "late" / ".lock").exists()


LEFT = """
import psutil, sys
from study.cluster import connection, ending
from study.terminal import supervisor

def command():
    ending.LEAVING = 3.0
    with connection.connected():
        next(one for one in psutil.Process().children(recursive=True) if one.name() == "raylet").suspend()
    return 0

sys.exit(supervisor.supervised(command, lambda folder: None))
"""


STARTED = """
import multiprocessing, sys, time
import psutil
from study.cluster import connection, ending, sessions
from study.terminal import supervisor

def drivers():
    return set(sessions.folder().glob("session_*/logs/python-core-driver-*"))

def stop(parent, before):
    while drivers() <= before:
        time.sleep(0.001)
    # it connects now
    next(one for one in psutil.Process(parent).children(recursive=True) if one.name() == "gcs_server").suspend()

def command():
    ending.STARTING = 20.0
    multiprocessing.get_context("fork").Process(target=stop, args=(psutil.Process().pid, drivers())).start()
    with connection.connected():
        pass
    return 0

sys.exit(supervisor.supervised(command, lambda folder: None))
"""


def test_a_ray_that_cannot_be_connected_to_has_ended(tmp_path: Path) -> None:
    (tmp_path / "starts.py").write_text(STARTED)
    process = start(tmp_path, "starts")
    _, err = process.communicate(timeout=180)
    assert (process.returncode, err) == (1, "error: Ray has ended (starting it took more than 20 s)\n")


def test_a_ray_that_cannot_be_left_has_ended(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text(LEFT)
    process = start(tmp_path, "leaves")
    _, err = process.communicate(timeout=180)
    assert (process.returncode, err) == (1, "error: Ray has ended (leaving it took more than 3 s)\n")
