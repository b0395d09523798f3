"""The record on disk: the one source of truth of a study. The terminal, W&B and the page are views of it.

Every finished run is on disk, in the journal, before the next line is printed, so that a study that dies has lost
nothing that was finished. The tables follow it, each replaced as a whole: so often that writing them takes a small
share of the time, and whenever the study has come a step further, or ends. docs/record.md describes the files for
their readers.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.files import as_parquet, replacing, write_parquet
from study.results import journal
from study.results.journal import Journal, Results
from study.results.study_file import Configuration, Data, ModelFacts, StudyFile, TestResult, damaged
from trainables.hyperparameters import DECLARED
from trainables.metrics import COLUMNS

if TYPE_CHECKING:
    from trainables.loop import Predictions

COST = [
    ("epochs", pa.int64()),
    ("best_epoch", pa.int64()),
    ("train_seconds", pa.float64()),
    ("total_seconds", pa.float64()),
    ("peak_memory_bytes", pa.int64()),
    ("resident_bytes", pa.int64()),
    ("bytes_read", pa.int64()),
    ("parameters", pa.int64()),
    ("trained_parameters", pa.int64()),
    ("trained_share", pa.float64()),
    ("precision", pa.string()),
    ("boundary", pa.string()),
    ("micro_batch_size", pa.int64()),
    ("node", pa.string()),
    ("device", pa.string()),
    ("process", pa.int64()),
]
ATTEMPTS = [("cause", pa.string()), ("attempts", pa.int64()), ("earlier_attempts", pa.list_(pa.string()))]
KINDS = {float: pa.float64(), int: pa.int64(), str: pa.string()}
POINT = [(name, KINDS[one.kind]) for name, one in DECLARED.items()]
VALIDATION = [(name, pa.float64()) for name in COLUMNS]
PLACE = pa.dictionary(pa.int32(), pa.string())  # where a user finds an image: once, however many seeds predict it
# a run's answer to an image
PREDICTED = [
    ("seed", pa.int64()),
    ("index", pa.int64()),
    ("label", pa.int64()),
    ("predicted", pa.int64()),
    ("confidence", pa.float64()),
    ("image", PLACE),
]
TABLES = {
    "trials": pa.schema(
        [
            ("trial_id", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            *ATTEMPTS,
            *POINT,
            *VALIDATION,
            *COST,
            ("seed", pa.int64()),
        ]
    ),
    "runs": pa.schema(
        [
            ("run_id", pa.string()),
            ("phase", pa.string()),
            ("trial_id", pa.string()),
            ("seed", pa.int64()),
            ("status", pa.string()),
            ("reason", pa.string()),
            *ATTEMPTS,
            *POINT,
            *VALIDATION,
            ("test_accuracy", pa.float64()),
            *COST,
        ]
    ),
    "curves": pa.schema(
        [
            ("run_id", pa.string()),
            ("phase", pa.string()),
            ("seed", pa.int64()),
            ("epoch", pa.int64()),
            ("train_loss", pa.float64()),
            *VALIDATION,
            ("lr", pa.float64()),
            ("train_seconds", pa.float64()),
            ("seconds", pa.float64()),
        ]
    ),
    "predictions": pa.schema(PREDICTED),
    "start": pa.schema(PREDICTED),
    "samples": pa.schema([*PREDICTED, ("png", pa.binary())]),
    "confusion": pa.schema([("label", pa.int64()), ("predicted", pa.int64()), ("count", pa.int64())]),
}

KEYS = {"trials": "trial_id", "runs": "run_id"}
JOURNALED = ("curves", "trials", "runs")  # in the order that they are written: a run's row comes after its curve
PAUSE = 50  # times what writing the tables took, until they are written again

Row = Mapping[str, Any]


@dataclass
class Attempts:
    """At one run: how many have begun, and why those that are over ended without a result."""

    begun: int = 0
    ended: list[str] = field(default_factory=list)


class Record:
    """The folder of one study: tables that grow a row at a time, and `study.json`.

    Attributes:
        notes: what was damaged, and could be mended.
        attempts: at each run, as far as the journal reaches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study = StudyFile.read(folder)
        self.notes: list[str] = []
        self.attempts: defaultdict[str, Attempts] = defaultdict(Attempts)
        self.tables: dict[str, list[Row]] = {name: [] for name in TABLES}
        self._journal: Journal | None = None  # none yet, or none that goes on
        self._before: Journal | None = None  # the one that is there, if it goes on or not
        self._behind: set[str] = set()  # tables whose files lack rows
        self._written, self._took = -inf, 0.0  # when these were written last, and how long that took
        self._curves: dict[str, list[Row]] = {}
        self._indexed = 0  # how many rows of the curves are in it
        self._read()

    def _read(self) -> None:
        """The tables, then what they lack of the journal: in this order, for both may grow meanwhile."""
        files: dict[str, bytes] = {}
        unreadable: dict[str, ValueError] = {}
        for name in TABLES:
            try:
                if (content := file_of(self.folder, name)) is not None:
                    files[name] = content
            except ValueError as error:
                unreadable[name] = error
        there = journal.read(self.folder)
        stamps: dict[str, bytes | None] = {}
        for name, content in files.items():
            try:
                table = parsed(self.folder, name, content)
                stamp = (table.schema.metadata or {}).get(journal.STAMP)
                if there and not there[0].wrote(name, content, stamp):
                    raise damaged(self.folder / f"{name}.parquet", ValueError("its checksum is another"))
                self.tables[name], stamps[name] = rows_of(table, TABLES[name]), stamp
            except ValueError as error:
                unreadable[name] = error
        if there is not None:
            this, results = there
            self._before = this
            for run_id, why in results.attempts():
                self._count(run_id, why)
            held = {name: this.held(stamps[name]) for name in JOURNALED if name in stamps}
            if None not in held.values():  # else these tables were not written from this journal
                self._replay(this, results, {name: lines or 0 for name, lines in held.items()}, unreadable)
        for reason in unreadable.values():
            raise reason

    def _replay(self, this: Journal, results: Results, held: dict[str, int], unreadable: dict[str, ValueError]) -> None:
        """Adds what the tables lack of their journal, and takes those that it could mend from the unreadable ones.

        Args:
            held: how many lines are in each table that could be read.
        """
        needed = max(held.get("trials", 0), held.get("runs", 0))
        for name in JOURNALED:
            if name not in held and this.before.get(name):  # it had rows that no journal has
                lost = f"{self.folder / name}.parquet is missing: bring it back from a copy, or choose another --name"
                raise unreadable.get(name) or ValueError(lost)
            rows = results.rows(name, after=held.get(name, 0), needed=needed)
            self.tables[name] += pa.Table.from_pylist(rows, TABLES[name]).to_pylist()
            if rows or name in unreadable:
                self._behind.add(name)
            if name in unreadable:
                broken = str(unreadable.pop(name)).partition(": bring it back")[0]
                self.notes.append(f"{broken}: its rows were taken from {this.path.name}")
        if max(held.values(), default=0) <= this.lines:  # else it has lost lines, whose place others would take
            self._journal = this
        self._forget_earlier_attempts()

    def _forget_earlier_attempts(self) -> None:
        """A run that failed and was tried again later has two rows, and the last one counts."""
        for name, key in KEYS.items():
            rows = self.tables[name]
            if len(latest := {row[key]: row for row in rows}) < len(rows):
                again = {run for run, times in Counter(row[key] for row in rows).items() if times > 1}
                self.tables[name] = list(latest.values())
                self.tables["curves"] = last_curves(self.curves, again)
                self._behind |= {name, "curves"}

    def _count(self, run_id: str, why: str | None) -> None:
        if why is None:
            self.attempts[run_id].begun += 1
        else:
            self.attempts[run_id].ended.append(why)

    @property
    def begun(self) -> bool:
        """Whether there is a study, and not an empty folder."""
        return self.study.configuration is not None

    @property
    def configuration(self) -> Configuration:
        """Of a study that has begun. Raises ValueError for a folder that holds none."""
        if self.study.configuration is None:
            raise ValueError(f"{self.folder} is no study: it has no study.json")
        return self.study.configuration

    @property
    def data(self) -> Data:
        return self._entry("data")

    @property
    def model(self) -> ModelFacts:
        return self._entry("model")

    @property
    def winner(self) -> Row:
        """Of a study whose replicates have ended."""
        return self._entry("winner")

    @property
    def test(self) -> TestResult:
        """Of a study whose test runs have ended."""
        return self._entry("test")

    def _entry(self, name: str) -> Any:
        entry = getattr(self.study, name)
        if entry is None:
            raise ValueError(f"{self.folder} has no {name} in its study.json: the study has not come so far")
        return entry

    @property
    def trials(self) -> list[Row]:
        return self.tables["trials"]

    @property
    def runs(self) -> list[Row]:
        """The replicates and test runs."""
        return self.tables["runs"]

    @property
    def curves(self) -> list[Row]:
        return self.tables["curves"]

    def curve(self, run_id: str) -> list[Row]:
        curves = self.curves
        if len(curves) < self._indexed:
            self._curves, self._indexed = {}, 0
        for row in curves[self._indexed :]:
            self._curves.setdefault(row["run_id"], []).append(row)
        self._indexed = len(curves)
        return list(self._curves.get(run_id, ()))

    @property
    def confusion(self) -> np.ndarray:
        """Rows of (true, predicted, count) for the pairs of classes that occur over all test runs, in order.

        Records from before there was a table of them have the whole matrix in `study.json`.
        """
        rows = self.tables["confusion"]
        if rows:
            return np.array([[row["label"], row["predicted"], row["count"]] for row in rows])
        matrix = np.array(self.test.confusion)
        true, predicted = np.nonzero(matrix)
        return np.column_stack([true, predicted, matrix[true, predicted]]).astype(np.int64)

    def replace_table(self, name: str, rows: Sequence[Row]) -> None:
        """Another content of a table that no run adds to. Raises OSError."""
        assert name not in JOURNALED
        self.tables[name] = list(rows)
        self._write([name])

    def add(self, **rows: Iterable[Row]) -> None:
        """Adds rows to the named tables: those of a run, and its curve, together or not at all. Raises OSError."""
        new = {name: list(these) for name, these in rows.items()}
        tables = {name: arrow_table(these, TABLES[name]) for name, these in new.items()}
        if result := {name: table for name, table in tables.items() if name in JOURNALED}:
            self._begin_journal().add_result(result)
        for name, these in new.items():
            self.tables[name].extend(these)
            if name in result:
                self._behind.add(name)
            else:
                self._write([name])
        if perf_counter() - self._written >= PAUSE * self._took:
            self.write_tables()

    def begin(self, run_id: str) -> None:
        """Notes that a run begins, for the first time or again. Raises OSError."""
        self._begin_journal().add_begun(run_id)
        self._count(run_id, None)

    def end_attempt(self, run_id: str, why: str) -> None:
        """Notes that it ended without a result. Raises OSError."""
        self._begin_journal().add_ended(run_id, why)
        self._count(run_id, why)

    def attempts_at(self, run_id: str) -> Row:
        """The columns that say so of a run that has ended now."""
        counted = self.attempts[run_id]
        return {"attempts": max(counted.begun, 1), "earlier_attempts": list(counted.ended)}

    @property
    def under_way(self) -> list[str]:
        """The runs that were begun and have not ended: those that ran when their process died."""
        ended = {row[key] for name, key in KEYS.items() for row in self.tables[name]}
        return [run for run, at in self.attempts.items() if at.begun > len(at.ended) and run not in ended]

    def take_back(self, run_ids: Collection[str]) -> None:
        """Forgets runs that are to be tried again, with their curves; another row of theirs takes their place."""
        for name, key in {**KEYS, "curves": "run_id"}.items():
            kept = [row for row in self.tables[name] if row[key] not in run_ids]
            if len(kept) < len(self.tables[name]):
                self.tables[name] = kept
                self._behind.add(name)
        self._curves, self._indexed = {}, 0

    def _begin_journal(self) -> Journal:
        if self._journal is None:
            new = Journal(self.folder / journal.NAME, journal.new_id())
            files = self._files([name for name in JOURNALED if self.tables[name]], new)
            if self._before is not None:
                self._before.add_written(checksums(files))
            self._replace(files)
            # after the tables, which the journal that was there cannot be taken for theirs any more
            new.begin({name: len(self.tables[name]) for name in JOURNALED}, checksums(files))
            self._journal = self._before = new
        return self._journal

    def write_tables(self) -> None:
        """Writes the tables that lack rows. Raises OSError."""
        since = perf_counter()
        if behind := [name for name in JOURNALED if name in self._behind]:
            self._begin_journal()
            self._write(behind)
            self._behind.clear()
        self._written = perf_counter()
        self._took = self._written - since

    def _write(self, names: Sequence[str]) -> None:
        """Writes tables. A journal that is there knows their checksums first. Raises OSError."""
        files = self._files(names, self._journal)
        if self._before is not None:
            self._before.add_written(checksums(files))
        self._replace(files)

    def _files(self, names: Sequence[str], this: Journal | None) -> dict[str, bytes]:
        metadata = {journal.STAMP: this.stamp()} if this else None
        return {
            name: as_parquet(arrow_table(self.tables[name], TABLES[name].with_metadata(metadata))) for name in names
        }

    def _replace(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            with replacing(self.folder / f"{name}.parquet") as part:
                part.write_bytes(content)

    def keep_predictions(
        self, seed: int, seen: "Predictions", place: Callable[[int], str | None], *, table: str = "predictions"
    ) -> None:
        """The predictions of the test run with that seed, in place of any that an interrupted session left.

        `place` says of an index where that image is found.
        """
        others = [row for row in self.tables[table] if row["seed"] != seed]
        self.replace(table, [*others, *prediction_rows(seed, seen, place)])

    def replace(self, name: str, rows: Iterable[Row]) -> None:
        self.tables[name] = list(rows)
        self._write([name])

    def note(self, **entries: Any) -> None:
        """Sets top-level entries of `study.json`, under the names that they have there; the tables are whole then."""
        study = self.study.with_entries(entries)
        self.write_tables()
        study.write(self.folder)
        self.study = study


def last_curves(rows: Iterable[Row], of: Collection[str]) -> list[Row]:
    """The rows, without those of earlier attempts at some runs: a curve begins anew with an epoch that it has had."""
    kept: list[Row] = []
    for row in rows:
        if row["run_id"] in of and any(one["run_id"] == row["run_id"] and one["epoch"] >= row["epoch"] for one in kept):
            kept = [one for one in kept if one["run_id"] != row["run_id"]]
        kept.append(row)
    return kept


def read_table(folder: Path, name: str, schema: pa.Schema | None = None) -> list[Row]:
    """The rows; a column of the schema that the file is too old to have is empty."""
    content = file_of(folder, name)
    return [] if content is None else rows_of(parsed(folder, name, content), schema)


def file_of(folder: Path, name: str) -> bytes | None:
    """A table's file, in one go, for it may be replaced between two looks at it; None where there is none."""
    path = folder / f"{name}.parquet"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise damaged(path, error) from None


def parsed(folder: Path, name: str, content: bytes) -> pa.Table:
    """The table in a file. Raises ValueError for one that is damaged."""
    try:
        return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise damaged(folder / f"{name}.parquet", error) from None


def checksums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: journal.checksum(content) for name, content in files.items()}


def rows_of(table: pa.Table, schema: pa.Schema | None) -> list[Row]:
    rows: list[Row] = table.to_pylist()
    if schema and rows and (missing := set(schema.names) - rows[0].keys()):
        return [{**row, **dict.fromkeys(missing)} for row in rows]
    return rows


def write_table(folder: Path, name: str, schema: pa.Schema, rows: Iterable[Row]) -> None:
    """What of the rows is in the schema."""
    write_parquet(folder / f"{name}.parquet", arrow_table(rows, schema))


def arrow_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{column: row.get(column) for column in schema.names} for row in rows], schema=schema)


def prediction_rows(seed: int, seen: "Predictions", place: Callable[[int], str | None]) -> list[dict[str, Any]]:
    columns = (seen.index, seen.label, seen.predicted, seen.confidence)
    return [
        {
            "seed": seed,
            "index": index,
            "label": label,
            "predicted": predicted,
            "confidence": confidence,
            "image": place(index),
        }
        for index, label, predicted, confidence in zip(*(column.tolist() for column in columns), strict=True)
    ]
