"""Where the images of a prediction come from: files, folders, patterns, Parquet, or a list of paths on standard input.

Nothing is held but the image that is asked for, so there may be any number of them.
"""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from study.data import columns, folder
from study.data.decoding import SUFFIXES

STDIN = "-"
PARQUET = ".parquet"
ROWS = 16  # of a table that are read together


@dataclass(frozen=True)
class Item:
    """One image: what it is called, and how its bytes are read, which may raise OSError."""

    path: str
    read: Callable[[], bytes]


def check(given: Sequence[str], column: str | None = None) -> None:
    """Raises ValueError for what holds no image, before anything is read of the others."""
    for one in given:
        if one == STDIN or is_pattern(one):
            if is_pattern(one) and next(glob.iglob(one, recursive=True), None) is None:
                raise ValueError(f"no file fits {one}")
        elif os.path.isdir(one):
            if next(in_folder(one), None) is None:
                raise ValueError(f"{one} has no image of a known format ({', '.join(SUFFIXES)})")
        elif not os.path.exists(one):
            raise ValueError(f"{one}: no such file or folder")
        elif one.lower().endswith(PARQUET):
            image_column(one, column)
        elif not one.lower().endswith(SUFFIXES):
            raise ValueError(
                f"{one} is of no known format: an image ({', '.join(SUFFIXES)}), a folder, or a table ({PARQUET})"
            )


def items(given: Iterable[str], stdin: TextIO, column: str | None = None) -> Iterator[Item]:
    """Every image of what was given, in its order; those of a folder by name.

    Args:
        stdin: where the paths of `-` stand, one a line.
        column: of a table, where the images are; None for the only one that can be.
    """
    for one in given:
        if one == STDIN:
            for line in stdin:
                if path := line.rstrip("\r\n"):
                    yield from files(path, column)
        elif is_pattern(one):
            for path in glob.iglob(one, recursive=True):
                yield from files(path, column)
        else:
            yield from files(one, column)


def files(path: str, column: str | None) -> Iterator[Item]:
    if os.path.isdir(path):
        yield from in_folder(path)
    elif path.lower().endswith(PARQUET):
        yield from in_table(path, column)
    else:
        yield Item(path, Path(path).read_bytes)


def in_folder(path: str) -> Iterator[Item]:
    for entry in folder.walk(pafs.LocalFileSystem(), path):
        if folder.is_image(entry):
            whole = os.path.join(path, entry.path)
            yield Item(whole, Path(whole).read_bytes)


def in_table(path: str, column: str | None) -> Iterator[Item]:
    """Raises ValueError for a file that is no table any more."""
    name = image_column(path, column)
    row = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=ROWS, columns=[name]):
                for value in batch.column(0):
                    yield Item(f"{path} row {row}", read(columns.as_bytes(value.as_py())))
                    row += 1
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from None


def read(found: bytes | OSError) -> Callable[[], bytes]:
    """What gives the bytes of a cell, or raises why there are none."""

    def bytes_of() -> bytes:
        if isinstance(found, OSError):
            raise found
        return found

    return bytes_of


def image_column(path: str, column: str | None) -> str:
    """Raises ValueError for a file that is no table, and a table that does not say which column it is."""
    try:
        with pq.ParquetFile(path) as table:
            schema = table.schema_arrow

            def first(name: str) -> object:
                batches = table.iter_batches(batch_size=ROWS, columns=[name])
                return next((cell.as_py() for batch in batches for cell in batch.column(0) if cell.is_valid), None)

            settings = {} if column is None else {"image": column}
            return columns.Choice(path, schema, settings, first).image()
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: Exception) -> ValueError:
    return ValueError(f"{path} is no Parquet file that can be read: {' '.join(str(error).split())[:120]}")


def is_pattern(given: str) -> bool:
    return glob.has_magic(given) and not os.path.exists(given)


def count(given: Sequence[str], column: str | None = None) -> int | None:
    """How many there are; None where that is not known before they come."""
    if STDIN in given:
        return None
    number = 0
    for one in given:
        for path in glob.iglob(one, recursive=True) if is_pattern(one) else [one]:
            if path.lower().endswith(PARQUET) and not os.path.isdir(path):
                number += pq.read_metadata(path).num_rows
            else:
                number += sum(1 for _ in files(path, column))
    return number
