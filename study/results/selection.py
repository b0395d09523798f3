"""The record of a selection: select.json, and a row per candidate and per round in Parquet. docs/record.md has both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from study.files import write_json, write_parquet

FACTS, CANDIDATES, ROUNDS = "select.json", "candidates.parquet", "rounds.parquet"
FORMAT = 1
Row = dict[str, Any]

LEADER, TIED, STOPPED, DROPPED, WAITING, FAILED = "leader", "tied", "stopped", "dropped", "waiting", "failed"
STATUSES = (LEADER, TIED, STOPPED, DROPPED, WAITING, FAILED)

COLUMNS = {
    CANDIDATES: pa.schema(
        [
            *[(name, pa.string()) for name in ("name", "model", "pretraining", "group", "family", "status", "reason")],
            *[(name, pa.int64()) for name in ("rounds", "images")],
            *[(name, pa.float64()) for name in ("accuracy", "low", "high", "behind", "behind_low", "behind_high")],
            *[(name, pa.float64()) for name in ("left_after_seconds", "seconds", "image_seconds", "score")],
            *[(name, pa.int64()) for name in ("parameters", "boundary", "backbone_stages", "features")],
        ]
    ),
    ROUNDS: pa.schema(
        [
            ("name", pa.string()),
            *[(name, pa.int64()) for name in ("round", "images", "boundary")],
            *[(name, pa.float64()) for name in ("accuracy", "smoothed", "low", "high", "seconds", "penalty")],
        ]
    ),
}


@dataclass(frozen=True)
class Selection:
    """What a selection came to.

    Attributes:
        facts: the entries of select.json.
        candidates: a row for each, the best first.
        rounds: a row for each candidate and subset that it was measured on.
    """

    facts: Mapping[str, Any]
    candidates: Sequence[Row]
    rounds: Sequence[Row]

    def of(self, *statuses: str) -> list[Row]:
        return [row for row in self.candidates if row["status"] in statuses]

    @property
    def leader(self) -> Row:
        [row] = self.of(LEADER)
        return row

    @property
    def kept(self) -> list[Row]:
        by_name = {row["name"]: row for row in self.candidates}
        return [by_name[name] for name in self.facts["kept"]]

    def write(self, folder: Path) -> None:
        """Tables first: whoever finds select.json finds all of it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in ((CANDIDATES, self.candidates), (ROUNDS, self.rounds)):
            write_parquet(folder / name, pa.Table.from_pylist(list(rows), schema=COLUMNS[name]))
        write_json(folder / FACTS, self.facts)

    @classmethod
    def read(cls, folder: Path) -> "Selection":
        """Raises ValueError for a folder that holds none."""
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            tables = [pq.read_table(folder / name).to_pylist() for name in (CANDIDATES, ROUNDS)]
        except FileNotFoundError as error:
            raise ValueError(f"{folder} holds no selection ({Path(str(error.filename)).name} is missing)") from None
        return cls(facts, *tables)
