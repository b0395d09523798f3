"""The real client, offline or before a server that fails; what it wrote is read from its own files."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image

from study import tracking
from study.design.states import Phase, RunStatus
from study.tracking import copies, media
from study.tracking.folder import offline_runs
from tests.wandb_stand_in import KEY, Answers, Server, Written, read, runs
from trainables import scratch

ROOT = Path(__file__).parents[2]
SECONDS = 60
CURVE = [
    {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "val_loss": 2 / epoch,
        "val_accuracy": epoch / 10,
        "lr": 0.01,
        "seconds": 0.5,
    }
    for epoch in (1, 2, 3)
]
CONFIG = {
    "lr": 0.01,
    "freeze_depth": 2,
    "model": "resnet",
    "scale": "mini",
    "pretraining": "fashion",
    "dataset": "digits",
}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# A place of its own, and servers.

Begin = Callable[..., tracking.Tracker]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody is logged in, and nothing is configured."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def begin(tmp_path: Path, said: list[str]) -> Begin:
    def begin(mode: str | None = "offline", **more: Any) -> tracking.Tracker:
        more = {"say": said.append, "patience": 1.0, **more}
        return tracking.start(mode, tmp_path / "results", "study1", **more)

    return begin


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)


@contextmanager
def driver(code: str, *, folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own, in `folder`; it ends with the block."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def png(brightness: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (8, 8), brightness).save(content, "png")
    return content.getvalue()


def predictions(*, first_image: bytes | None = None) -> tracking.Predictions:
    row = {"precision": 1.0, "recall": 0.5, "f1-score": np.float64(2 / 3), "support": 2.0}
    return tracking.Predictions(
        classes=("cat", "dog"),
        label=np.array([0, 0, 1]),
        predicted=np.array([0, 1, 1]),
        confidence=np.array([0.9, 0.6, 0.8]),
        per_class=[{"class": "cat", **row}, {"class": "dog", **row}],
        samples=[
            tracking.Sample(first_image or png(10), 0, 0, 0.9),
            tracking.Sample(png(200), 0, 1, 0.6),
        ],
    )


def whole_run(tracker: tracking.Tracker, run_id: str = "trial-000") -> None:
    tracker.begin(run_id, Phase.SEARCH, CONFIG)
    for row in CURVE:
        tracker.log(run_id, row)
    tracker.finish(run_id, {"val_accuracy": 0.3}, RunStatus.COMPLETED)


# What a run holds.


def test_a_run_is_in_its_group_with_job_type_tags_and_config(begin: Begin, tmp_path: Path):
    tracker = begin()
    whole_run(tracker)
    tracker.close(SECONDS)
    written = runs(tmp_path / "results")["trial-000"]
    assert (written.run.project, written.run.run_group, written.run.job_type) == ("study", "study1", "search")
    assert list(written.run.tags) == ["resnet", "mini", "fashion", "digits", "completed"]
    stamp = (tmp_path / "results" / "wandb" / "stamp").read_text()
    assert {name: value for name, value in written.config.items() if name != "_wandb"} == CONFIG | {"record": stamp}


def test_history_is_what_was_logged_and_the_step_is_the_epoch(begin: Begin, tmp_path: Path):
    tracker = begin()
    whole_run(tracker)
    tracker.close(SECONDS)
    written = runs(tmp_path / "results")["trial-000"]
    assert written.curve == CURVE
    assert written.steps == [1, 2, 3]


def test_the_summary_is_the_drivers_and_not_the_last_epochs(begin: Begin, tmp_path: Path):
    tracker = begin()
    tracker.begin("trial-000", Phase.SEARCH, CONFIG)
    tracker.log("trial-000", {"epoch": 1, "val_accuracy": 0.9})
    tracker.log("trial-000", {"epoch": 2, "val_accuracy": 0.1})
    tracker.finish("trial-000", {"val_accuracy": 0.9, "reason": None}, RunStatus.PRUNED)
    tracker.close(SECONDS)
    written = runs(tmp_path / "results")["trial-000"]
    assert (written.summary["val_accuracy"], written.summary["status"]) == (0.9, "pruned")
    assert "reason" not in written.summary


def test_what_a_run_does_not_have_is_left_out(begin: Begin, tmp_path: Path):
    tracker = begin()
    tracker.begin("test-seed0", Phase.TEST, {"lr": 0.1, "dataset": None})
    tracker.log("test-seed0", {"epoch": 1, "train_loss": 0.5, "val_loss": None})
    tracker.finish("test-seed0", {}, RunStatus.COMPLETED)
    tracker.close(SECONDS)
    written = runs(tmp_path / "results")["test-seed0"]
    assert written.curve == [{"epoch": 1, "train_loss": 0.5}]
    assert "dataset" not in written.config


def test_runs_that_are_open_at_once_stay_apart(begin: Begin, tmp_path: Path):
    tracker = begin()
    for run_id in ("trial-000", "trial-001"):
        tracker.begin(run_id, Phase.SEARCH, {"name": run_id})
    for row in CURVE:
        tracker.log("trial-000", row)
        tracker.log("trial-001", {**row, "val_accuracy": 0.0})
    tracker.finish("trial-001", {}, RunStatus.PRUNED)
    tracker.finish("trial-000", {}, RunStatus.FAILED)
    tracker.close(SECONDS)
    written = runs(tmp_path / "results")
    assert written["trial-000"].curve == CURVE
    assert written["trial-001"].curve == [{**row, "val_accuracy": 0.0} for row in CURVE]
    assert [written[name].exit_code for name in ("trial-000", "trial-001")] == [1, 0]


def test_a_test_run_has_its_tables_and_images_as_files_in_the_folder(begin: Begin, tmp_path: Path):
    tracker = begin()
    tracker.begin("test-seed0", Phase.TEST, CONFIG)
    tracker.log("test-seed0", {"epoch": 1, "train_loss": 0.5})
    tracker.finish("test-seed0", {}, RunStatus.COMPLETED, predictions())
    tracker.close(SECONDS)
    folder = tmp_path / "results"
    [run_folder] = folder.glob("wandb/offline-run-*")
    tables = {
        path.name.split("_2_")[0]: json.loads(path.read_text())
        for path in run_folder.glob("files/media/table/*.table.json")
    }
    assert tables["confusion_matrix_table"]["data"] == [
        ["cat", "cat", 1.0],
        ["cat", "dog", 1.0],
        ["dog", "cat", 0.0],
        ["dog", "dog", 1.0],
    ]
    assert tables["classification_report"]["columns"] == ["class", "precision", "recall", "f1-score", "support"]
    written = runs(folder)["test-seed0"]
    assert written.curve == [{"epoch": 1, "train_loss": 0.5}]
    shown = written.history[-1]
    assert shown["samples/captions"] == ["cat (90%)", "cat taken for dog (60%)"]
    paths = [shown["confusion_matrix_table/path"], shown["classification_report/path"], *shown["samples/filenames"]]
    assert all((run_folder / "files" / path).exists() for path in paths)
    assert written.config["_wandb/visualize/confusion_matrix"]["panel_type"] == "Vega2"


def test_an_image_that_cannot_be_read_leaves_the_run_finished(begin: Begin, tmp_path: Path, said: list[str]):
    tracker = begin()
    for run_id in ("test-seed0", "test-seed1"):
        tracker.begin(run_id, Phase.TEST, CONFIG)
        tracker.finish(run_id, {"test_accuracy": 0.5}, RunStatus.COMPLETED, predictions(first_image=b"no image"))
    tracker.close(SECONDS)
    [line] = said
    assert "cannot identify image" in line
    assert {name: written.summary["status"] for name, written in runs(tmp_path / "results").items()} == {
        "test-seed0": "completed",
        "test-seed1": "completed",
    }


# Studies that stop and go on.


def test_a_run_begun_again_by_a_resumed_study_takes_the_place_of_the_interrupted_one(begin: Begin, tmp_path: Path):
    first = begin()
    whole_run(first, "trial-000")
    first.begin("trial-001", Phase.SEARCH, CONFIG)
    first.log("trial-001", {"epoch": 1, "val_loss": 9.0})
    first.close(SECONDS)
    before = runs(tmp_path / "results")
    assert (before["trial-001"].summary["status"], before["trial-001"].exit_code) == ("interrupted", 255)
    second = begin()
    whole_run(second, "trial-001")
    second.close(SECONDS)
    after = runs(tmp_path / "results")
    assert {name: run.run.run_id for name, run in after.items()} == {
        name: run.run.run_id for name, run in before.items()
    }
    assert after["trial-001"].curve == CURVE


def test_a_run_may_be_begun_again_in_the_same_study(begin: Begin, tmp_path: Path):
    tracker = begin()
    tracker.begin("trial-000", Phase.SEARCH, CONFIG)
    tracker.log("trial-000", {"epoch": 1, "val_loss": 9.0})
    whole_run(tracker, "trial-000")
    tracker.close(SECONDS)
    assert runs(tmp_path / "results")["trial-000"].curve == CURVE


def test_studies_of_one_name_in_two_folders_have_different_runs_and_their_config_tells_them_apart(tmp_path: Path):
    ids, stamps = set(), set()
    for place in ("here", "there"):
        tracker = tracking.start("offline", tmp_path / place, "study1")
        whole_run(tracker)
        tracker.close(SECONDS)
        written = runs(tmp_path / place)["trial-000"]
        ids.add(written.run.run_id)
        stamps.add(written.config["record"])
    assert len(ids) == len(stamps) == 2


def test_what_lies_in_a_folder_is_known_with_where_it_is_to_go(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    assert tracking.tracked(tmp_path / "results") is None
    tracker = begin()
    whole_run(tracker, "trial-000")
    whole_run(tracker, "trial-001")
    tracker.close(SECONDS)
    tracked = tracking.tracked(tmp_path / "results")
    written = runs(tmp_path / "results")["trial-000"]
    assert tracked
    assert (tracked.entity, tracked.project) == (written.run.entity, written.run.project) == ("lab", "study")
    assert tracked.record == written.config["record"]
    assert tracked.waiting == 2


def test_a_name_with_any_characters_makes_an_id_that_the_client_takes(tmp_path: Path, said: list[str]):
    tracker = tracking.start("offline", tmp_path, "a/b: 100% of #1?" + "x" * 200, say=said.append)
    whole_run(tracker)
    tracker.close(SECONDS)
    [path] = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert read(path).curve == CURVE
    assert said == []


# Modes.


def test_a_disabled_tracker_writes_nothing_and_never_imports_the_client(tmp_path: Path):
    code = """
        import sys
        from pathlib import Path
        from study import tracking
        from study.design.states import Phase, RunStatus
        tracker = tracking.start("disabled", Path("results"), "study1")
        tracker.begin("trial-000", Phase.SEARCH, {})
        tracker.log("trial-000", {"epoch": 1})
        tracker.finish("trial-000", {}, RunStatus.COMPLETED)
        tracker.close(1)
        print([name for name in sys.modules if name.split(".")[0] == "wandb"])
    """
    with driver(code, folder=tmp_path / "here") as process:
        assert process.communicate() == ("[]\n", "")
    assert files(tmp_path) == []


def test_without_a_mode_a_user_who_is_not_logged_in_is_offline(begin: Begin, tmp_path: Path, said: list[str]):
    tracker = begin(None)
    whole_run(tracker)
    tracker.close(SECONDS)
    assert runs(tmp_path / "results")["trial-000"].curve == CURVE
    assert said == []


def test_without_a_mode_a_user_who_is_logged_in_is_online(
    begin: Begin,
    tmp_path: Path,
    said: list[str],
    home: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("WANDB_API_KEY")
    (home / ".netrc").write_text(f"machine 127.0.0.1:{server.server_address[1]} login user password {KEY}\n")
    tracker = begin(None, patience=15.0)
    whole_run(tracker)
    tracker.close(SECONDS)
    assert said == []
    assert runs(tmp_path / "results") == {}
    written = runs(tmp_path / "results", "run")["trial-000"]
    assert written.curve == CURVE
    assert server.begun == {written.run.run_id}


@pytest.mark.parametrize("name", ["offline", "dryrun"])
def test_the_environment_chooses_the_mode_where_the_command_does_not(
    name: str,
    begin: Begin,
    tmp_path: Path,
    said: list[str],
    unreachable: None,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("WANDB_MODE", name)
    tracker = begin(None)
    whole_run(tracker)
    tracker.close(SECONDS)
    assert runs(tmp_path / "results")["trial-000"].curve == CURVE
    assert said == []


def test_the_environment_may_disable_tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert isinstance(tracking.start(None, tmp_path, "study1"), tracking.Disabled)


def test_a_client_that_is_disabled_in_its_own_settings_writes_no_runs(
    begin: Begin, tmp_path: Path, said: list[str], home: Path
):
    settings = home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nmode = disabled\n")
    tracker = begin(None)
    whole_run(tracker)
    tracker.close(SECONDS)
    assert said == []
    assert list((tmp_path / "results" / "wandb").glob("*run*")) == []


def test_the_environment_names_the_project(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    tracker = begin()
    whole_run(tracker)
    tracker.close(SECONDS)
    assert runs(tmp_path / "results")["trial-000"].run.project == "mine"


def test_a_mode_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="online, offline or disabled, got on"):
        tracking.start("on", tmp_path, "study1")


# What fails.


def test_a_caller_never_waits_for_a_thread_that_is_held_up(begin: Begin, tmp_path: Path, unreachable: None):
    held, free = threading.Event(), threading.Event()

    def hold(line: str) -> None:
        held.set()
        assert free.wait(SECONDS)

    tracker = begin("online", say=hold)
    whole_run(tracker, "trial-000")
    assert held.wait(SECONDS)
    for number in range(1, 6):
        whole_run(tracker, f"trial-00{number}")
    assert len(runs(tmp_path / "results")) == 0
    free.set()
    tracker.close(SECONDS)
    assert [run.curve for run in runs(tmp_path / "results").values()] == [CURVE] * 6


def test_a_server_that_cannot_be_reached_is_one_line_and_every_run_is_offline(
    begin: Begin, tmp_path: Path, said: list[str], unreachable: None
):
    tracker = begin(None)
    whole_run(tracker, "trial-000")
    whole_run(tracker, "trial-001")
    tracker.close(SECONDS)
    [line] = said
    assert "connection refused" in line
    assert line.endswith(f"to upload it later: python -m study.sync {tmp_path / 'results'}")
    assert {name: run.curve for name, run in runs(tmp_path / "results").items()} == {
        "trial-000": CURVE,
        "trial-001": CURVE,
    }
    assert runs(tmp_path / "results", "run") == {}


def test_a_server_that_goes_away_in_the_middle_loses_nothing(
    begin: Begin, tmp_path: Path, said: list[str], server: Server
):
    tracker = begin("online", patience=2.0)
    whole_run(tracker, "trial-000")
    tracker.begin("trial-001", Phase.SEARCH, CONFIG)
    tracker.log("trial-001", CURVE[0])
    tracker.begin("trial-002", Phase.SEARCH, CONFIG)
    while len(server.begun) < 3 and not said:
        sleep(0.01)
    server.stop()
    for row in CURVE[1:]:
        tracker.log("trial-001", row)
    tracker.finish("trial-001", {"val_accuracy": 0.3}, RunStatus.COMPLETED)
    for row in CURVE:
        tracker.log("trial-002", row)
    tracker.finish("trial-002", {}, RunStatus.PRUNED)
    tracker.close(SECONDS)
    [line] = said
    assert "python -m study.sync" in line
    online, offline = runs(tmp_path / "results", "run"), runs(tmp_path / "results")
    written = online | offline
    assert [written[f"trial-00{number}"].curve for number in range(3)] == [CURVE] * 3
    assert [written[f"trial-00{number}"].summary["status"] for number in range(3)] == [
        "completed",
        "completed",
        "pruned",
    ]
    assert {"trial-001", "trial-002"} <= offline.keys()
    assert all(run.parent.name.startswith("offline-") for run in offline_runs(tmp_path / "results"))
    assert online.keys().isdisjoint(offline)


def test_a_user_who_asks_for_online_and_is_not_logged_in_is_told_so(begin: Begin, tmp_path: Path, said: list[str]):
    tracker = begin("online")
    whole_run(tracker)
    tracker.close(SECONDS)
    [line] = said
    assert "wandb login" in line
    assert runs(tmp_path / "results")["trial-000"].curve == CURVE


def test_a_key_that_cannot_be_one_is_told_and_the_study_is_offline(
    begin: Begin, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    tracker = begin(None)
    whole_run(tracker)
    tracker.close(SECONDS)
    [line] = said
    assert "API key must have" in line
    assert "short" not in line
    assert runs(tmp_path / "results")["trial-000"].curve == CURVE


def test_a_folder_that_cannot_be_written_is_one_line(begin: Begin, tmp_path: Path, said: list[str]):
    (tmp_path / "results").write_text("a file, not a folder")
    tracker = begin()
    whole_run(tracker, "trial-000")
    whole_run(tracker, "trial-001")
    tracker.close(SECONDS)
    [line] = said
    assert "results" in line


def test_a_call_that_fails_is_one_line_and_the_others_are_written(begin: Begin, tmp_path: Path, said: list[str]):
    tracker = begin()
    tracker.begin("trial-000", Phase.SEARCH, CONFIG)
    tracker.log("trial-000", {"epoch": 1, "val_loss": object()})
    tracker.log("trial-000", {"val_loss": 1.0})
    tracker.log("no such run", {"epoch": 1})
    for row in CURVE[1:]:
        tracker.log("trial-000", row)
    tracker.finish("trial-000", {}, RunStatus.COMPLETED)
    tracker.close(SECONDS)
    assert len(said) == 1
    assert runs(tmp_path / "results")["trial-000"].curve[-2:] == CURVE[1:]


# The process around it.

STUDY = """
    import sys
    from pathlib import Path
    from study import tracking
    tracker = tracking.start({mode!r}, Path("results"), "study1", patience=600)
    for run_id in ("trial-000", "trial-001"):
        tracker.begin(run_id, "search", {{"lr": 0.1}})
        for epoch in (1, 2, 3):
            tracker.log(run_id, {{"epoch": epoch, "val_loss": 1 / epoch}})
        if run_id == "trial-000":
            tracker.finish(run_id, {{}}, "completed")
"""
CLOSE = "    tracker.close(60)"
WAIT = "    sys.stdin.readline()"


def wait_for(folder: Path, run_id: str, epochs: int) -> None:
    while len(runs(folder).get(run_id, Written()).curve) < epochs:
        sleep(0.1)


def test_temporary_folders_of_the_client_lie_where_those_of_a_killed_study_are_removed(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def noted(*arguments: Any, **more: Any) -> str:
        made.append(Path(mkdtemp(*arguments, **more)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", noted)
    tracker = begin()
    tracker.begin("test-seed501", Phase.TEST, CONFIG)
    tracker.finish("test-seed501", {"test_accuracy": 0.5}, RunStatus.COMPLETED, test=predictions())
    tracker.close(SECONDS)
    assert made
    assert [path for path in made if not path.is_relative_to(scratch.here())] == []


def test_nothing_lies_outside_the_folder(tmp_path: Path, home: Path):
    here, temporary = tmp_path / "here", tmp_path / "tmp"
    temporary.mkdir()
    with driver(STUDY.format(mode="offline") + CLOSE, folder=here, TMPDIR=str(temporary)) as process:
        assert process.communicate() == ("", "")
    assert files(home) == files(temporary) == []
    assert [path.relative_to(here).parts[:2] for path in files(here)] == [("results", "wandb")] * len(files(here))
    assert runs(here / "results").keys() == {"trial-000", "trial-001"}


def test_the_environment_is_as_it_was_once_the_tracker_is_closed(begin: Begin):
    before = dict(os.environ)
    hooks = sys.exit, sys.excepthook
    tracker = begin()
    whole_run(tracker)
    tracker.close(SECONDS)
    assert dict(os.environ) == before
    assert (sys.exit, sys.excepthook) == hooks


def test_a_driver_that_never_closes_ends_quietly_and_keeps_its_runs(tmp_path: Path):
    with driver(STUDY.format(mode="offline") + WAIT, folder=tmp_path / "here") as process:
        wait_for(tmp_path / "here" / "results", "trial-001", 1)
        assert process.communicate("\n") == ("", "")
    assert process.returncode == 0
    written = runs(tmp_path / "here" / "results")
    assert [row["epoch"] for row in written["trial-001"].curve] == [1, 2, 3]
    assert (written["trial-000"].exit_code, written["trial-001"].exit_code) == (0, 255)


def test_a_server_that_never_answers_holds_up_neither_close_nor_the_end_of_the_process(tmp_path: Path):
    code = STUDY.format(mode="online") + WAIT + "; tracker.close(0.1); print('closed', flush=True)"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        asked = {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "PYTHONFAULTHANDLER": "1"}
        with driver(code, folder=tmp_path / "here", **asked) as process:
            connection, _ = silent.accept()
            [service] = psutil.Process(process.pid).children()
            # The client would wait 600 s for an answer.
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            process.wait(timeout=SECONDS)
            service.kill()
            out, err = process.communicate()
            connection.close()
    assert [line.split(":")[0] for line in out.splitlines()] == ["W&B", "closed"]
    assert (process.returncode, err) == (0, "")


def test_a_driver_that_is_killed_keeps_what_was_logged(tmp_path: Path):
    with driver(STUDY.format(mode="offline") + WAIT, folder=tmp_path / "here", TMPDIR=str(tmp_path)) as process:
        wait_for(tmp_path / "here" / "results", "trial-001", 3)
        process.kill()
    written = runs(tmp_path / "here" / "results")
    assert written["trial-000"].summary["status"] == "completed"
    assert [row["epoch"] for row in written["trial-001"].curve] == [1, 2, 3]


def test_a_driver_that_is_interrupted_keeps_its_runs_and_shows_its_own_traceback_only(tmp_path: Path):
    with driver(STUDY.format(mode="offline") + WAIT, folder=tmp_path / "here") as process:
        wait_for(tmp_path / "here" / "results", "trial-001", 3)
        process.send_signal(signal.SIGINT)
        process.wait()
        out, err = process.communicate()
    assert out == ""
    assert err.count("Traceback") == 1
    assert err.endswith("KeyboardInterrupt\n")
    assert "wandb" not in err
    written = runs(tmp_path / "here" / "results")
    assert (written["trial-000"].exit_code, written["trial-001"].exit_code) == (0, 255)


# What is known later: sweeps, tags, the model.

SWEEP = {"name": "study1", "method": "bayes", "metric": {"name": "val_accuracy", "goal": "maximize"}, "parameters": {}}


def ours() -> dict[str, str]:
    """W&B's variables of this process."""
    return {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}


def test_online_the_trials_of_a_study_are_a_sweep_and_no_other_runs_are(
    begin: Begin, tmp_path: Path, said: list[str], server: Server
):
    model = tmp_path / "results" / "best"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    before = ours()
    for _ in range(2):  # a study that is resumed goes on with its sweep
        tracker = begin("online", patience=15.0, about=tracking.About("python -m study.run", SWEEP))
        whole_run(tracker, "trial-000")
        whole_run(tracker, "trial-001")
        tracker.begin("test-seed0", Phase.TEST, CONFIG, ("winner",))
        tracker.finish("test-seed0", {"test_accuracy": 0.5}, RunStatus.COMPLETED)
        tracker.tag(["trial-001"], "winner")
        tracker.conclude(CONFIG, {"test_accuracy": 0.5}, model)
        tracker.close(SECONDS)
    assert said == []
    assert ours() == before
    assert list(server.sweeps) == ["s1"]
    assert yaml.safe_load(server.sweeps["s1"]["config"]) == SWEEP
    there = {name.removeprefix("study1-")[:-7]: run for name, run in server.runs.items()}
    assert {name: run.sweep for name, run in there.items()} == {
        **{"trial-000": "s1", "trial-001": "s1"},
        **{"test-seed0": None, "result": None},
    }
    tagged = {name for name, run in there.items() if "winner" in run.tags}
    assert tagged == {"trial-001", "test-seed0", "result"}
    models = [one for one in server.artifacts.values() if one.kind == "model"]
    assert [(one.name, one.files, one.committed) for one in models] == [
        ("study1-best", {"model.safetensors": b"weights"}, True)
    ] * 2


def test_a_server_that_makes_no_sweep_has_the_runs_nevertheless(
    begin: Begin, said: list[str], server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Answers, "on_upsertSweep", lambda self, given: {"upsertSweep": None})
    tracker = begin("online", patience=15.0, about=tracking.About(sweep=SWEEP))
    whole_run(tracker, "trial-000")
    whole_run(tracker, "trial-001")
    tracker.close(SECONDS)
    assert len(said) == 1
    assert len(server.runs) == 2


def test_the_trial_of_an_agent_is_the_run_that_it_has_for_it(
    begin: Begin, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_RUN_ID", "run7")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s9")
    tracker = begin(about=tracking.About(sweep=SWEEP, agents=tracking.AgentsRun("run7", "s9")))
    whole_run(tracker, "trial-000")
    tracker.begin("replicate-000-seed1", Phase.REPLICATE, CONFIG)
    tracker.close(SECONDS)
    assert said == []
    written = runs(tmp_path / "results")
    assert (written["trial-000"].run.run_id, written["trial-000"].run.sweep_id) == ("run7", "s9")
    other = written["replicate-000-seed1"].run
    assert (other.run_id == "run7", other.sweep_id) == (False, "")
    later = begin(about=tracking.About(sweep=SWEEP))  # --resume, without the agent
    later.tag(["trial-000"], "winner")
    later.close(SECONDS)
    assert copies.tags_in(tmp_path / "results") == {"run7": ["winner"]}
    assert not (tmp_path / "results" / "wandb" / "sweep.yaml").exists()


def test_a_confusion_of_many_classes_is_whole_in_a_picture_and_sparse_in_a_table():
    classes = [f"class{number}" for number in range(257)]
    label = np.arange(257).repeat(2)
    predicted = np.where(np.arange(514) % 2, label, (label + 1) % 257)
    predicted[0] = 9
    shown = media.confusion(replace(predictions(), classes=classes, label=label, predicted=predicted))
    assert set(shown) == {"confusion_matrix", "confused"}
    table = shown["confused"]
    assert table.columns == ["Actual", "Predicted", "images"]
    assert len(table.data) == 257
    assert ["class0", "class9", 1] in table.data
    drawn = np.asarray(shown["confusion_matrix"].image)
    assert drawn.shape == (514, 514)
    rows, columns = np.nonzero(drawn[::2, ::2] < 255)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == set(
        zip(label.tolist(), predicted.tolist(), strict=True)
    )
