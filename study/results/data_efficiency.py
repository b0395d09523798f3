"""The table of how accuracy depends on the amount of data, beside a study's record: a row a run of its winner."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from study.design.states import RunStatus
from study.results.record import COST, POINT, Record, Row, read_table, write_table
from study.statistics.data_efficiency import Answers

TABLE = "data_efficiency"
BEFORE = "requirements"  # what table and runs were called: read for one version
SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("images_per_class", pa.int64()),
        ("images", pa.int64()),
        *POINT,
        ("seed", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("val_accuracy", pa.float64()),
        ("test_accuracy", pa.float64()),
        ("steps", pa.int64()),
        *COST,
        ("correct", pa.list_(pa.bool_())),
    ]
)


def path(folder: Path) -> Path:
    """The table in a study's folder, by the name that it has there."""
    before = folder / f"{BEFORE}.parquet"
    here = folder / f"{TABLE}.parquet"
    return before if before.exists() and not here.exists() else here


def read(folder: Path) -> list[Row]:
    """The rows of a study's table, none where it has none. Raises ValueError for a file that is damaged."""
    rows = read_table(folder, path(folder).stem, SCHEMA)
    return [{**row, "run_id": row["run_id"].replace(f"{BEFORE}-", f"{TABLE}-", 1)} for row in rows]


def write(folder: Path, rows: Iterable[Row]) -> None:
    """Writes the table, and removes the one of the former name, whose rows are in it."""
    write_table(folder, TABLE, SCHEMA, rows)
    (folder / f"{BEFORE}.parquet").unlink(missing_ok=True)


@dataclass(frozen=True)
class Measured:
    """What one study's table holds.

    Attributes:
        images: what tells its images and splits from those of other studies.
        depths: number of stages that can be frozen.
        completed, failed: rows of the table.
    """

    name: str
    images: str
    classes: int
    winners_depth: int
    depths: int
    completed: Sequence[Row]
    failed: Sequence[Row]

    @classmethod
    def of(cls, record: Record, rows: Sequence[Row]) -> Self:
        return cls(
            name=record.configuration.name,
            images=record.data.fingerprint,
            classes=len(record.data.classes),
            winners_depth=record.winner["freeze_depth"],
            depths=record.model.backbone_stages,
            completed=[row for row in rows if row["status"] == RunStatus.COMPLETED],
            failed=[row for row in rows if row["status"] != RunStatus.COMPLETED],
        )

    def answers(self, freeze_depth: int) -> Answers:
        """By images per class, the mean one where classes differ."""
        rows = [row for row in self.completed if row["freeze_depth"] == freeze_depth]
        by_amount: dict[float, list[list[bool]]] = {}
        for row in sorted(rows, key=lambda row: (row["images"], row["seed"])):
            by_amount.setdefault(row["images"] / self.classes, []).append(row["correct"])
        return {n: np.array(correct) for n, correct in by_amount.items()}

    @property
    def by_depth(self) -> dict[int, Answers]:
        return {depth: self.answers(depth) for depth in sorted({row["freeze_depth"] for row in self.completed})}

    @property
    def winners(self) -> Answers:
        """At the winner's freeze depth; empty where that was not tried."""
        return self.answers(self.winners_depth)


def alike(studies: Sequence[Measured]) -> list[dict[str, Answers]]:
    """What may be compared: studies of the same images, by name, at their winners' freeze depths."""
    return [
        {study.name: study.winners for study in studies if study.images == images}
        for images in dict.fromkeys(study.images for study in studies)
    ]
