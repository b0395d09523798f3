"""One process at a time writes a record; who holds it is said, and one that has died holds nothing."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from study.results import lock
from study.results.lock import NAME, Held, Holder, check, read, take
from study.results.writer import Writer, boot

TAKE = """
import sys, time
from pathlib import Path
from study.results.lock import Held, take
while time.time() < float(sys.argv[2]): pass
try:
    held = take(Path(sys.argv[1]), "python -m study.run --name one")
except Held as reason:
    sys.exit(str(reason))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed holder has as long as ever to be gone; whoever holds on is not waited for."""
    if "dead" not in request.node.name:
        monkeypatch.setattr(lock, "PATIENCE", 0.2)


def taker(folder: Path, at: float = 0.0) -> subprocess.Popen[str]:
    """A process that takes the lock at a moment, and holds it until its standard input ends."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", TAKE, str(folder), str(at)], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with taker(folder) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_of_several_that_start_at_the_same_moment_one_has_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "one"
    processes = [taker(folder, at=time.time() + 1.5) for _ in range(6)]
    try:
        said = [process.stdout.readline() for process in processes if process.stdout]
        assert sorted(said) == [*[""] * 5, "held\n"]
        holder = processes[said.index("held\n")]
        for other in processes:
            if other is not holder:
                _, error = other.communicate()
                assert f"process {holder.pid}) since " in error
                assert "python -m study.run --name one" in error
                assert error.count("\n") == 1
        holder.communicate()
        assert not (folder / NAME).exists()
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_holder_holds_nothing(how: signal.Signals, tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        with pytest.raises(Held, match=f"process {process.pid}"):
            check(tmp_path)
        process.send_signal(how)
        process.wait()
    assert (tmp_path / NAME).exists()
    check(tmp_path)
    take(tmp_path, "again").release()
    assert not (tmp_path / NAME).exists()


def test_a_holder_that_is_stopped_still_holds(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Held):
            take(tmp_path, "another")
        process.send_signal(signal.SIGCONT)


def test_looking_whether_a_folder_is_free_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    with (tmp_path / NAME).open("r+") as file:  # as one that looks, and stays
        lock.locked(file.fileno(), fcntl.LOCK_SH)
        with pytest.raises(Held, match="another process"):
            take(tmp_path, "now")
    take(tmp_path, "now").release()


def test_a_session_cannot_have_what_another_of_its_own_process_has(tmp_path: Path) -> None:
    with take(tmp_path, "first"), pytest.raises(Held, match="first"):
        take(tmp_path, "second")


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    take(tmp_path / "results" / "one", "now").release()
    assert not (tmp_path / "results").exists()
    with take(tmp_path / "results" / "one", "now"):
        (tmp_path / "results" / "one" / "study.json").touch()
    assert [path.name for path in (tmp_path / "results" / "one").iterdir()] == ["study.json"]


def test_a_lock_goes_with_whoever_held_it(tmp_path: Path) -> None:
    held = take(tmp_path, "forgotten")
    del held
    check(tmp_path)


# On another machine, which the kernel's lock does not reach


ELSEWHERE = Writer(host="elsewhere", boot="another 1", pid=7, born="1")


def write(folder: Path, writer: Writer, *, silent: float) -> None:
    """The lock's file as a process wrote it so many seconds ago."""
    sign = f"{time.time() - silent:017.3f}"
    holder = Holder(writer=writer, command="python -m study.run", since="2026-11-27T10:00:00+00:00", sign=sign)
    (folder / NAME).write_bytes(msgspec.json.encode(holder))


def named(folder: Path) -> Writer:
    holder = read(folder / NAME)
    assert holder
    return holder.writer


@pytest.mark.parametrize("silent", [0, 55, -30])
@pytest.mark.parametrize("how", [check, lambda folder: take(folder, "now")])
def test_a_holder_on_another_machine_holds_while_it_gives_signs(
    silent: float, how: Callable[[Path], object], tmp_path: Path
) -> None:
    write(tmp_path, ELSEWHERE, silent=silent)
    with pytest.raises(Held, match=r"host elsewhere, process 7.* dead 60 s after its last sign"):
        how(tmp_path)
    assert b"elsewhere" in (tmp_path / NAME).read_bytes()


@pytest.mark.parametrize("silent", [61, -61])
def test_one_that_has_long_given_no_sign_is_dead(silent: float, tmp_path: Path) -> None:
    write(tmp_path, ELSEWHERE, silent=silent)
    check(tmp_path)
    with take(tmp_path, "now"):
        assert named(tmp_path) == Writer.this()


def test_a_file_system_without_locks_leaves_it_to_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "locked", lambda descriptor, how: None)
    with take(tmp_path, "first"), pytest.raises(Held, match="first"):
        take(tmp_path, "second")
    write(tmp_path, ELSEWHERE, silent=0)
    with pytest.raises(Held, match="elsewhere"):
        take(tmp_path, "third")
    ended = Writer(host=Writer.this().host, boot=boot(), pid=os.getpid(), born="1")
    write(tmp_path, ended, silent=0)
    take(tmp_path, "fourth").release()


def test_a_holder_gives_signs_and_stops_when_another_has_taken_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "SIGN_SECONDS", 0.05)
    lost: list[str] = []
    with take(tmp_path, "first") as held:
        held.on_loss = lost.append
        before = read(tmp_path / NAME)
        time.sleep(0.3)
        after = read(tmp_path / NAME)
        assert before
        assert after
        assert float(after.sign) > float(before.sign)
        write(tmp_path, ELSEWHERE, silent=0)
        time.sleep(0.3)
        [line] = lost
        assert "is written by python -m study.run (host elsewhere, process 7)" in line
    assert named(tmp_path) == ELSEWHERE  # it is not ours to remove
