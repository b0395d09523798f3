"""Test images to look at: some that the model gets right, some that it gets wrong, as small PNGs."""

from io import BytesIO

import numpy as np
from PIL import Image

from study import tracking
from study.data import libjpeg
from study.data.decoding import Unreadable
from study.data.source import ExampleSource
from study.results.record import Record, Row
from study.statistics import scores
from trainables.loop import Predictions

OF_EACH_KIND = 24
LONGEST_SIDE = 160


def choose(source: ExampleSource, seen: Predictions, seed: int) -> list[Row]:
    """The most confident mistakes, and an even choice over the correct ones, with their images."""
    wrong = np.flatnonzero(seen.label != seen.predicted)
    wrong = wrong[np.argsort(-seen.confidence[wrong])][:OF_EACH_KIND]
    right = np.flatnonzero(seen.label == seen.predicted)
    right = right[np.linspace(0, len(right) - 1, min(OF_EACH_KIND, len(right))).astype(int)]
    chosen = np.concatenate([wrong, right])
    rows = seen.index[chosen]
    try:
        with libjpeg.unheard():
            decoded = source.images.decoded(rows)
            pictures = {row: png(pixels) for row, pixels in zip(rows.tolist(), decoded, strict=True)}
    except Unreadable:  # gone since the store took it: the record has its name
        return []
    return [
        {
            "seed": seed,
            "index": int(seen.index[i]),
            "label": int(seen.label[i]),
            "predicted": int(seen.predicted[i]),
            "confidence": float(seen.confidence[i]),
            "image": source.images.name(int(seen.index[i])),
            "png": pictures[int(seen.index[i])],
        }
        for i in chosen
    ]


def png(pixels: np.ndarray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    encoded = BytesIO()
    image.save(encoded, format="PNG")
    return encoded.getvalue()


def for_tracking(record: Record, seen: Predictions, classes: tuple[str, ...]) -> tracking.Predictions:
    """One test run as W&B shows it, with the samples that the record has."""
    return tracking.Predictions(
        classes=classes,
        label=seen.label,
        predicted=seen.predicted,
        confidence=seen.confidence,
        per_class=scores(seen.label, seen.predicted, classes)["per_class"],
        samples=[
            tracking.Sample(row["png"], row["label"], row["predicted"], row["confidence"])
            for row in record.tables["samples"]
        ],
    )
