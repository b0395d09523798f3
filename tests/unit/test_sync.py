"""Uploading what the real client wrote to disk, to a server that it takes for W&B's."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from study.sync import main
from study.tracking import tracked, upload
from tests.wandb_stand_in import KEY, Server

ROOT = Path(__file__).parents[2]
STUDY = """
import sys
from pathlib import Path
from study import tracking
from study.design.states import Phase, RunStatus
about = tracking.About("python -m study.run", {"name": "study1", "method": "bayes", "parameters": {}})
tracker = tracking.start("offline", Path("study1"), "study1", about=about)
def log(run, *epochs):
    for epoch in epochs:
        tracker.log(run, {"epoch": epoch, "val_accuracy": epoch / 10})
for run in ("trial-000", "trial-001"):
    tracker.begin(run, Phase.SEARCH, {"lr": 0.1})
    log(run, 1, 2, 3)
tracker.finish("trial-000", {}, RunStatus.COMPLETED)
sys.stdin.readline()
log("trial-001", 4, 5)
tracker.finish("trial-001", {}, RunStatus.COMPLETED)
tracker.begin("trial-002", Phase.SEARCH, {"lr": 0.1})
log("trial-002", 1, 2)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a study, whose user is not logged in."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "study1"
    folder.mkdir()
    (folder / "study.json").write_text("{}")
    return folder


@pytest.fixture
def study(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """One that is under way: trial-000 has ended, trial-001 has three epochs."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    with subprocess.Popen(
        [sys.executable, "-c", STUDY],
        cwd=folder.parent,
        env=given | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def go_on(study: "subprocess.Popen[str]") -> None:
    assert study.stdin
    study.stdin.write("\n")
    study.stdin.flush()


def wait_for(folder: Path, *epochs: int) -> None:
    """Until the files of the runs hold so many epochs each."""
    from time import monotonic, sleep

    from tests.wandb_stand_in import runs

    until = monotonic() + 180
    while [len(run.curve) for _, run in sorted(runs(folder).items())] != list(epochs):
        assert monotonic() < until, runs(folder)
        sleep(0.1)


def epochs(server: Server) -> dict[str, list[int]]:
    """Those of each run that the server has, in order, by its name."""
    return {
        run.removeprefix("study1-")[:9]: [row["epoch"] for _, row in sorted(rows.items())]
        for run, rows in sorted(server.history.items())
    }


def test_a_study_is_uploaded_while_it_runs_and_after_it_was_killed_and_nothing_is_doubled(
    study: "subprocess.Popen[str]", folder: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for(folder, 3, 3)
    assert main([str(folder)]) == 0
    uploaded = f"{folder}: 2 runs uploaded to me\n"
    assert capsys.readouterr().out == f"{folder}: its trials are sweep me/study/s1\n{uploaded}"
    assert epochs(server) == {"trial-000": [1, 2, 3], "trial-001": [1, 2, 3]}

    go_on(study)
    wait_for(folder, 3, 5, 2)
    study.send_signal(signal.SIGKILL)
    study.wait()
    waiting = [run.parent.name.rpartition("-")[0][-9:] for run in upload.waiting(folder)]
    assert waiting == ["trial-001", "trial-002"]
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: 2 runs uploaded to me\n"
    whole = {"trial-000": [1, 2, 3], "trial-001": [1, 2, 3, 4, 5], "trial-002": [1, 2]}
    assert epochs(server) == whole
    assert len(server.begun) == 3
    assert list(server.sweeps) == ["s1"]
    assert {run.sweep for run in server.runs.values()} == {"s1"}

    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"W&B lacks nothing of {folder}: it has the 3 that were written to disk\n"
    there = tracked(folder)
    assert there
    assert there.waiting == 0
    for run in folder.glob("wandb/offline-run-*/*.synced"):
        run.unlink()  # as a copy of the folder may lack them
    assert main([str(folder)]) == 0
    assert epochs(server) == whole
    assert list(Path().iterdir()) == []
    logs = [path.read_text(errors="replace") for path in folder.rglob("*.log")]
    assert not [log for log in logs if KEY in log]


def test_runs_that_were_uploaded_by_other_means_are_attached_to_the_sweep_that_is_made(
    study: "subprocess.Popen[str]", folder: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for(folder, 3, 3)
    run = upload.waiting(folder)[0]
    upload.upload(folder, [run])  # before there is a sweep, as `wandb sync` does
    assert [one.sweep for one in server.runs.values()] == [None]
    assert main([str(folder)]) == 0
    assert {one.sweep for one in server.runs.values()} == {"s1"}
    assert len(server.runs) == 2


TESTED = """
from pathlib import Path
import numpy as np
from study import tracking
from study.design.states import Phase, RunStatus
tracker = tracking.start("offline", Path("study1"), "study1")
row = {"class": "cat", "precision": 1.0}
sample = tracking.Sample(Path("image.png").read_bytes(), 0, 0, 0.9)
test = tracking.Predictions(["cat", "dog"], np.array([0]), np.array([0]), np.array([0.9]), [row], [sample])
tracker.begin("trial-000", Phase.SEARCH, {"lr": 0.1})
tracker.finish("trial-000", {}, RunStatus.COMPLETED)
tracker.begin("test-seed0", Phase.TEST, {"lr": 0.1})
tracker.finish("test-seed0", {}, RunStatus.COMPLETED, test)
tracker.tag(["trial-000"], "winner")
tracker.conclude({}, {}, Path("study1/best").resolve())
tracker.close(60)
"""


def test_a_folder_that_was_copied_from_another_machine_loses_nothing(
    folder: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "best" / "deep").mkdir(parents=True)
    (folder / "best" / "model.safetensors").write_bytes(b"weights")
    (folder / "best" / "deep" / "config.json").write_bytes(b"{}")
    Image.new("L", (8, 8)).save(tmp_path / "image.png")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    command = [sys.executable, "-c", TESTED]
    subprocess.run(command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, check=True)
    there = tmp_path / "copied" / "study1"
    shutil.copytree(folder, there)
    shutil.rmtree(folder)
    everything = sorted(map(str, there.glob("wandb/offline-run-*")))
    plain = [sys.executable, "-m", "wandb", "sync", *everything]
    subprocess.run(plain, cwd=tmp_path, check=True, capture_output=True)  # leaves out what it does not find
    assert not [one for one in server.artifacts.values() if one.committed]
    server.artifacts.clear()
    assert main([str(there)]) == 0
    assert upload.waiting(there) == []
    found = {one.name: one for one in server.artifacts.values()}
    assert all(one.committed for one in found.values())
    assert found["study1-best"].files == {"model.safetensors": b"weights", "deep/config.json": b"{}"}
    runs = {name.removeprefix("study1-")[:-7]: run for name, run in server.runs.items()}
    tables = [name for name in found if name.startswith("run-study1-test-seed0")]
    assert len(tables) == 2  # the chart's and the report's
    kinds = {Path(name).parts[1] for name in runs["test-seed0"].files if name.startswith("media/")}
    assert kinds == {"table", "images"}
    assert "winner" in runs["trial-000"].tags


@pytest.fixture
def one_run(folder: Path) -> Path:
    run = folder / "wandb" / "offline-run-20260101_000000-x" / "run-x.wandb"
    run.parent.mkdir(parents=True)
    run.touch()
    return run


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_who_has_no_key_is_told_what_to_do(one_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "error: uploading needs a key of W&B: run `wandb login`" in refused(folder, capsys)


def test_a_server_that_is_not_there_is_one_line(
    one_run: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert "error: W&B cannot be reached, so nothing was uploaded: " in refused(folder, capsys)


def test_a_run_that_is_not_taken_is_named_and_stays_to_be_uploaded(
    one_run: Path, folder: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    one_run.write_bytes(b"no run at all")
    assert main([str(folder)]) == 1
    said = capsys.readouterr()
    assert said.out == f"{folder}: 0 runs uploaded to me\n"
    assert said.err == f"error: W&B did not take 1 run, as {one_run.parent.name}: try again\n"
    assert upload.waiting(folder) == [one_run]


def test_a_folder_without_runs_of_its_own_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"W&B lacks nothing of {folder}: no run was written to disk only\n"
