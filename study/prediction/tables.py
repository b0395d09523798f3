"""Predictions as CSV, JSON or Parquet, row by row: what is on the disk is whole rows, also where the disk fills up."""

import csv
import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]

RESERVE = 4 << 20  # bytes that are kept free beside the file, so that it can be brought to an end on a full disk
GROUP = 2048  # rows of Parquet that are written together, which takes less than that
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
KINDS = {str: pa.string(), float: pa.float64()}


class DiskFull(OSError):
    """There was no room for all rows; those that are in the file are whole."""


class Sink(io.RawIOBase):
    """A new file with room set aside for its end: when the disk is full, what is still to be written goes there."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        self.full: OSError | None = None
        self.end = bytearray()  # what has not found room
        self.written = 0
        self._reserve = path.with_name(f".{path.name}.reserve")
        try:
            self._fill_reserve()
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL), 0o666)
        except FileExistsError:
            self._reserve.unlink(missing_ok=True)
            raise ValueError(exists(path)) from None
        except BaseException:
            self._reserve.unlink(missing_ok=True)
            raise

    def _fill_reserve(self) -> None:
        with self._reserve.open("wb") as file:
            for _ in range(RESERVE >> 20):
                file.write(os.urandom(1 << 20))  # a file system that compresses would set nothing aside for zeros
            file.flush()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.written

    def write(self, data: Any) -> int:
        length = len(memoryview(data).cast("B"))
        self.written += length
        self.end += data
        if self.full is None:
            try:
                self._drain()
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self.full = error
        return length

    def _drain(self) -> None:
        while self.end:
            del self.end[: os.write(self._file, self.end)]

    def finish(self) -> None:
        """Writes the end into the room that was set aside. Raises OSError."""
        self._reserve.unlink(missing_ok=True)
        self._drain()
        os.fsync(self._file)

    def close(self) -> None:
        if not self.closed:
            self._reserve.unlink(missing_ok=True)
            os.close(self._file)
        super().close()


class Writer(Protocol):
    """Of one format: rows are added in portions, and `end` writes what makes the file whole."""

    def add(self, rows: Sequence[Row]) -> None: ...

    def end(self) -> None: ...


class Csv:
    def __init__(self, file: BinaryIO | Sink, columns: Mapping[str, type]) -> None:
        self.file, self.columns = file, list(columns)
        self._write([dict(zip(self.columns, self.columns, strict=True))])

    def add(self, rows: Sequence[Row]) -> None:
        self._write(rows)

    def _write(self, rows: Sequence[Row]) -> None:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        self.file.write(text.getvalue().encode("utf-8", "surrogateescape"))

    def end(self) -> None:
        self.file.flush()


class Json:
    """One array of objects, a line each."""

    def __init__(self, file: Sink, columns: Mapping[str, type]) -> None:
        self.file, self.columns, self.some = file, list(columns), False
        file.write(b"[")

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            text = json.dumps({name: row.get(name) for name in self.columns})
            self.file.write(f"{',' * self.some}\n{text}".encode())
            self.some = True

    def end(self) -> None:
        self.file.write(b"\n]\n")


class Parquet:
    def __init__(self, file: Sink, columns: Mapping[str, type]) -> None:
        self.schema = pa.schema([(name, KINDS[kind]) for name, kind in columns.items()])
        self.writer = pq.ParquetWriter(pa.PythonFile(file, mode="w"), self.schema)
        self.rows: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += [{name: shown(row.get(name)) for name in self.schema.names} for row in rows]
        if len(self.rows) >= GROUP:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
            self.rows = []

    def end(self) -> None:
        self.flush()
        self.writer.close()


FORMATS: Mapping[str, Callable[[Sink, Mapping[str, type]], Writer]] = {
    ".csv": Csv,
    ".json": Json,
    ".parquet": Parquet,
}


def check(path: Path, *, overwrite: bool) -> None:
    """Raises ValueError for a file that cannot be written as asked."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: predictions are written as {', '.join(FORMATS)}: end its name so")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is no folder: make it first")
    if path.is_dir() or (path.exists() and not overwrite):
        raise ValueError(exists(path))


def exists(path: Path) -> str:
    return f"{path} exists: choose another name, or --overwrite it" if not path.is_dir() else f"{path} is a folder"


def shown(value: Any) -> Any:
    """A path may have bytes that are no text, which Parquet does not take."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(value, str) else value


class File:
    """A file of predictions that grows."""

    def __init__(self, path: Path, columns: Mapping[str, type], *, overwrite: bool) -> None:
        self.rows = 0
        self.sink = Sink(path, overwrite=overwrite)
        self.writer = FORMATS[path.suffix.lower()](self.sink, columns)

    def add(self, rows: Sequence[Row]) -> None:
        """Raises DiskFull when there is no room for more; these rows still found some."""
        self.writer.add(rows)
        self.rows += len(rows)
        if self.sink.full:
            raise self.sink.full


@contextmanager
def written(path: Path, columns: Mapping[str, type], *, overwrite: bool = False) -> Iterator[File]:
    """A file to add rows to; however the block ends, the file has whole rows and can be read.

    Raises ValueError for a file that exists; DiskFull, an OSError, which says how many rows it has.
    """
    file = File(path, columns, overwrite=overwrite)
    try:
        yield file
    except OSError as error:
        if error is not file.sink.full:
            raise
    finally:
        try:
            file.writer.end()
            file.sink.finish()
        finally:
            file.sink.close()
    if file.sink.full:
        raise DiskFull(
            f"{path}: {os.strerror(file.sink.full.errno or 0)}; it has {file.rows:,} rows, all of them whole"
        )
