"""Temporary folders, Ray's sessions and its token: closed to other users, and swept of what is dead."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.cluster import environment, head, logs, sessions, token
from trainables import scratch

ROOT = Path(__file__).parents[2]
CLAIM = "import sys; from trainables import scratch; print(scratch.claim(), flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are, of a process that has none yet."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv(scratch.VARIABLE, "")
    monkeypatch.setenv(scratch.COMPILED, "elsewhere")
    monkeypatch.setattr(scratch, "_claimed", None)
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def other(base: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a folder."""
    given = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM], env=given, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def folder_of(process: "subprocess.Popen[str]") -> Path:
    assert process.stdout
    return Path(process.stdout.readline().strip())


def test_nobody_else_may_enter_and_a_folder_that_was_open_is_closed(base: Path) -> None:
    mine = scratch.of_user()
    assert mine == base / f"study-{os.geteuid()}"
    assert mode(mine) == 0o700
    mine.chmod(0o755)
    assert scratch.of_user() == mine
    assert mode(mine) == 0o700


@pytest.mark.parametrize("what", ["open to all", "a link", "a stranger's"])
def test_a_folder_that_somebody_else_made_first_is_not_entered(base: Path, what: str) -> None:
    taken = base / f"study-{os.geteuid()}"
    if what == "a link":
        (base / "elsewhere").mkdir(mode=0o700)
        taken.symlink_to(base / "elsewhere")
    else:
        taken.mkdir()
        taken.chmod(0o777)
    if what == "a stranger's":
        if os.geteuid():
            pytest.skip("only root can give a folder away")
        taken.chmod(0o700)
        os.chown(taken, 12345, 12345)
    mine = scratch.of_user()
    assert mine != taken
    assert mine.name.startswith(f"study-{os.geteuid()}-")
    assert mode(mine) == 0o700
    assert scratch.of_user() == mine


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(
    other: "subprocess.Popen[str]",
) -> None:
    theirs = folder_of(other)
    (theirs / "tune").mkdir()
    of_a_library = scratch.of_user() / "99999-abc"  # as another node has it, without a lock
    of_a_library.mkdir()
    mine = scratch.claim()
    assert theirs.is_dir()
    assert scratch.living() == {os.getpid(), other.pid}
    assert scratch.here() == mine
    other.kill()
    other.wait()
    os.environ[scratch.VARIABLE] = ""
    scratch._claimed = None
    scratch.claim()
    assert not theirs.exists()
    assert of_a_library.is_dir()


def test_a_process_that_ends_takes_its_folder_along_and_its_children_use_it(other: "subprocess.Popen[str]") -> None:
    theirs = folder_of(other)
    os.environ[scratch.VARIABLE] = str(theirs)
    assert scratch.here() == theirs
    other.communicate("")
    assert not theirs.exists()
    assert scratch.here() != theirs


# Ray's sessions


def session(number: int, pid: int) -> Path:
    path = sessions.folder() / f"session_2026-11-27_20-00-{number:02d}_000000_{pid}"
    (path / "logs").mkdir(parents=True)
    (path / "logs" / "worker-1-99.err").write_text("trial-001 begins on here, cpu\nlast words\n")
    (path / "sockets").mkdir()
    return path


def sleeping(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words])


def test_what_is_left_of_a_dead_drivers_ray_ends_and_nothing_else(other: "subprocess.Popen[str]") -> None:
    folder_of(other)
    dead, living = session(1, 4_100_000), session(2, other.pid)
    agent, reader, apart = (
        sleeping(f"--session-dir={dead}"),
        sleeping(f"{dead}/logs/worker-1-99.err"),
        sleeping(f"--session-dir={living}"),
    )
    try:
        sessions.sweep()
        assert agent.wait(timeout=60) == -9
        assert reader.poll() is None
        assert apart.poll() is None
    finally:
        for process in (agent, reader, apart):
            process.kill()
            process.wait()
    assert [path.name for path in dead.iterdir()] == ["logs"]
    assert (living / "sockets").is_dir()
    assert logs.here("trial-001", 99) is not None


def test_only_the_last_logs_stay() -> None:
    all_of_them = [session(number, 4_100_000 + number) for number in range(sessions.KEPT + 3)]
    sessions.sweep()
    assert [path for path in all_of_them if path.exists()] == all_of_them[3:]


def test_a_long_folder_has_a_short_name_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path
) -> None:
    monkeypatch.setattr(sessions, "SHORT", base)
    deep = base / ("long" * 30)
    monkeypatch.setenv("RAY_TMPDIR", str(deep))
    link = sessions.folder()
    assert link.parent == scratch.of_user(base)
    assert link.resolve() == (scratch.of_user(deep) / "ray").resolve()
    assert sessions.folder() == link


# Ray's token


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", environment.AUTH_MODE):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_new_token_is_for_this_user_alone(home: Path) -> None:
    token.provide()
    path = home / ".ray" / "auth_token"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    made = path.read_text()
    assert len(made) == 64
    token.provide()
    assert head.token()[0] == made
    assert [each.name for each in path.parent.iterdir()] == ["auth_token"]


def test_a_token_that_all_could_read_is_closed_and_stays_the_same(home: Path) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir(mode=0o755)
    path.write_text("theirs")
    path.chmod(0o644)
    token.provide()
    assert (mode(path), mode(path.parent), path.read_text()) == (0o600, 0o700, "theirs")


def test_no_token_is_made_where_another_is_given_or_none_is_wanted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.AUTH_MODE, "disabled")
    token.provide()
    monkeypatch.delenv(environment.AUTH_MODE)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "given")
    token.provide()
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "none"))
    with pytest.raises(ValueError, match=r"RAY_AUTH_TOKEN_PATH=.*none: there is no token in it"):
        token.provide()
    assert not (home / ".ray").exists()


def test_a_home_that_cannot_be_written_is_named(home: Path) -> None:
    (home / ".ray").write_text("a file")
    with pytest.raises(ValueError, match=r"cannot be kept in .*auth_token \(.*\): give a HOME"):
        token.provide()
