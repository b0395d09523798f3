"""The images of Fashion-MNIST that no weights of the mini scale were trained on: its 10,000 test images, divided anew.

1,200 to train on, 300 to validate on, 8,500 to test. The classes are those that the weights were pretrained to tell
apart, so pretraining is more data of the same kind here; on digits it is data of another kind.
"""

from dataclasses import replace
from hashlib import sha256

import numpy as np

from study.data.named import fashion_mnist
from study.data.source import Arrays, DatasetRequest, ExampleSource
from study.data.splits import stratified


def load(request: DatasetRequest) -> ExampleSource:
    folder = fashion_mnist.find(request)
    pixels = fashion_mnist.read_idx(folder / "t10k-images-idx3-ubyte.gz")
    labels = fashion_mnist.read_idx(folder / "t10k-labels-idx1-ubyte.gz").astype(np.int64)
    source = ExampleSource(
        name="fashion_unseen",
        classes=fashion_mnist.CLASSES,
        labels=labels,
        images=Arrays(pixels),
        content=sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    )
    _, test = stratified(source, np.arange(len(labels)), 0.85, seed=0)
    return replace(source, test_rows=test)
