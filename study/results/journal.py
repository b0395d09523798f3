"""The journal of a record: a line a result, with its checksum, on the disk before the study goes on.

A result is a finished run. Its row and its curve are one line, so that both are there or neither is, and a line costs
the same however many are there. The tables are written from the journal's rows now and then, and say in their metadata
how many lines they hold: who opens a record reads the tables, and of the journal what they lack.

    1a2b3c4d {"format": 1, "id": "9f...", "before": {"trials": 0, "runs": 0, "curves": 0}}
    5e6f7a8b {"trials": {"trial_id": ["trial-000"], ...}, "curves": {"epoch": [1, 2], ...}}
    9c0d1e2f {"written": {"trials": "3a4b5c6d", "curves": "7e8f9a0b"}}
    8d1e2f3a {"begun": "trial-001"}
    7e2f3a4b {"ended": "trial-001", "why": "its process died"}

Before a table is written, its file's checksum is: Parquet's own leave out what describes the columns. That a run was
begun, and why an attempt at it ended without a result, is noted when it happens.
"""

import errno
import json
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.files import NotWritten, replacing

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "record.journal"
FORMAT = 1
WRITTEN = "written"
BEGUN, ENDED, WHY = "begun", "ended", "why"
STAMP = b"journal"  # of a table's metadata: `ID LINES`

Columns = dict[str, list[Any]]
Rows = list[dict[str, Any]]


@dataclass
class Journal:
    """Where the lines are, and where the next one goes.

    Attributes:
        id: of this journal, which the tables that are written from it name.
        before: how many rows of each table were there before the journal began, and are not in it.
        written: the checksums of all files that ever were written of a table.
        lines: how many follow the first.
        unfinished: where the last whole line ends, in bytes, if something follows it that was not finished.
    """

    path: Path
    id: str
    before: dict[str, int] = field(default_factory=dict)
    written: dict[str, set[str]] = field(default_factory=dict)
    lines: int = 0
    unfinished: int | None = None

    def begin(self, before: Mapping[str, int], written: Mapping[str, str]) -> None:
        """Writes the first line, in the place of any journal that is there. Raises OSError."""
        self.before = dict(before)
        with replacing(self.path) as part:
            part.write_bytes(line({"format": FORMAT, "id": self.id, "before": self.before, "written": dict(written)}))

    def add_result(self, tables: "Mapping[str, pa.Table]") -> None:
        """When this returns, it is on the disk. Raises OSError, and nothing is added."""
        self._append({name: columns(table) for name, table in tables.items()})

    def add_written(self, checksums: Mapping[str, str]) -> None:
        """Of files of tables, before they take the place of what is there. Raises OSError."""
        self._append({WRITTEN: dict(checksums)})

    def add_begun(self, run_id: str) -> None:
        """That a run begins, for the first time or again. Raises OSError."""
        self._append({BEGUN: run_id})

    def add_ended(self, run_id: str, why: str) -> None:
        """That it ended without a result. Raises OSError."""
        self._append({ENDED: run_id, WHY: why})

    def _append(self, content: Mapping[str, Any]) -> None:
        text = line(content)
        try:
            with self.path.open("r+b", buffering=0) as file:  # one that was removed has no place for another line
                if self.unfinished is not None:
                    file.truncate(self.unfinished)
                self.unfinished = file.seek(0, os.SEEK_END)
                if file.write(text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise NotWritten(self.path, error) from error
        self.unfinished = None
        self.lines += 1

    def stamp(self) -> bytes:
        """What a table has in its metadata that holds all of the journal."""
        return f"{self.id} {self.lines}".encode()

    def held(self, stamp: bytes | None) -> int | None:
        """How many lines a table with that stamp holds; None for a table that was not written from this journal."""
        name, _, lines = (stamp or b"").decode(errors="replace").partition(" ")
        return int(lines) if name == self.id and lines.isdecimal() else None

    def wrote(self, name: str, content: bytes, stamp: bytes | None) -> bool:
        """Whether the file of a table is as it was written, as far as this journal reaches."""
        beyond = self.held(stamp) or 0
        return name not in self.written or checksum(content) in self.written[name] or beyond >= self.lines


@dataclass(frozen=True)
class Results:
    """What the lines of a journal hold: of each the columns by table, None where it is damaged."""

    path: Path
    lines: Sequence[dict[str, Columns] | None]

    def attempts(self) -> Iterator[tuple[str, str | None]]:
        """Every run that was begun, as often as it was; with why, every one that ended without a result."""
        for result in self.lines:
            if result and BEGUN in result:
                yield str(result[BEGUN]), None
            elif result and ENDED in result:
                yield str(result[ENDED]), str(result.get(WHY))

    def rows(self, name: str, *, after: int, needed: int) -> Rows:
        """What the lines after the first `after` add to a table.

        Raises ValueError where one that is damaged is needed: the first so many are in tables.
        """
        rows: Rows = []
        for number, result in enumerate(self.lines[after:], start=after):
            if result is not None:
                rows.extend(as_rows(result.get(name, {})))
            elif number >= needed:
                raise damaged(self.path, number + 2)
        return rows


def read(folder: Path) -> tuple[Journal, Results] | None:
    """That of a record; None where it has none. Raises ValueError for one that is damaged from its first line."""
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): bring it back from a copy") from None
    lines = content.split(b"\n")[:-1]
    held = [checked(line) for line in lines]
    while held and held[-1] is None:  # the process, or the machine, ended while it was written
        held.pop()
    if not held or (head := held[0]) is None or not isinstance(head.get("before"), dict):
        raise damaged(path, 1)
    end = sum(len(line) + 1 for line in lines[: len(held)])
    unfinished = end if end < len(content) else None
    written: dict[str, set[str]] = {}
    for name, one in (pair for result in held if result for pair in result.get(WRITTEN, {}).items()):
        written.setdefault(name, set()).add(one)
    this = Journal(path, str(head.get("id")), dict(head["before"]), written, len(held) - 1, unfinished)
    return this, Results(path, held[1:])


def new_id() -> str:
    return secrets.token_hex(8)


def damaged(path: Path, number: int) -> ValueError:
    return ValueError(
        f"{path} is damaged in line {number}: bring it back from a copy, or remove it, and --resume runs again what "
        "it alone holds"
    )


def line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return f"{checksum(text)} ".encode() + text + b"\n"


def checksum(content: bytes) -> str:
    return f"{zlib.crc32(content):08x}"


def checked(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None where it is damaged."""
    said, _, text = line.partition(b" ")
    if said != checksum(text).encode():
        return None
    content = json.loads(text)
    return content if isinstance(content, dict) else None


def columns(table: "pa.Table") -> Columns:
    """Those of a table that are not empty, and the first."""
    first, *_ = table.column_names
    given = table.to_pydict().items()
    return {name: values for name, values in given if name == first or any(value is not None for value in values)}


def as_rows(columns: Columns) -> Rows:
    names: Sequence[str] = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
