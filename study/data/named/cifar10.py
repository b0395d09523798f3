"""CIFAR-10 (Krizhevsky 2009): 60,000 colour images of ten kinds of things, 32 x 32, with an official test set.

Its python archive holds pickles, and a pickle may run any program. torchvision's reader opens one only after its
checksum, so none is opened but those that were published.
"""

from hashlib import sha256
from pathlib import Path

import numpy as np
import torchvision
from torchvision.datasets.utils import check_integrity

from study.data.download import Archive, obtain
from study.data.source import Arrays, DatasetRequest, ExampleSource

ARCHIVE = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    size=170_498_071,
    checksum="md5:c58f30108f718f92721af3b95e74349a",
    folder="cifar-10-batches-py",
    sign="batches.meta",
)
SETTINGS: dict[str, str] = {}


class Batches(torchvision.datasets.CIFAR10):
    """The files in a folder, whatever the folder is called."""

    base_folder = ""


def load(request: DatasetRequest) -> ExampleSource:
    folder = obtain(ARCHIVE, request)
    check_files(folder)
    train, test = (Batches(folder, train=train) for train in (True, False))
    images = np.concatenate([train.data, test.data])
    labels = np.array([*train.targets, *test.targets], np.int64)
    return ExampleSource(
        name="cifar10",
        classes=tuple(train.classes),
        labels=labels,
        images=Arrays(images),
        content=sha256(images.tobytes() + labels.tobytes()).hexdigest(),
        test_rows=np.arange(len(train.targets), len(labels)),
    )


def check_files(folder: Path) -> None:
    """Raises ValueError, naming the file, if one is missing or is not as it was published. torchvision names none."""
    published = [*Batches.train_list, *Batches.test_list, (Batches.meta["filename"], Batches.meta["md5"])]
    for name, md5 in published:
        if not check_integrity(folder / name, md5):
            fault = "is not the published one, by its md5" if (folder / name).exists() else "is missing"
            raise ValueError(
                f"{folder / name} {fault}: remove {folder}, and get it again (CIFAR-10's python version, from "
                f"{ARCHIVE.url})"
            )
