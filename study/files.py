"""Files that are replaced as a whole: who reads one while it is written sees the old one, or the new one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def replacing(path: Path, *, several_writers: bool = False) -> Iterator[Path]:
    """The path to write to; it takes the place of `path` at the end of the block, unless the block raises.

    Args:
        several_writers: other processes may be writing the same file now. A process that is killed then leaves its
            part behind; otherwise the next one writes over it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part" if several_writers else f".{path.name}.part")
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """What JSON has no word for, a path or a date, is written as text."""
    write_text(path, json.dumps(content, indent=1, default=str) + "\n")


def write_parquet(path: Path, table: "pa.Table") -> None:
    import pyarrow.parquet as pq

    with replacing(path) as part:
        pq.write_table(table, part)
