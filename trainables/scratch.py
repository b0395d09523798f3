"""Temporary folders: all in one that nobody but this user may enter, and what killed processes left there is swept.

    /tmp/study-1000/       mode 0700: RAY_TMPDIR or TMPDIR say where, if not in /tmp
        4711-x7k2b9/       of process 4711, which holds its file `lock` locked while it lives

A lock and not a process's number: it is given up with the process, whatever becomes of that number, and other
containers on the same /tmp see it too.
"""

import atexit
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "STUDY_SCRATCH"  # for the processes that this one starts: they use its folder
COMPILED = "TORCHINDUCTOR_CACHE_DIR"  # else torch takes what anybody made under a known name, and may load code from it
NAME = re.compile(r"(\d+)-\w+")
LOCK = "lock"


@dataclass
class Claim:
    """The folder of a process."""

    folder: Path
    pid: int
    lock: int


_claimed: Claim | None = None


def here() -> Path:
    """The folder of this process, or of the one that started it."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given and Path(given, LOCK).exists() else claim()


def claim() -> Path:
    """The folder of this process, until it ends; those of processes that are gone are removed."""
    global _claimed
    if _claimed is None or _claimed.pid != os.getpid() or not _claimed.folder.is_dir():
        mine = of_user()
        with alone(mine):  # nobody sweeps between the making of a folder and its lock
            remove_the_dead(mine)
            folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=mine))
            lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        _claimed = Claim(folder, os.getpid(), lock)
        os.environ[VARIABLE] = str(folder)
        os.environ.setdefault(COMPILED, str(folder / "torch"))
        atexit.register(leave, _claimed)
    return _claimed.folder


def sweep() -> None:
    """Removes what processes that are gone have left, if there is anything."""
    for mine in filter(ours, temporary().glob(f"study-{os.geteuid()}*")):
        with alone(mine):
            remove_the_dead(mine)


def remove_the_dead(mine: Path) -> None:
    for folder in folders(mine):
        if not held(folder):
            shutil.rmtree(folder, ignore_errors=True)


def leave(claimed: Claim) -> None:
    if claimed.pid == os.getpid():  # and not a fork of it
        shutil.rmtree(claimed.folder, ignore_errors=True)


def living() -> set[int]:
    """The numbers of the processes that have a folder."""
    return {int(folder.name.partition("-")[0]) for folder in folders(of_user()) if held(folder)}


def folders(mine: Path) -> list[Path]:
    return [path for path in mine.iterdir() if NAME.fullmatch(path.name) and (path / LOCK).exists()]


def held(folder: Path) -> bool:
    """Whether the process of a folder lives; where a file system has no locks nothing is known, and it does."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False  # it is being removed
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Inside, no other process is."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # the same
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def of_user(base: Path | None = None) -> Path:
    """The folder of this user below `base`: made, and entered by nobody else.

    In a folder where all may write, somebody else may have taken its name before: then another is taken.
    """
    base = temporary() if base is None else base
    name = f"study-{os.geteuid()}"
    while True:
        for path in sorted(base.glob(f"{name}*")):
            if ours(path):
                return path
        try:
            (base / name).mkdir(mode=0o700)
        except FileExistsError:
            if not ours(base / name):
                tempfile.mkdtemp(prefix=f"{name}-", dir=base)


def temporary() -> Path:
    """Where Ray puts its files too."""
    given = os.environ.get("RAY_TMPDIR")
    if given:
        os.makedirs(given, exist_ok=True)
    return Path(given or tempfile.gettempdir()).absolute()


def ours(path: Path) -> bool:
    """Whether a folder is this user's, who alone may enter it; one that others can only read is closed to them."""
    try:
        state = path.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
        return False
    if state.st_mode & 0o077:
        path.chmod(0o700)
    return True
