"""A study as a job of a real head: submitted, followed, stopped in order, gone on with; and listed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import ROOT, Head, ray_head

pytest.importorskip("aiohttp", reason="Ray's jobs need the extra `cluster`")

STUDY = ["study.run", "--model", "resnet", "--pretraining", "none", "--epochs", "1", "--top-k", "1", "--seeds", "1"]
STUDY += ["--max-concurrent", "1", "--wandb", "disabled", "--name", "far"]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with ray_head(tmp_path_factory.mktemp("jobs").resolve(), token="of-this-head", cpus=2, dashboard=True) as head:
        yield head


def variables(head: Head) -> dict[str, str]:
    return os.environ | {"HOME": str(head.home), "PYTHONPATH": str(ROOT), "RAY_ADDRESS": "local"}


def start(head: Head, *words: str) -> subprocess.Popen[str]:
    """`study.submit` on a machine that knows no more of the cluster than its address and token."""
    command = [sys.executable, "-m", "study.submit", "--address", head.url, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=variables(head), cwd=head.folder, text=True, **pipes)  # type: ignore[call-overload]


def submit(head: Head, *words: str, code: int = 0) -> str:
    process = start(head, *words)
    out, err = process.communicate(timeout=200)
    assert process.returncode == code, out + err
    return str(out + err)


def status(head: Head, *words: str) -> str:
    """What `study.status` prints on the machine that is no node."""
    command = [sys.executable, "-m", "study.status", "--address", head.url, *words]
    ended = subprocess.run(command, env=variables(head), cwd=head.folder, capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def status_of(record: Path) -> str | None:
    path = record / "study.json"
    return json.loads(path.read_text())["status"] if path.exists() else None


def wait_for(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.long
def test_a_study_is_submitted_followed_stopped_and_gone_on_with(head: Head) -> None:
    record = head.home / "study-results" / "far"
    said = submit(head, "--", *STUDY, "--trials", "3")
    job = said.partition(":")[0]
    assert f"{job}: python -m {' '.join(STUDY)} --trials 3 --results '~/study-results'" in said
    assert "below ~/study-results on the head" in said
    assert f"--follow {job}" in said

    following = start(head, "--follow", job)
    wait_for(record / "trials.parquet")
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=120)
    assert following.returncode == 0
    assert "scale mini" in out
    assert f"{job} goes on; see it again with: python -m study.submit --address {head.url} --follow {job}" in err
    assert status_of(record) == "running"

    assert f"--resume {job}" in submit(head, "--stop", job)
    stopped = submit(head, "--follow", job, code=1)
    assert f"{job} stopped; go on with" in stopped
    assert status_of(record) == "interrupted"
    assert (record / "report.html").exists()

    finished = submit(head, "--resume", job, "--follow")
    assert "test accuracy" in finished
    assert status_of(record) == "finished"

    looked = json.loads(status(head, "--json"))
    assert [(one["name"], one["status"], one["done"]) for one in looked["studies"]] == [("far", "finished", 1)]
    assert looked["studies"][0]["device_hours"] > 0
    assert [one["status"] for one in looked["jobs"]] == ["succeeded", "stopped"]
    shown = status(head)
    assert all(words in shown for words in ("far", "test 1/1", "thread-h"))


def test_a_job_that_is_not_there_and_a_token_of_another_cluster_are_named(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"error: {head.url} has no study as job none" in submit(head, "--follow", "none", code=2)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    assert "refuses the token in RAY_AUTH_TOKEN" in submit(head, "--follow", "none", code=2)
