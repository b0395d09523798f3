"""scikit-learn's digits (UCI, Alpaydin & Kaynak 1998): 1,797 handwritten digits, 8 x 8, in a dependency we have."""

from hashlib import sha256

import numpy as np
from sklearn.datasets import load_digits

from study.data.source import Arrays, DatasetRequest, ExampleSource


def load(request: DatasetRequest) -> ExampleSource:
    if request.data_dir is not None:
        raise ValueError(f"digits come with scikit-learn and take no --data-dir, got {request.data_dir}")
    images, labels = load_digits(return_X_y=True)
    pixels = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # published as 0..16
    labels = labels.astype(np.int64)
    return ExampleSource(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        labels=labels,
        images=Arrays(pixels),
        content=sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    )
