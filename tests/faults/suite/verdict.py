"""What faults cost: a study's record beside that of the same study undisturbed."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study.results.record import Record
from tests.faults.suite.victim import Victim

# What two runs of the same study may differ in
OF_THE_MACHINE = {
    *("train_seconds", "total_seconds", "seconds", "peak_memory_bytes", "resident_bytes", "bytes_read"),
    *("boundary", "notes", "node", "device", "process", "micro_batch_size", "attempts", "earlier_attempts"),
}
KEYS = {"trials": ("trial_id",), "runs": ("run_id",), "curves": ("run_id", "epoch"), "predictions": ("seed", "index")}
Rows = dict[tuple[Any, ...], dict[str, Any]]


@dataclass
class Verdict:
    """
    Attributes:
        lost: results that were in the record, and are not, or are another.
        twice: runs that were in the record, and were trained again.
        wrong: rows that differ from those of the undisturbed study, or are missing.
        disorder: commands that ended otherwise than they may, or said more than a reader takes in.
        strays: processes and files that are left.
        seconds: from the start of the command that went on to the end of the study.
    """

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.lost or self.twice or self.wrong or self.disorder or self.strays)


def tables(folder: Path) -> dict[str, Rows]:
    """The rows of a record by what names them, without what is the machine's; nothing where it cannot be read."""
    try:
        record = Record(folder)
    except ValueError:
        return {name: {} for name in KEYS}
    rows = {"trials": record.trials, "runs": record.runs, **{n: record.tables[n] for n in ("curves", "predictions")}}
    return {
        name: {
            tuple(row[key] for key in KEYS[name]): {k: v for k, v in row.items() if k not in OF_THE_MACHINE}
            for row in given
        }
        for name, given in rows.items()
    }


def finished_runs(folder: Path) -> set[str]:
    held = tables(folder)
    return {str(key[0]) for name in ("trials", "runs") for key in held[name]}


def differences(before: dict[str, Rows], after: dict[str, Rows]) -> list[str]:
    """The rows of `before` that `after` lacks, or has with other values."""
    found = []
    for name, rows in before.items():
        for key, row in rows.items():
            other = after[name].get(key)
            if other is None:
                found.append(f"{name} {key} is missing")
            elif columns := [column for column in row if row[column] != other.get(column)]:
                found.append(f"{name} {key}: {columns[0]} {row[columns[0]]} became {other.get(columns[0])}")
    return found


def left_files(victim: Victim, usual: Counter[str]) -> list[str]:
    """What an undisturbed study does not leave behind, or not so often."""
    return sorted((files(victim) - usual).elements())


def files(victim: Victim) -> Counter[str]:
    """What lies in the temporary folder and in the results: files, without what in their names changes, and how many.

    The folders of Ray's sessions do not count: the logs of the last ones are kept on purpose.
    """
    found = set()
    for root in (victim.temporary, victim.results):
        for path in root.rglob("*"):
            parts = path.relative_to(victim.folder).parts
            if path.is_file() and not path.is_symlink() and not any(part.startswith("session_") for part in parts):
                found.add(parts)
    return Counter(re.sub(r"[0-9a-f]{8,}|\d+", "#", "/".join(parts)) for parts in found)
