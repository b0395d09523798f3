"""The record on disk: the one source of truth of a study. The terminal, W&B and the page are views of it.

Every finished run is on disk before the next line is printed, each file replaced as a whole, so that a study
that dies has lost nothing that was finished. docs/record.md describes the files for their readers.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from study.files import write_json, write_parquet
from trainables.loop import Predictions

FORMAT = 1
COST = [
    ("epochs", pa.int64()),
    ("best_epoch", pa.int64()),
    ("train_seconds", pa.float64()),
    ("total_seconds", pa.float64()),
    ("peak_memory_bytes", pa.int64()),
    ("bytes_read", pa.int64()),
    ("parameters", pa.int64()),
    ("trained_parameters", pa.int64()),
    ("trained_share", pa.float64()),
    ("precision", pa.string()),
    ("boundary", pa.string()),
    ("micro_batch_size", pa.int64()),
]
POINT = [("lr", pa.float64()), ("weight_decay", pa.float64()), ("freeze_depth", pa.int64())]
PLACE = pa.dictionary(pa.int32(), pa.string())  # where a user finds an image: once, however many seeds predict it
TABLES = {
    "trials": pa.schema(
        [
            ("trial_id", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            *POINT,
            ("val_accuracy", pa.float64()),
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
            ("val_accuracy", pa.float64()),
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
            ("val_loss", pa.float64()),
            ("val_accuracy", pa.float64()),
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
        self.tables: dict[str, list[Row]] = {name: read_table(folder, name) for name in TABLES}
        self.study: dict[str, Any] = self._facts()

    def _facts(self) -> dict[str, Any]:
        path = self.folder / "study.json"
        if not path.exists():
            return {}
        try:
            facts = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise damaged(path, error) from None
        if not isinstance(facts, dict):
            raise ValueError(f"{path} is not an object: it is no record of ours")
        return facts

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

    def keep_predictions(self, seed: int, seen: Predictions, place: Callable[[int], str | None]) -> None:
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

    def note(self, **facts: Any) -> None:
        """Sets top-level entries of `study.json`."""
        self.study.update(facts)
        write_json(self.folder / "study.json", self.study)


def read_table(folder: Path, name: str) -> list[Row]:
    path = folder / f"{name}.parquet"
    if not path.exists():
        return []
    try:
        # in one go: the file may be replaced between two looks at it
        return pq.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from None


def write_table(folder: Path, name: str, schema: pa.Schema, rows: Iterable[Row]) -> None:
    """What of the rows is in the schema."""
    table = pa.Table.from_pylist([{column: row.get(column) for column in schema.names} for row in rows], schema=schema)
    write_parquet(folder / f"{name}.parquet", table)


def damaged(path: Path, error: Exception) -> ValueError:
    why = " ".join(str(error).split())[:120] or type(error).__name__
    return ValueError(
        f"{path} cannot be read ({why}): bring it back from a copy, or remove the folder and run it again"
    )


def prediction_rows(seed: int, seen: Predictions, place: Callable[[int], str | None]) -> list[dict[str, Any]]:
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
