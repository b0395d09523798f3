"""Comparisons for tests, of records that are made as a study makes them."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.comparison import Comparison, compare
from study.results.record import Record
from tests.records import Shape, finished

SMALL = Shape(trials=8, epochs=4, images_per_class=12)
FOUR = tuple(
    replace(SMALL, model=model, draw=draw, hard=hard)
    for draw, (model, hard) in enumerate((("coatnet", 0.02), ("vit", 0.1), ("resnet", 0.15), ("alexnet", 0.6)))
)
EIGHT = FOUR + tuple(replace(shape, pretraining="none", draw=4 + i, hard=0.3) for i, shape in enumerate(FOUR))


def compared(folder: Path, shapes: Iterable[Shape], *, priced: bool = True) -> Comparison:
    """The comparison of one finished study a shape."""
    records = [finished(folder / shape.name, shape) for shape in shapes]
    if priced:
        for i, record in enumerate(records):
            price(record, i)
    return compare([record.folder for record in records])


def price(record: Record, i: int) -> None:
    """What newer records have: FLOPs, inference and the devices of a run."""
    record.note(
        resources={"workers": 0, "cpus": 1, "threads": 1, "gpus": 0},
        cost={
            "stage_flops": [1_000_000 * (1 + i)] * 6,
            "inference": {
                "images_per_second": 900.0 / (1 + i),
                "batch": 32,
                "latency_ms": 1.5 + i,
                "latency_p95_ms": 2.0 + i,
                "repeats": 10,
                "device": "cpu",
                "precision": "fp32",
                "threads": 1,
            },
        },
    )


def probe(record: Record, accuracy: float) -> None:
    """A linear probe of the record's variant, in its folder."""
    found = {
        "variant": record.configuration.variant,
        "accuracy": accuracy,
        "interval": [accuracy - 0.05, accuracy + 0.05],
    }
    (record.folder / "probe.json").write_text(json.dumps({"format": 1, "probes": [found]}))


def needing(record: Record, accuracies: Iterable[float], *others: Iterable[float], seeds: int = 2) -> None:
    """Runs on parts of train in its folder: accuracies at 1, 2, 4... images per class.

    Those of the winner's freeze depth, then of the depths below it. One run at the winner's has failed.
    """
    rows = []
    winners = record.winner["freeze_depth"]
    curves = {winners - below: [*curve] for below, curve in enumerate((accuracies, *others))}
    for depth, i, accuracy in [(depth, *point) for depth, curve in curves.items() for point in enumerate(curve)]:
        for seed in range(1, seeds + 1):
            correct = np.random.default_rng(seed).random(100) < accuracy
            rows.append(
                {
                    "run_id": f"data_efficiency-{2**i}-depth{depth}-seed{seed}",
                    "images_per_class": 2**i,
                    "images": 2**i * len(record.data.classes),
                    "freeze_depth": depth,
                    "seed": seed,
                    "epochs": 4,
                    "status": "completed",
                    "reason": None,
                    "val_accuracy": accuracy,
                    "test_accuracy": float(correct.mean()),
                    "seconds": 1.0,
                    "correct": correct.tolist(),
                }
            )
    failed = rows[-1] | {"run_id": "data_efficiency-failed", "status": "failed", "test_accuracy": None, "correct": None}
    pq.write_table(pa.Table.from_pylist([*rows, failed]), record.folder / "data_efficiency.parquet")
