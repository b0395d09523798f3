"""One process at a time writes a record: the lock on its folder, held while that process lives.

The file `.lock` says who holds it: process, command, since when, and when it was heard of last. On one machine, and on
every file system that knows locks, the kernel's lock on that file decides: it goes with its process, whatever ends it.
Elsewhere, and in a bucket, the last sign does: a holder gives one every 10 s, and counts as dead 60 s after the last.
A holder that finds another's name there (it was suspended for so long that it counted as dead) stops in order.
"""

import errno
import fcntl
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time
from typing import Self

import msgspec

from study.results import bucket
from study.results.place import shown
from study.results.writer import Writer, boot
from study.text import duration

NAME = bucket.LOCK
SIGN_SECONDS, DEAD_SECONDS = 10.0, 60.0
LONGEST = 120  # letters that are said of a command
PATIENCE = (
    3.0  # for a killed holder whose memory is still being freed; or who only looks, or has yet to write who it is
)
BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


class Held(ValueError):
    """Another process writes the record."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock.

    Attributes:
        sign: when it was heard of last, by its clock: seconds since 1970, always as long, for it is written in place.
    """

    writer: Writer
    command: str
    since: str
    sign: str

    @classmethod
    def this(cls, command: str) -> Self:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(writer=Writer.this(), command=command, since=now, sign=stamp())

    def with_sign(self) -> Self:
        return msgspec.structs.replace(self, sign=stamp())

    @property
    def silent(self) -> float:
        """Seconds since its last sign; below 0 if its clock is ahead of this one."""
        return time() - float(self.sign)

    def lives(self, *, free: bool | None) -> bool:
        """Whether it may still write.

        Args:
            free: whether the kernel's lock could be had; None where the file system knows none.
        """
        if same_start(self.writer.boot) and free is not None:
            return not free
        if self.writer.gone:
            return False
        return abs(self.silent) <= DEAD_SECONDS

    def __str__(self) -> str:
        since = datetime.fromisoformat(self.since).astimezone()
        who = f"{shortened(self.command)} (host {self.writer.host}, process {self.writer.pid})"
        return f"{who} since {since:%Y-%m-%d %H:%M:%S}"


def shortened(command: str) -> str:
    return command if len(command) <= LONGEST else f"{command[:LONGEST]}..."


def stamp() -> str:
    return f"{time():017.3f}"


def same_start(other: str) -> bool:
    """Whether that is this machine's kernel, and not started again since; containers on it have the same."""
    return other.partition(" ")[0] == boot().partition(" ")[0]


class Lock:
    """On a folder, from `take` to `release`, or until it is forgotten, or the process ends."""

    def __init__(self, folder: Path, descriptor: int, holder: Holder, made: list[Path]) -> None:
        self.folder = folder
        self.holder = holder
        self.made = made  # folders, the inner ones first
        self.on_loss: Callable[[str], None] = lambda line: None  # told, in one line, that another holds it now
        self._ended = threading.Event()
        self._release = weakref.finalize(self, release, folder, descriptor, holder, made, self._ended)
        alive = weakref.WeakMethod(self._sign)
        threading.Thread(target=give_signs, args=(self._ended, alive), name="lock", daemon=True).start()

    def _sign(self) -> bool:
        """Says that the holder lives; False if the lock is another's now."""
        self.holder = self.holder.with_sign()
        for other in (read(self.folder / NAME), in_bucket(self.folder)):
            if other is not None and other.writer != self.holder.writer and other.lives(free=None):
                self.on_loss(f"{shown(self.folder)} is written by {other} now: this study stops")
                return False
        content = msgspec.json.encode(self.holder)
        with suppress(OSError), (self.folder / NAME).open("r+b") as file:  # who removed it wanted that
            file.write(content)
        bucket.write_lock(self.folder, content)
        return True

    def release(self) -> None:
        """Lets others write; and nothing is left where nothing was written."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def give_signs(ended: threading.Event, sign: "weakref.WeakMethod[Callable[[], bool]]") -> None:
    while not ended.wait(SIGN_SECONDS):
        one = sign()
        if one is None:
            return
        with suppress(Exception):  # what cannot be written now is written next time
            if not one():
                return
        del one


def take(folder: Path, command: str) -> Lock:
    """The lock on a folder, which is made if it is not there.

    Raises Held, a ValueError, where another process has it; ValueError for what can be no folder.
    """
    check_bucket(folder)
    made = make(folder)
    path = folder / NAME
    until = monotonic() + PATIENCE
    while True:
        descriptor, new = opened(path)
        free = locked(descriptor, fcntl.LOCK_EX)
        if free is False or same_file(descriptor, path):  # else its holder has just ended
            other = None if new else read(path)
            alive = other is not None and other.lives(free=free) and not other.writer.gone
            if alive and monotonic() > until:
                os.close(descriptor)
                raise held(folder, other)
            had = not alive and (free is not False or (other is not None and not same_start(other.writer.boot)))
            if had and (new or other or free):
                break
            if monotonic() > until:
                if not had:
                    os.close(descriptor)
                    raise held(folder, other)
                break  # who made it ended before it wrote who it is
        os.close(descriptor)
        sleep(0.02)
    holder = Holder.this(command)
    content = msgspec.json.encode(holder)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
    except OSError as error:
        os.close(descriptor)
        raise ValueError(f"{folder} cannot be written ({error.strerror}): choose another --results") from error
    bucket.write_lock(folder, content)
    return Lock(folder, descriptor, holder, made)


def check(folder: Path) -> None:
    """Raises Held if another process writes in a folder, and goes on to. Writes nothing."""
    until = monotonic() + PATIENCE
    while True:
        try:
            return look(folder)
        except Held:
            if monotonic() > until:
                raise
        sleep(0.05)


def look(folder: Path) -> None:
    """Raises Held if another process writes in a folder at this moment."""
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return check_bucket(folder)
    try:
        free = locked(descriptor, fcntl.LOCK_SH)
        other = read(path)
        if free is False or (other is not None and other.lives(free=free)):
            raise held(folder, other)
    finally:
        os.close(descriptor)
    return check_bucket(folder)


def check_bucket(folder: Path) -> None:
    """Raises Held if a process elsewhere writes to the bucket that a folder is a working copy of."""
    other = in_bucket(folder)
    if other is not None and other.writer != Writer.this() and other.lives(free=None):
        raise held(folder, other)


def held(folder: Path, other: Holder | None) -> Held:
    who = other or "another process"
    heard = ""
    if other is not None and not same_start(other.writer.boot):
        heard = f", heard of {duration(max(other.silent, 0))} ago, and dead {DEAD_SECONDS:.0f} s after its last sign"
    return Held(
        f"{shown(folder)} is being written by {who}{heard}: wait for its end, stop it, or choose another --name"
    )


def release(folder: Path, descriptor: int, holder: Holder, made: list[Path], ended: threading.Event) -> None:
    ended.set()
    path = folder / NAME
    with suppress(OSError):
        if (there := read(path)) is None or there.writer == holder.writer:
            path.unlink()  # before others can have it: they look whether it is still there
            bucket.remove_lock(folder)
    os.close(descriptor)
    sweep(made)


def forget(folder: Path) -> bool:
    """Removes a folder in which there is nothing but the lock of a process that has ended; whether it was one."""
    if [one.name for one in folder.iterdir()] != [NAME]:
        return False
    take(folder, "").release()
    with suppress(OSError):
        folder.rmdir()
    return True


def make(folder: Path) -> list[Path]:
    """The folders that had to be made, the inner ones first."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): choose another --results") from error
    return made


def sweep(made: list[Path]) -> None:
    """Removes folders that were made for what was not written then."""
    with suppress(OSError):
        for one in made:
            one.rmdir()


def opened(path: Path) -> tuple[int, bool]:
    """The lock's file, and whether this made it. Raises ValueError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        with suppress(FileExistsError):
            return os.open(path, flags | os.O_EXCL, 0o644), True
        return os.open(path, flags, 0o644), False
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): choose another --results") from error


def locked(descriptor: int, how: int) -> bool | None:
    """Whether the kernel's lock is this process's now; None where the file system knows none."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in BUSY else None
    return True


def same_file(descriptor: int, path: Path) -> bool:
    try:
        there, here = path.stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def read(path: Path) -> Holder | None:
    """Who the file names; None where it is not there, or does not say."""
    with suppress(OSError):
        return decoded(path.read_bytes())
    return None


def in_bucket(folder: Path) -> Holder | None:
    """Who writes to the bucket that a folder is a working copy of; None for one that is no copy."""
    return decoded(bucket.read_lock(folder))


def decoded(content: bytes | None) -> Holder | None:
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(content, type=Holder) if content else None
    return None
