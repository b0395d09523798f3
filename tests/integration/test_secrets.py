"""What a study leaves behind, its logs and crash dumps, and its processes' command lines hold no secret of its user.

And nothing that it writes outside of its results can be entered by anybody else.
"""

import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from study.results.record import Record

ROOT = Path(__file__).parents[2]
NAMES = (
    *("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY_ID"),
    *("AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MY_PASSWORD"),
)
# trial 0 is the recipe, and completes; nearly all of the range diverges
SPACE = "lr = { low = 1e-3, high = 1e30, log = true }\n"
STUDY = [
    *["study.run", "--model", "alexnet", "--pretraining", "none", "--fix", "freeze_depth=0", "--space", "space.toml"],
    *["--trials", "3", "--epochs", "1", "--top-k", "1", "--seeds", "1", "--name", "mine", "--wandb", "offline"],
    *["--train-fraction", "0.3"],
]


class Processes(threading.Thread):
    """Looks at the command lines of a study's processes while it runs, and has one of its trials crash once."""

    def __init__(self, study: int) -> None:
        super().__init__(daemon=True)
        self.study = psutil.Process(study)
        self.said: set[str] = set()
        self.listening: set[str] = set()
        self.crashed = False

    def run(self) -> None:
        with suppress(psutil.Error):
            while self.study.is_running() and self.study.status() != psutil.STATUS_ZOMBIE:
                for process in [self.study, *self.study.children(recursive=True)]:
                    with suppress(psutil.Error):
                        words = " ".join(process.cmdline())
                        new = words not in self.said
                        self.said.add(words)
                        if not new:  # it has had time to open its ports
                            self.listening |= {
                                one.laddr.ip for one in process.net_connections("inet") if one.status == "LISTEN"
                            }
                        if "ImplicitFunc" in words and not self.crashed:
                            process.send_signal(signal.SIGSEGV)
                            self.crashed = True
                time.sleep(0.2)


@pytest.fixture(scope="module")
def planted() -> dict[str, str]:
    return {name: secrets.token_hex(20) for name in (*NAMES, "of a file", "Ray's token")}


@pytest.fixture(scope="module")
def left(planted: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Processes]:
    """A folder in which a study has written all that it writes: results, cache, home and temporary files."""
    folder = tmp_path_factory.mktemp("secrets").resolve()
    elsewhere = tmp_path_factory.mktemp("credentials") / "google.json"
    elsewhere.write_text(f'{{"private_key": "{planted["of a file"]}"}}')
    for name in ("home", "tmp", "home/.ray"):
        (folder / name).mkdir()
    (folder / "home" / ".ray" / "auth_token").write_text(planted["Ray's token"])
    (folder / "space.toml").write_text(SPACE)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_AUTH", "STUDY_"))}
    given = ours | {name: planted[name] for name in NAMES}
    given |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "STUDY_CACHE": str(folder / "cache")}
    given |= {"GOOGLE_APPLICATION_CREDENTIALS": str(elsewhere), "RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", *STUDY], cwd=folder, env=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        watching = Processes(process.pid)
        watching.start()
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    (folder / "said").write_text(out + err)
    watching.join()
    return folder, watching


def test_no_secret_is_in_anything_that_a_study_wrote(left: tuple[Path, Processes], planted: dict[str, str]) -> None:
    folder, watched = left
    assert {row["status"] for row in Record(folder / "results" / "mine").trials} >= {"completed", "failed"}
    assert watched.crashed
    users_own = {folder / "home" / ".ray" / "auth_token"}
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path not in users_own]
    written = {path: path.read_bytes() for path in files}
    logs = [path for path in files if "logs" in path.parts]
    assert any(b"SIGSEGV" in written[path] for path in logs), "the crash left no dump"
    assert any(path.suffix == ".wandb" for path in files)
    assert len(logs) > 10
    found = [
        (name, str(path.relative_to(folder)))
        for path, content in written.items()
        for name, secret in planted.items()
        if secret.encode() in content
    ]
    assert found == []


def test_no_secret_is_in_a_command_line(left: tuple[Path, Processes], planted: dict[str, str]) -> None:
    said = "\n".join(left[1].said)
    assert "raylet" in said
    assert not [name for name, secret in planted.items() if secret in said]


def test_its_processes_can_be_reached_from_this_machine_alone(left: tuple[Path, Processes]) -> None:
    assert left[1].listening
    assert left[1].listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_what_lies_outside_of_the_results_is_closed_to_everybody_else(left: tuple[Path, Processes]) -> None:
    folder, _ = left
    assert [path.name for path in (folder / "tmp").iterdir()] == [f"study-{os.geteuid()}"]  # nothing of W&B's, too
    token = folder / "home" / ".ray" / "auth_token"
    for path, wanted in ((folder / "tmp" / f"study-{os.geteuid()}", 0o700), (token.parent, 0o700), (token, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert [path.name for path in (folder / "tmp" / f"study-{os.geteuid()}").iterdir()] == ["ray"]
