"""What W&B shows of a test run's predictions."""

import io
from typing import Any

from PIL import Image

from study.tracking.tracker import Predictions

MOST_CLASSES = 300  # of a confusion matrix: W&B keeps a row for each of its cells


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
        "samples": wandb.Table(
            columns=["image", "label", "predicted", "confidence", "correct"],
            data=[
                [
                    wandb.Image(Image.open(io.BytesIO(sample.png))),
                    names[sample.label],
                    names[sample.predicted],
                    sample.confidence,
                    sample.label == sample.predicted,
                ]
                for sample in test.samples
            ],
        ),
    }
    if len(names) <= MOST_CLASSES:
        media["confusion_matrix"] = wandb.plot.confusion_matrix(
            y_true=test.label.tolist(),
            preds=test.predicted.tolist(),
            class_names=list(names),
            title="Confusion matrix",
        )
    for outcome, which in (("correct", correct), ("wrong", ~correct)):
        if which.any():
            media[f"confidence_{outcome}"] = wandb.Histogram(test.confidence[which])
    return media
