"""What may lie beside a record in a study's folder: a linear probe, and runs on parts of the training images."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.comparison import Row
from study.record import damaged
from study.statistics import Interval, accuracy_interval


@dataclass(frozen=True)
class Probe:
    """Ridge regression on the frozen features of the row's variant."""

    accuracy: float
    interval: Interval


def probe(row: Row) -> Probe | None:
    """From `probe.json`; None where there is none of this variant. Raises ValueError for a file that is damaged."""
    path = row.record.folder / "probe.json"
    if not path.exists():
        return None
    try:
        found = [one for one in json.loads(path.read_text())["probes"] if one["variant"] == row.variant]
        return Probe(found[0]["accuracy"], Interval(*found[0]["interval"])) if found else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None


@dataclass(frozen=True)
class Amount:
    """The runs of one freeze depth on as many images; `interval` covers draws, seeds and test images.

    Where the table does not hold the single answers it is the lowest and the highest run.
    """

    images_per_class: float
    images: int
    accuracies: tuple[float, ...]
    interval: Interval
    seconds: float

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.accuracies))


@dataclass(frozen=True)
class Requirements:
    """Attributes:
    amounts: by freeze depth, the fewest images first.
    failed: how many runs gave no accuracy.
    """

    amounts: dict[int, list[Amount]]
    failed: int


def requirements(row: Row) -> Requirements | None:
    """From `requirements.parquet`; None where it is not there. Raises ValueError for a file that is damaged."""
    path = row.record.folder / "requirements.parquet"
    if not path.exists():
        return None
    try:
        runs = pq.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
        completed = [run for run in runs if run["status"] == "completed"]
        amounts: dict[int, list[Amount]] = {}
        for depth, images in sorted({(run["freeze_depth"], run["images"]) for run in completed}):
            those = [run for run in completed if (run["freeze_depth"], run["images"]) == (depth, images)]
            amounts.setdefault(depth, []).append(amount(those, len(row.classes)))
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise damaged(path, error) from None
    return Requirements(amounts, len(runs) - len(completed))


def amount(runs: list[dict[str, Any]], classes: int) -> Amount:
    accuracies = tuple(run["test_accuracy"] for run in sorted(runs, key=lambda run: run["seed"]))
    correct = [run.get("correct") for run in runs]
    each = runs[0].get("total_seconds", runs[0].get("seconds"))
    return Amount(
        images_per_class=runs[0]["images"] / classes,
        images=runs[0]["images"],
        accuracies=accuracies,
        interval=accuracy_interval(np.array(correct)) if all(correct) else Interval(min(accuracies), max(accuracies)),
        seconds=float(each or 0.0),
    )
