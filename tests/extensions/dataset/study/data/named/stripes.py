"""Stripes in four directions, drawn by a seed: 400 grey images, 16 x 16, that need no download."""

from hashlib import sha256

import numpy as np

from study.data.source import Arrays, DatasetRequest, ExampleSource

CLASSES = ("horizontal", "vertical", "falling", "rising")


def load(request: DatasetRequest) -> ExampleSource:
    if request.data_dir is not None:
        raise ValueError(f"stripes are drawn and take no --data-dir, got {request.data_dir}")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    labels = np.arange(400) % len(CLASSES)
    phases = np.stack([y, x, x + y, x - y])[labels] * 1.2 + random.uniform(0, 6, (400, 1, 1))
    pixels = (127 + 60 * np.sin(phases) + random.normal(0, 30, phases.shape)).clip(0, 255).astype(np.uint8)
    return ExampleSource(
        name="stripes",
        classes=CLASSES,
        labels=labels,
        images=Arrays(pixels),
        content=sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    )
