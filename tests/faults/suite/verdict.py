"""What faults cost: records beside those of the same command undisturbed."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from study.design.states import RunStatus
from study.results import data_efficiency
from study.results.record import Record
from tests.faults.suite.victim import Victim

# What two runs of the same study may differ in
OF_THE_MACHINE = {
    *("train_seconds", "total_seconds", "seconds", "peak_memory_bytes", "resident_bytes", "bytes_read"),
    *("boundary", "notes", "node", "device", "process", "micro_batch_size", "attempts", "earlier_attempts"),
}
KEYS = {"trials": ("trial_id",), "runs": ("run_id",), "curves": ("run_id", "epoch"), "predictions": ("seed", "index")}
Rows = dict[str, dict[str, Any]]


@dataclass
class Verdict:
    """
    Attributes:
        lost: results that were in the record, and are not, or are another.
        twice: runs that were in the record, and were trained again.
        wrong: rows that differ from those of the undisturbed study, or are missing.
        disorder: commands that ended otherwise than they may, or said more than a reader takes in.
        strays: processes and files that are left.
        seconds: of the command that came to the end.
        struck: whether the fault happened at all: a study may have ended before its moment came.
    """

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    seconds: float = 0.0
    struck: bool = True

    @property
    def good(self) -> bool:
        return not (self.lost or self.twice or self.wrong or self.disorder or self.strays)


def readable(victim: Victim) -> Iterator[tuple[Record, list[Any]]]:
    """Its records that can be read, and what of data efficiency each has."""
    for folder in victim.records:
        try:
            found = Record(folder), data_efficiency.read(folder)
        except ValueError:
            continue
        yield found


def tables(victim: Victim) -> Rows:
    """The rows of its records by what names them, without what is the machine's; none where they cannot be read."""
    found: Rows = {}
    for record, measured in readable(victim):
        rows = {
            "trials": record.trials,
            "runs": record.runs,
            **{n: record.tables[n] for n in ("curves", "predictions")},
        }
        for name, given in rows.items():
            found |= named(f"{record.folder.name} {name}", given, KEYS[name])
        found |= named(f"{record.folder.name} data efficiency", measured, ("run_id",))
    for path in sorted(victim.results.glob("*/comparison.json")):
        rows_of_it = [row for group in json.loads(path.read_text())["groups"] for row in group["rows"]]
        found |= named(
            "comparison", [{"name": row["name"], "accuracy": str(row["accuracy"])} for row in rows_of_it], ("name",)
        )
    return found


def named(where: str, rows: Iterable[Any], keys: tuple[str, ...]) -> Rows:
    return {
        f"{where} {' '.join(str(row[key]) for key in keys)}": {
            name: value for name, value in row.items() if name not in OF_THE_MACHINE
        }
        for row in rows
    }


def finished_runs(victim: Victim) -> set[str]:
    """As the trace names them."""
    found = set()
    for record, measured in readable(victim):
        if record.study.configuration is None:
            continue
        again = [row for row in (*record.trials, *record.runs, *measured) if row.get("cause") == "machine"]
        names = [row.get("run_id") or row["trial_id"] for row in record.trials]
        names += [row["run_id"] for row in record.runs]
        names += [row["run_id"] for row in measured if row["status"] == RunStatus.COMPLETED]
        tried = {row.get("run_id") or row.get("trial_id") for row in again}
        found |= {f"{record.configuration.variant}/{name}" for name in names if name not in tried}
    return found


def differences(before: Rows, after: Rows) -> list[str]:
    """The rows of `before` that `after` lacks, or has with other values."""
    found = []
    for name, row in before.items():
        other = after.get(name)
        if other is None:
            found.append(f"{name} is missing")
        elif columns := [column for column in row if row[column] != other.get(column)]:
            found.append(f"{name}: {columns[0]} {row[columns[0]]} became {other.get(columns[0])}")
    return found


def left_files(victim: Victim, usual: Counter[str]) -> list[str]:
    """What an undisturbed study does not leave behind, or not so often."""
    return sorted((files(victim) - usual).elements())


CHANGING = re.compile(r"(?<=/)\d+-\w+(?=/lock)|[0-9a-f]{8,}|\d+")  # the scratch folder of a node's worker; numbers
EXPECTED = re.compile(r"/stalled/|/wandb/")  # stacks of runs that were stopped are kept on purpose, as are offline runs


def files(victim: Victim) -> Counter[str]:
    """What lies in the temporary folder and in the results: files, without what in their names changes, and how many.

    The folders of Ray's sessions do not count: the logs of the last ones are kept on purpose.
    """
    found = set()
    for root in (victim.temporary, victim.results):
        for path in root.rglob("*"):
            parts = path.relative_to(victim.folder).parts
            if path.is_file() and not path.is_symlink() and not any(part.startswith("session_") for part in parts):
                found.add("/".join(parts))
    return Counter(CHANGING.sub("#", name) for name in found if not EXPECTED.search(name))
