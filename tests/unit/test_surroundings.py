"""What a study finds around itself: temporary folders, Ray's and W&B's variables, a home, a path, a misspelled word."""

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from study import tracking
from study.__main__ import COMMANDS
from study.cluster import environment
from study.design import recipes
from study.design.states import Phase, RunStatus
from study.options import arguments, scale
from study.results import place, resume
from study.results.study_file import StudyFile
from study.tracking import service
from tests.unit.test_config import study
from trainables import architecture, scratch
from trainables.choices import choose

ROOT = Path(__file__).parents[2]


def said(*words: str, before: tuple[str, ...] = (), **given: Any) -> str:
    """The one line that a command ends with, of a user's mistake."""
    variables = {"PYTHONPATH": str(ROOT)} | given.pop("env", {})
    without = given.pop("without", ())
    kept = {name: value for name, value in os.environ.items() if name not in without}
    command = [*before, sys.executable, "-m", *words]
    ran = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=False, **given)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran.stdout + ran.stderr
    return ran.stderr


# Ray's


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `ray start` leaves its head's address."""
    for name in ("RAY_ADDRESS", "TMPDIR", environment.AUTH_MODE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    return tmp_path


@pytest.fixture
def something_else(temporary: Path) -> Iterator[str]:
    """A stale file whose port belongs to something else now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        (temporary / "ray" / "ray_current_cluster").write_text(address)

        def answer() -> None:
            while True:
                try:
                    there = listening.accept()[0]
                except OSError:
                    return
                with there:
                    there.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield address
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_stale_file_of_ray_whose_port_belongs_to_something_else_is_one_line_at_once(
    something_else: str, temporary: Path
) -> None:
    with pytest.raises(ValueError, match=r"is no Ray head: .*RAY_ADDRESS=local to start one here") as mistake:
        environment.check()
    assert f"what listens at {something_else} ({temporary}/ray/ray_current_cluster)" in str(mistake.value)


def test_a_file_of_ray_whose_head_is_gone_is_nothing(temporary: Path) -> None:
    (temporary / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    assert environment.address() != "127.0.0.1:9"


def test_local_starts_a_ray_here_whatever_runs_and_auto_wants_one_that_runs(
    something_else: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert environment.address() is None
    environment.check()
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert environment.address() == something_else
    (temporary / "ray" / "ray_current_cluster").unlink()
    if environment.address() is None:  # none in /tmp either
        with pytest.raises(ValueError, match="RAY_ADDRESS=auto, but no Ray head answers"):
            environment.check()


def test_the_first_line_says_whether_it_speaks_of_this_machine_or_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert " for this machine has " in scale.chosen("auto")[1]


def as_a_user() -> None:
    """Root reads everything; this process and what it starts do not."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP


@pytest.mark.skipif(sys.platform != "linux", reason="by Linux's capabilities")
@pytest.mark.parametrize("closed", ["ray", "ray/ray_current_cluster"])
def test_what_another_user_closed_in_rays_folder_does_not_matter(closed: str, temporary: Path) -> None:
    (temporary / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    (temporary / closed).chmod(0)
    try:
        line = said("study.run", "--model", "vit", "--trials", "0", preexec_fn=as_a_user)
    finally:
        (temporary / closed).chmod(0o700)
    assert "trials must be at least 1" in line


# W&B's

OF_AN_AGENT = {
    "WANDB_SWEEP_ID": "lab/others/abcdefgh",
    "WANDB_RUN_ID": "theirs",
    "WANDB_RESUME": "must",
    "WANDB_SWEEP_PARAM_PATH": "/no/such/config.yaml",
}


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


def test_a_sweep_that_a_study_is_started_in_is_left_out_and_that_is_said(
    no_wandb: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OF_AN_AGENT.items():
        monkeypatch.setenv(name, value)
    lines: list[str] = []
    tracker = tracking.start("offline", tmp_path / "results", "a-study", say=lines.append)
    for run_id in ("trial-000", "trial-001"):
        tracker.begin(run_id, Phase.SEARCH, {"lr": 1e-3})
        tracker.finish(run_id, {"val_accuracy": 0.3}, RunStatus.COMPLETED)
    tracker.close(timeout=60)
    [line] = lines
    assert line.startswith("W&B: WANDB_SWEEP_ID, WANDB_SWEEP_PARAM_PATH, WANDB_RUN_ID and WANDB_RESUME are of another")
    runs = [path.name for path in (tmp_path / "results" / "wandb").glob("offline-run-*/run-*.wandb")]
    assert sorted(name.partition("-trial-")[2][:3] for name in runs) == ["000", "001"]
    assert {name: os.environ.get(name) for name in OF_AN_AGENT} == OF_AN_AGENT  # of whoever comes next


@pytest.mark.parametrize("value", ["true", "1", "Yes"])
def test_who_has_disabled_wandb_has_none(value: str, no_wandb: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", value)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert isinstance(tracking.start(None, Path(), "a-study"), tracking.Disabled)
    monkeypatch.setenv("WANDB_DISABLED", "false")
    assert service.mode_of_environment() == "online"


def test_the_temporary_folders_of_a_client_that_was_killed_are_swept(tmp_path: Path) -> None:
    code = "import os; from study.tracking import service; service.load(); os.kill(os.getpid(), 9)"
    variables = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    given = {name: value for name, value in os.environ.items() if name not in ("RAY_TMPDIR", "STUDY_SCRATCH")}
    ran = subprocess.run([sys.executable, "-c", code], env=given | variables, check=False)
    assert ran.returncode == -9
    [of_user] = [path for path in tmp_path.iterdir() if "wandb" in path.name or path.name.startswith("study-")]
    [claimed] = scratch.folders(of_user)
    assert any("wandb" in path.name for path in claimed.iterdir())  # else this test says nothing
    assert not scratch.held(claimed)


def test_the_clients_service_has_its_temporary_files_where_they_are_swept(tmp_path: Path, no_wandb: None) -> None:
    before = os.environ.get("TMPDIR")
    tracker = tracking.start("offline", tmp_path / "results", "a-study")
    tracker.begin("trial-000", Phase.SEARCH, {"lr": 1e-3})
    deadline = time.monotonic() + 60
    while not (found := [one for one in psutil.Process().children(recursive=True) if one.name() == "wandb-core"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {one.environ()["TMPDIR"] for one in found} == {str(scratch.here())}
    tracker.close(timeout=60)
    assert os.environ.get("TMPDIR") == before


# Homes and paths


@pytest.mark.skipif(sys.platform != "linux", reason="by Linux's namespaces")
def test_a_number_that_is_no_user_and_has_no_home_runs_commands(tmp_path: Path) -> None:
    nobody = ("unshare", "--user", "--map-user=54321", "--map-group=54321")
    if subprocess.run([*nobody, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs namespaces of users")
    submit = ("study.submit", "--address", "http://127.0.0.1:9", "--", "study.run", "--model", "vit")
    line = said(*submit, before=nobody, without=("HOME",), env={"RAY_TMPDIR": str(tmp_path)})
    assert "no Ray cluster takes jobs" in line
    assert (tmp_path / "study-54321" / "home").is_dir()


PLACES = {"DIR", "PATH", "STUDY", "SOURCE", "NAME|PLACE", "FILE.toml", "FILE.yaml", "RESULTS|STUDY"}
READ_LATER = {"config", "space", "recipe"}


def test_every_option_that_takes_a_path_knows_a_home_after_its_equals_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/of/mine")
    tried = []
    for command in COMMANDS.values():
        for action in command.loaded.parser()._actions:
            if action.metavar in PLACES and action.dest not in READ_LATER - {"space"}:
                assert action.type, action.dest
                assert str(action.type("~/there")) == "/of/mine/there", action.dest
                tried.append(action.dest)
    assert {"results", "dataset", "weights", "data_dir", "space", "folder", "file", "working_dir"} <= set(tried)


def test_files_of_options_of_a_recipe_and_of_a_dataset_are_found_at_home_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text("epochs = 3\n")
    assert recipes.chosen("~/mine.toml", architecture.get("vit")).epochs == 3
    options = COMMANDS["run"].loaded.parser().parse(["--model", "vit", "--config=~/mine.toml", "--data-option=a=~/b"])
    assert (options.epochs, arguments.request(options).settings) == (3, {"a": f"{tmp_path}/b"})


def test_the_home_of_somebody_who_is_not_there_is_one_line() -> None:
    with pytest.raises(ValueError, match="~no-such-user/there: there is no such user"):
        place.local("~no-such-user/there")


def test_the_same_images_under_another_path_are_the_same_study() -> None:
    here = study(dataset="/data/photos")
    space = {name: domain.facts() for name, domain in here.space.items()}
    record = StudyFile().with_entries({"study": here.facts(), "space": space})
    for other in ("photos", "../photos", "s3://bucket/photos"):
        resume.check_same(replace(here, dataset=other), record, tested=True)
    with pytest.raises(ValueError, match="has dataset /data/photos, not digits"):
        resume.check_same(replace(here, dataset="digits"), record, tested=True)
    with pytest.raises(ValueError, match=r"recorded on other images than \.\./photos now"):
        resume.check_same_images(replace(here, dataset="../photos"), "one", "another")


# Words


@pytest.mark.parametrize(
    ("given", "choices", "nearest"),
    [
        ("efficientnet_b0", architecture.names(), None),
        ("swin", architecture.names(), None),
        ("resnet50", architecture.names(), "resnet"),
        ("alex", architecture.names(), "alexnet"),
        ("rnu", COMMANDS, "run"),
        ("cifar", ["cifar10", "digits"], "cifar10"),
        ("learning_rate", ["head_lr_scale", "lr"], None),
    ],
)
def test_only_what_is_near_is_suggested(given: str, choices: list[str], nearest: str | None) -> None:
    with pytest.raises(ValueError, match="unknown name") as mistake:
        choose("name", given, choices)
    assert str(mistake.value).partition("; did you mean ")[2].rstrip("?") == (nearest or "")


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (["--trails", "3", "--model", "vit"], "unknown option --trails; did you mean --trials?"),
        (["-model", "vit"], "unknown option -model; did you mean --model?"),
        (["--modle", "vit"], "unknown option --modle; did you mean --model?"),
        (["--model", "vit", "--address", "x"], "unknown option --address ("),
        (["--model", "vit", "--scale", "mini", "--pretraining", "in1k"], "fashion6k, none; --scale paper has it"),
        (["--model", "vit", "--scale", "paper", "--pretraining", "fashion6k"], "in21k, none; --scale mini has it"),
        (["--model", "vit_mini"], "it is a variant: give --model vit --variant ..."),
    ],
)
def test_a_misspelled_option_and_a_name_of_another_scale_are_told_the_way(
    words: list[str], way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from study.run import main

    try:
        code = main(words)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert way_out in capsys.readouterr().err


@pytest.mark.parametrize(("interface", "alone"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_head_that_is_on_the_loopback_interface_alone_is_found_there(interface: str, alone: bool) -> None:
    if environment.machine_address() == "127.0.0.1":
        pytest.skip("this machine has the loopback interface only")
    with socket.create_server((interface, 0)) as server:
        port = server.getsockname()[1]
        assert environment.only_on_loopback(f"127.0.0.1:{port}") is alone
        assert not environment.only_on_loopback(f"{environment.machine_address()}:{port}")
