"""Records of finished studies whose answers on the test set are known, written through `Record` as a study would."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from study.results.record import Record, prediction_rows
from study.results.study_file import plain
from tests.records import Shape, started
from trainables.loop import Predictions

IMAGES = 400
CLASSES = ("ant", "bee", "cat", "dog")


def answers(*accuracies: float, images: int = IMAGES, own: float = 0.03, seed: int = 0) -> np.ndarray:
    """(seeds, images) bool: which images are right, exactly as many as each seed's accuracy says.

    Hard images are hard for every model, but for a share of chance (`own`) that each seed of each model has.
    """
    hardness = np.linspace(0, 1, images)
    noise = np.random.default_rng(seed).normal(0, own, (len(accuracies), images))
    places = np.argsort(np.argsort(hardness + noise, axis=1), axis=1)
    return places < np.round(np.array(accuracies) * images)[:, None]


def study(
    folder: Path,
    model: str,
    correct: np.ndarray,
    /,
    *,
    pretraining: str = "none",
    dataset: str = "insects",
    classes: Sequence[str] = CLASSES,
    label: np.ndarray | None = None,
    index: np.ndarray | None = None,
    data: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    **changed: Any,
) -> Path:
    """Writes the record of a finished study into `folder/MODEL-PRETRAINING-DATASET` and returns that.

    Args:
        correct: (seeds, images) bool: a wrong answer names the next class.
        data, facts: what is another in the entries `data` and `study`.
        changed: other entries of study.json.
    """
    seeds, images = correct.shape
    name = f"{model}-{pretraining}-{dataset}"
    record = started(folder / name, Shape(classes=tuple(classes), trials=4, epochs=3, seeds=seeds))
    label = np.arange(images) % len(classes) if label is None else label
    index = np.arange(images) + 1000 if index is None else index
    predicted = np.where(correct, label, (label + 1) % len(classes))
    search(record)
    record.replace(
        "predictions",
        [
            row
            for seed, one in enumerate(predicted, start=1)
            for row in prediction_rows(
                seed, Predictions(index, label, one, np.full(images, 0.9), loss=0.1), lambda row: None
            )
        ],
    )
    told = {"name": name, "model": model, "pretraining": pretraining, "dataset": dataset, "variant": f"{model}_mini"}
    record.note(
        study={**plain(record.configuration), **told, **(facts or {})},
        data={**plain(record.data), "name": dataset, "test_set": f"of {dataset}", "left_out": [], **(data or {})},
        status="finished",
        **changed,
    )
    return record.folder


def search(record: Record) -> None:
    record.add(
        trials=[
            {"trial_id": f"trial-{n:03d}", "status": status, "val_accuracy": accuracy, "total_seconds": 5.0}
            for n, (status, accuracy) in enumerate(
                [("completed", 0.7), ("pruned", 0.5), ("failed", None), ("completed", 0.8)]
            )
        ]
    )


def edit(folder: Path, **entries: Any) -> None:
    """Replaces entries of a record's study.json."""
    Record(folder).note(**entries)
