"""The record on disk: the one source of truth of a study. The terminal, W&B and the page are views of it.

Every finished run is on disk before the next line is printed, each file replaced as a whole, so that a study
that dies has lost nothing that was finished. docs/record.md describes the files for their readers.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from study.files import write_parquet
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
]
KINDS = {float: pa.float64(), int: pa.int64(), str: pa.string()}
POINT = [(name, KINDS[one.kind]) for name, one in DECLARED.items()]
VALIDATION = [(name, pa.float64()) for name in COLUMNS]
PLACE = pa.dictionary(pa.int32(), pa.string())  # where a user finds an image: once, however many seeds predict it
TABLES = {
    "trials": pa.schema(
        [
            ("trial_id", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
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
    "predictions": pa.schema(
        [
            ("seed", pa.int64()),
            ("index", pa.int64()),
            ("label", pa.int64()),
            ("predicted", pa.int64()),
            ("confidence", pa.float64()),
            ("image", PLACE),
        ]
    ),
    "samples": pa.schema(
        [
            ("seed", pa.int64()),
            ("index", pa.int64()),
            ("label", pa.int64()),
            ("predicted", pa.int64()),
            ("confidence", pa.float64()),
            ("image", PLACE),
            ("png", pa.binary()),
        ]
    ),
}

Row = Mapping[str, Any]


class Record:
    """The folder of one study: tables that grow a row at a time, and `study.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[str, list[Row]] = {name: read_table(folder, name, TABLES[name]) for name in TABLES}
        self.study = StudyFile.read(folder)

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
        return [row for row in self.curves if row["run_id"] == run_id]

    def add(self, **rows: Iterable[Row]) -> None:
        """Adds rows to the named tables and writes each of them."""
        for name, new in rows.items():
            self.tables[name].extend(new)
            self._write(name)

    def keep_predictions(self, seed: int, seen: "Predictions", place: Callable[[int], str | None]) -> None:
        """The predictions of the test run with that seed, in place of any that an interrupted session left.

        `place` says of an index where that image is found.
        """
        others = [row for row in self.tables["predictions"] if row["seed"] != seed]
        self.replace("predictions", [*others, *prediction_rows(seed, seen, place)])

    def replace(self, name: str, rows: Iterable[Row]) -> None:
        self.tables[name] = list(rows)
        self._write(name)

    def _write(self, name: str) -> None:
        write_table(self.folder, name, TABLES[name], self.tables[name])

    def note(self, **entries: Any) -> None:
        """Sets top-level entries of `study.json`, under the names that they have there."""
        self.study = self.study.with_entries(entries)
        self.study.write(self.folder)


def read_table(folder: Path, name: str, schema: pa.Schema | None = None) -> list[Row]:
    """The rows; a column of the schema that the file is too old to have is empty."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        return []
    try:
        # in one go: the file may be replaced between two looks at it
        rows: list[Row] = pq.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from None
    if schema and rows and (missing := set(schema.names) - rows[0].keys()):
        return [{**row, **dict.fromkeys(missing)} for row in rows]
    return rows


def write_table(folder: Path, name: str, schema: pa.Schema, rows: Iterable[Row]) -> None:
    """What of the rows is in the schema."""
    table = pa.Table.from_pylist([{column: row.get(column) for column in schema.names} for row in rows], schema=schema)
    write_parquet(folder / f"{name}.parquet", table)


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
