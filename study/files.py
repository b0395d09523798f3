"""Files that are replaced as a whole: who reads one while it is written sees the old one, or the new one.

So does who reads it after the power failed: a file is on the disk before it takes the place of the old one.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

LITTLE = 1 << 30  # bytes free, that may be the reason why a file cannot be written


class NotWritten(OSError):
    """A file that could not be written: which, why, and what room its disk has."""

    def __init__(self, path: Path, error: OSError) -> None:
        why = error.strerror or " ".join(str(error).split()) or type(error).__name__
        super().__init__(f"{path} cannot be written ({why}{room(path)})")


def expanded(given: str | os.PathLike[str]) -> Path:
    """A path that a user gave: shells leave the `~` of `--results=~/studies` as it is. Raises ValueError."""
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f"{os.fspath(given)}: there is no such user, whose home that would be") from None


def room(path: Path) -> str:
    """What the disk of a path has free, if that is little."""
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:
        return ""
    return f"; {usage.free / 1e9:.2f} of {usage.total / 1e9:.0f} GB are free there" if usage.free < LITTLE else ""


def synced(path: Path) -> None:
    """Returns when what was written to a file, or into a folder, is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def replacing(path: Path, *, several_writers: bool = False) -> Iterator[Path]:
    """The path to write to; it takes the place of `path` at the end of the block, unless the block raises.

    Args:
        several_writers: other processes may be writing the same file now. A process that is killed then leaves its
            part behind; otherwise the next one writes over it.

    Raises NotWritten, which is an OSError, where the disk does not take it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part" if several_writers else f".{path.name}.part")
    try:
        yield part
        synced(part)
        os.replace(part, path)
        synced(path.parent)  # the new name
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NotWritten(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """What JSON has no word for, a path or a date, is written as text."""
    write_text(path, json.dumps(content, indent=1, default=str) + "\n")


def write_parquet(path: Path, table: "pa.Table") -> None:
    with replacing(path) as part:
        part.write_bytes(as_parquet(table))


def as_parquet(table: "pa.Table") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    pq.write_table(table, out, write_page_checksum=True)
    return out.getvalue().to_pybytes()
