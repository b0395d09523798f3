"""The store of boundaries: what flows into a stage, computed once on a node and read without a copy by its processes.

An entry is a folder, named by a hash of all that determines its content. `boundary.npy` holds a row per image,
`rows.npz` its index in the dataset, its label and the row's checksum, and `entry.json`, which is written last, what
the entry is and the checksum of all that. Whoever needs an entry first fills it, under a lock that the kernel releases
if the process dies, in a folder that is renamed when it is whole. Nothing here may end a run: where the disk fails,
the answer is None, and the run computes for itself.

Checksums are made while the rows are written, in threads, and compared once on a node: `verified.json` beside an entry
says what its files were when they were found right, and since when the machine has been running. So nothing waits until
the disk has an entry: what a machine that goes down had not written yet is found out by the checksums.
"""

import fcntl
import json
import os
import shutil
import zlib
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from math import prod
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from trainables import progress
from trainables.batches import CachedSplit, is_channels_last
from trainables.cache_folder import cache_folder

Facts = Mapping[str, Any]
Chunk = tuple[
    np.ndarray, np.ndarray, np.ndarray, Tensor
]  # positions in the entry, indices, labels, (rows, ...) of data

FILES = ("boundary.npy", "rows.npz", "entry.json")
VERIFIED = "verified.json"
CHECKED_AT_A_TIME = 1 << 24
WRITERS = 4
GIB = 1 << 30
BYTES_OF_A_ROW, BYTES_OF_AN_ENTRY = 20, 1 << 12  # of rows.npz, and of all headers, entry.json and verified.json


class Unusable(Exception):
    """The store cannot hold an entry, for a reason that is not the study's: no space, no permission."""


@dataclass
class Entry:
    """A boundary that is open: mapped, and kept from eviction until it is closed."""

    path: Path
    split: CachedSplit
    file: int
    identity: tuple[int, int, int]

    @property
    def intact(self) -> bool:
        """Whether the file is still as it was when it was opened."""
        now = os.fstat(self.file)
        return identity(now) == self.identity

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


@dataclass(frozen=True)
class Store:
    """A folder of entries on this node's disk.

    Attributes:
        limit: the bytes that all entries together may take; the least recently used that nobody reads make room.
        notes: what went wrong, for the record: a store says it and goes on.
        verified: what the files of entries were when this process found their checksums right, or found it noted
            beside them.
    """

    folder: Path
    limit: int
    notes: list[str] = field(default_factory=list, compare=False)
    verified: dict[Path, Hashable] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def here(cls, verified: dict[Path, Hashable] | None = None) -> Self:
        """This node's store: $STUDY_CACHE, of at most $STUDY_CACHE_GIB (default: half of what the disk has free).

        Raises ValueError if the limit is not a number above 0.
        """
        verified = {} if verified is None else verified
        folder = cache_folder()
        given = os.environ.get("STUDY_CACHE_GIB")
        if given:
            try:
                limit = float(given)
            except ValueError:
                limit = 0.0
            if not 0 < limit < float("inf"):
                raise ValueError(f"STUDY_CACHE_GIB must be a number of GiB above 0, got {given!r}")
            return cls(folder, int(limit * GIB), verified=verified)
        store = cls(folder, 0)
        nearest = next(parent for parent in [folder, *folder.absolute().parents] if parent.is_dir())
        taken = sum(size for _, size in store.sizes())
        return cls(folder, (shutil.disk_usage(nearest).free + taken) // 2, verified=verified)

    def path(self, facts: Facts) -> Path:
        return self.folder / name_of(facts)

    def entries(self) -> Iterator[Path]:
        with suppress(OSError):
            yield from sorted(path for path in self.folder.iterdir() if (path / "entry.json").is_file())

    def sizes(self) -> list[tuple[Path, int]]:
        """(entry, bytes), the least recently used first."""
        by_use = []
        for path in self.entries():
            with suppress(OSError):
                used = (path / "entry.json").stat().st_mtime_ns
                by_use.append((used, path, sum((path / name).stat().st_size for name in FILES)))
        return [(path, size) for _, path, size in sorted(by_use)]

    def has(self, facts: Facts) -> bool:
        """Whether there seems to be such an entry: opening it may still find it damaged."""
        return (self.path(facts) / "entry.json").is_file()

    def open(self, facts: Facts) -> Entry | None:
        """The entry, verified, or None. One that is damaged is removed and said so."""
        path = self.path(facts)
        try:
            entry = opened(path, self.verified)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.notes.append(f"a stored boundary cannot be read ({error.strerror or error}) and is computed again")
            return None
        except (ValueError, KeyError) as damage:
            self.notes.append(f"a stored boundary was damaged ({damage}) and is computed again")
            discard(path)
            return None
        with suppress(OSError):
            os.utime(path / "entry.json")
        return entry

    def open_or_fill(self, facts: Facts, length: int, row_bytes: int, rows: Iterable[Chunk]) -> Entry | None:
        """The entry, from disk or else from `rows`, which are only asked for if nobody has filled it meanwhile.

        Args:
            length: rows of the entry; `rows` must bring each position once.
            row_bytes: the size of a row, to make room for it all.

        None where the disk does not allow it; then `rows` may have been asked for in part.
        """
        entry = self.open(facts)
        if entry:
            return entry
        try:
            with self.locked(facts):
                entry = self.open(facts)
                if entry:
                    return entry
                self.make_room(length * (row_bytes + BYTES_OF_A_ROW) + BYTES_OF_AN_ENTRY)
                with progress.storing(f"{length:,} images" + (f" after {facts['stage']}" if facts["boundary"] else "")):
                    self._fill(self.path(facts), facts, length, rows)
            return self.open(facts)
        except Unusable as reason:
            self.notes.append(f"the boundary store cannot be used ({reason}): {self.folder}")
            return None

    @contextmanager
    def locked(self, facts: Facts) -> Iterator[None]:
        """One process at a time; the lock dies with the process that holds it."""
        lock = self.path(facts).with_suffix(".lock")
        with writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with writing(), progress.waiting():
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def make_room(self, needed: int) -> None:
        """Removes the least recently used entries that nobody reads until `needed` bytes fit. Raises Unusable."""
        self.sweep()
        if needed > self.limit:
            raise Unusable(f"{needed / GIB:.2g} GiB are more than its limit of {self.limit / GIB:.2g} GiB")
        sizes = self.sizes()
        excess = sum(size for _, size in sizes) + needed - self.limit
        leaving = []
        for path, size in sizes:
            if excess <= 0:
                break
            if unused(path):
                leaving.append(path)
                excess -= size
        if excess > 0:
            raise Unusable(f"its {self.limit / GIB:.2g} GiB are in use")
        for path in leaving:
            discard(path)

    def sweep(self) -> None:
        """Removes what processes left that died while they filled an entry."""
        for partial in self.folder.glob(".*.part-*"):
            with suppress(OSError), file_lock(partial, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(partial, ignore_errors=True)

    def _fill(self, path: Path, facts: Facts, length: int, rows: Iterable[Chunk]) -> None:
        with writing(), new_folder(f".{path.name}.part-", self.folder) as partial:
            try:
                self._write(partial, facts, length, rows)
                discard(path)
                os.replace(partial, path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def _write(self, partial: Path, facts: Facts, length: int, rows: Iterable[Chunk]) -> None:
        index, label = np.full(length, -1, np.int64), np.full(length, -1, np.int64)
        crc = np.zeros(length, np.uint32)
        file: RowFile | None = None
        dtype, last = "", False
        writers = writing_threads()
        try:
            with ThreadPoolExecutor(writers, "store") as threads:
                written: deque[Future[None]] = deque()
                for positions, indices, labels, data in rows:
                    progress.tick()
                    if file is None:
                        dtype, last = str(data.dtype).removeprefix("torch."), is_channels_last(data)
                        file = RowFile.allocate(partial / "boundary.npy", length, like=plain(data[:1], last))
                    index[positions], label[positions] = indices, labels
                    content = data.detach().cpu()  # here, for the device's next rows may need the memory
                    written.append(threads.submit(file.keep, positions, content, crc, last_axis=last))
                    if len(written) > writers:
                        written.popleft().result()
                for one in written:
                    one.result()
            if file is None or (index < 0).any():
                raise RuntimeError(f"{(index < 0).sum()} of {length} rows of a boundary did not come")
        finally:
            if file is not None:
                os.close(file.file)
        np.savez(partial / "rows.npz", index=index, label=label, crc=crc)
        entry = {
            "facts": dict(facts),
            "shape": file.shape,
            "dtype": dtype,
            "channels_last": last,
            "header_bytes": file.header_bytes,
            "row_bytes": file.row_bytes,
            "checksums": {
                "header": checksum(partial / "boundary.npy", file.header_bytes),
                "rows.npz": checksum(partial / "rows.npz"),
            },
        }
        text = json.dumps({**entry, "checksum": checksum_of(entry)}, indent=1) + "\n"
        (partial / "entry.json").write_text(text)
        note_verified(partial, state_of(partial, text.encode()))


@dataclass(frozen=True)
class RowFile:
    """An .npy that is written row by row, in any order: not mapped, for what is written is no memory of the process."""

    file: int
    shape: tuple[int, ...]
    header_bytes: int
    row_bytes: int

    @classmethod
    def allocate(cls, path: Path, length: int, like: np.ndarray) -> Self:
        """With all its space taken: a disk that is full says so before anything is computed."""
        shape = (length, *like.shape[1:])
        with path.open("wb") as file:
            described = {"descr": npy.dtype_to_descr(like.dtype), "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(file, described)
            header_bytes = file.tell()
        row_bytes = prod(shape[1:]) * like.dtype.itemsize
        size = header_bytes + length * row_bytes
        opened = os.open(path, os.O_WRONLY)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(opened, 0, size)
            elif shutil.disk_usage(path.parent).free < size:
                raise OSError(28, "no space left on device")
        except BaseException:
            os.close(opened)
            raise
        return cls(opened, shape, header_bytes, row_bytes)

    def keep(self, positions: np.ndarray, data: Tensor, crc: np.ndarray, *, last_axis: bool) -> None:
        """Writes rows, whose checksums go to their places in `crc`; several threads do so at a time."""
        crc[positions] = self.write(positions, plain(data, last_axis))

    def write(self, positions: np.ndarray, rows: np.ndarray) -> list[int]:
        """Returns the checksum of each row."""
        assert rows.shape[1:] == self.shape[1:]
        content, size = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data, self.row_bytes
        for run in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) != 1) + 1):
            start, stop = run[0] * size, (run[-1] + 1) * size
            offset = self.header_bytes + int(positions[run[0]]) * size
            while start < stop:
                written = os.pwrite(self.file, content[start:stop], offset)
                start, offset = start + written, offset + written
        return row_checksums(content, size)


def writing_threads() -> int:
    """That write what a device computes, while it computes on: one makes checksums of 1.7 GB/s and writes 0.6."""
    return max(1, min(WRITERS, torch.get_num_threads() // 4))


@contextmanager
def file_lock(path: Path, mode: int) -> Iterator[None]:
    """A lock on a file or folder; the kernel takes it back from a process that dies."""
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, mode)
        yield
    finally:
        os.close(file)


@contextmanager
def new_folder(prefix: str, folder: Path) -> Iterator[Path]:
    """A folder with a lock on it. Another process may sweep one away that has none yet: then there is another."""
    while True:
        made = Path(mkdtemp(prefix=prefix, dir=folder))
        try:
            file = os.open(made, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if made.exists():
                yield made
                return
        finally:
            os.close(file)


@contextmanager
def writing() -> Iterator[None]:
    """What the disk refuses, as `Unusable`."""
    try:
        yield
    except OSError as error:
        raise Unusable(error.strerror or str(error)) from error


def plain(data: Tensor, last_axis: bool) -> np.ndarray:
    """As NumPy holds it on disk: channels last where they are last in memory, and bfloat16 as its bits."""
    data = data.detach().cpu()
    data = (data.permute(0, 2, 3, 1) if last_axis else data).contiguous()
    return data.view(torch.int16).numpy() if data.dtype == torch.bfloat16 else data.numpy()


def checksum(path: Path, first: int | None = None) -> int:
    """Of a file, or of its first bytes."""
    value = 0
    with path.open("rb") as file:
        if first is not None:
            return zlib.crc32(file.read(first))
        while partial := file.read(CHECKED_AT_A_TIME):
            value = zlib.crc32(partial, value)
    return value


def row_checksums(rows: memoryview, row_bytes: int) -> list[int]:
    return [zlib.crc32(rows[start : start + row_bytes]) for start in range(0, len(rows), row_bytes)]


def checksum_of(entry: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(entry, sort_keys=True).encode())


def name_of(facts: Facts) -> str:
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def damage(path: Path) -> str | None:
    """What is wrong with the files of an entry, None if they are as they were written."""
    try:
        entry = json.loads((path / "entry.json").read_text())
        if entry.pop("checksum") != checksum_of(entry) or name_of(entry["facts"]) != path.name:
            wrong = "entry.json"
        elif checksum(path / "rows.npz") != entry["checksums"]["rows.npz"]:
            wrong = "rows.npz"
        elif not rows_are_whole(path, entry):
            wrong = "boundary.npy"
        else:
            return None
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return f"{path.name}/{wrong} is not what was written"


def rows_are_whole(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether every row has the checksum that `rows.npz` says, and nothing comes before or after them."""
    with np.load(path / "rows.npz") as rows:
        wanted = rows["crc"]
    size, at = entry["row_bytes"], 0
    with (path / "boundary.npy").open("rb") as file:
        if zlib.crc32(file.read(entry["header_bytes"])) != entry["checksums"]["header"]:
            return False
        while content := file.read(max(1, CHECKED_AT_A_TIME // size) * size):
            found = row_checksums(memoryview(content), size)
            if found != wanted[at : at + len(found)].tolist():
                return False
            at += len(found)
    return at == len(wanted)


def identity(file: os.stat_result) -> tuple[int, int, int]:
    return file.st_ino, file.st_size, file.st_mtime_ns


def opened(path: Path, verified: dict[Path, Hashable]) -> Entry:
    """Raises FileNotFoundError if there is none, another OSError, ValueError or KeyError if it is damaged."""
    text = (path / "entry.json").read_bytes()
    file = os.open(path / "boundary.npy", os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH)  # from here on it is in use
        now = os.fstat(file)
        if (path / "boundary.npy").stat().st_ino != now.st_ino:
            raise FileNotFoundError(path)
        verify(path, state_of(path, text), verified)
        description = json.loads(text)
        # mapped privately: not even a mistake of ours reaches the file
        data = torch.from_numpy(np.load(path / "boundary.npy", mmap_mode="c"))
        if description["dtype"] == "bfloat16":
            data = data.view(torch.bfloat16)
        if description["channels_last"]:
            data = data.permute(0, 3, 1, 2)
        with np.load(path / "rows.npz") as rows:
            labels, index = torch.from_numpy(rows["label"]), rows["index"]
        split = CachedSplit(data, labels, index, description["facts"]["boundary"], file=path / "boundary.npy")
        return Entry(path, split, file, identity(now))
    except BaseException:
        os.close(file)
        raise


def verify(path: Path, state: str, verified: dict[Path, Hashable]) -> None:
    """Raises ValueError for an entry that is damaged; it is read whole only if nobody on this node has found it right.

    Of processes that open it at the same time one reads it, and the others wait for what that one notes.
    """
    if verified.get(path) == state:
        return
    if not is_noted(path, state):
        with file_lock(path / "rows.npz", fcntl.LOCK_EX):
            if not is_noted(path, state):
                if reason := damage(path):
                    raise ValueError(reason)
                note_verified(path, state)
    verified[path] = state


def state_of(path: Path, text: bytes) -> str:
    """What the files of an entry are, as far as that can be had without reading the rows; `text` is of entry.json."""
    files = [identity((path / name).stat()) for name in FILES[:2]]
    return json.dumps([booted(), files, zlib.crc32(text)])


def is_noted(path: Path, state: str) -> bool:
    try:
        return booted() is not None and (path / VERIFIED).read_text() == state
    except (OSError, ValueError):
        return False


def note_verified(path: Path, state: str) -> None:
    """Where the disk takes no note each process verifies for itself."""
    if booted() is not None:
        with suppress(OSError):
            part = path / f".{os.getpid()}-{VERIFIED}"
            part.write_text(state)
            os.replace(part, path / VERIFIED)


@cache
def booted() -> str | None:
    """Which run of this machine it is, None where it does not say: what a disk held before it went down may be lost."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def unused(path: Path) -> bool:
    """Whether no process reads the entry."""
    try:
        with file_lock(path / "boundary.npy", fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False
    except OSError:
        return True  # it is gone, or no entry


def discard(path: Path) -> None:
    """Removes an entry; a process that has it mapped keeps what it has."""
    with suppress(OSError):
        gone = mkdtemp(prefix=f".{path.name}.part-", dir=path.parent)  # a name that is swept if we die here
        with suppress(FileNotFoundError):
            os.replace(path, gone)
        shutil.rmtree(gone, ignore_errors=True)
