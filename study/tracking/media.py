"""What W&B shows of a test run's predictions, and the model that a study has found."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from study.tracking.tracker import Predictions, Row

# W&B's client writes 10,000 rows of a table where a chart reads it, and drops the others without a word
MOST_ROWS = 10_000
MOST_CLASSES = 100  # whose matrix has as many cells
SMALLEST_SIDE = 512  # of a picture, in which a cell is as many pixels


def media(test: Predictions) -> dict[str, Any]:
    """The confusion matrix, the classification report, sample images, and how sure the model was."""
    import wandb

    columns = list(test.per_class[0])
    names = test.classes
    correct = test.label == test.predicted
    media: dict[str, Any] = {
        "classification_report": wandb.Table(
            columns=[*columns], data=[[row[column] for column in columns] for row in test.per_class]
        ),
        # as files of the run, and not of a table: these go where the run's folder goes
        "samples": [
            wandb.Image(
                Image.open(io.BytesIO(sample.png)),
                caption=f"{names[sample.label]} taken for {names[sample.predicted]} ({sample.confidence:.0%})"
                if sample.label != sample.predicted
                else f"{names[sample.label]} ({sample.confidence:.0%})",
            )
            for sample in test.samples
        ],
        **confusion(test),
    }
    if not test.samples:
        del media["samples"]
    for outcome, which in (("correct", correct), ("wrong", ~correct)):
        if which.any():
            media[f"confidence_{outcome}"] = wandb.Histogram(test.confidence[which])
    return media


def confusion(test: Predictions) -> dict[str, Any]:
    """W&B's chart of the matrix; of more classes than it can hold, a picture of all and a table of what is confused."""
    import wandb

    names = test.classes
    if len(names) <= MOST_CLASSES:
        return {
            "confusion_matrix": wandb.plot.confusion_matrix(
                y_true=test.label.tolist(),
                preds=test.predicted.tolist(),
                class_names=list(names),
                title="Confusion matrix",
            )
        }
    counts = test.counts()
    off = counts - np.diag(counts.diagonal())
    pairs = np.argwhere(off)
    pairs = pairs[np.argsort(-off[tuple(pairs.T)], kind="stable")]
    rows = [[names[label], names[predicted], int(off[label, predicted])] for label, predicted in pairs[:MOST_ROWS]]
    left = f"; {len(pairs) - MOST_ROWS} pairs, the rarest, are in the picture alone" if len(pairs) > MOST_ROWS else ""
    return {
        "confusion_matrix": wandb.Image(
            Image.fromarray(picture(counts)),
            caption=f"{len(names)} classes: rows are the true ones, dark is often{left}",
        ),
        "confused": wandb.Table(columns=["Actual", "Predicted", "images"], data=rows),
    }


def picture(counts: np.ndarray) -> np.ndarray:
    """A matrix of counts in grey, a square of pixels for each cell; the root of a row's share is its darkness."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = (255 - 255 * np.sqrt(shares)).astype(np.uint8)
    times = -(-SMALLEST_SIDE // len(counts))
    return cells.repeat(times, axis=0).repeat(times, axis=1)


def report_of(test: Predictions) -> str:
    """The classification report as a table of Markdown."""
    columns = list(test.per_class[0])
    rows = [
        [f"{row[name]:.3g}" if isinstance(row[name], float) else str(row[name]) for name in columns]
        for row in test.per_class
    ]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def artifact(folder: Path, name: str, metrics: Row) -> Any:
    """The model in a folder as W&B keeps models; its files are not copied before they are uploaded."""
    import wandb

    model = wandb.Artifact(name, type="model", metadata=dict(metrics))
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        model.add_file(str(file), name=file.relative_to(folder).as_posix(), policy="immutable", skip_cache=True)
    return model
