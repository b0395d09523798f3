"""Small files in the true layouts of datasets that are too large to test with.

`MAKERS` has them by dataset. A dataset without one is tested where its files lie already, and skipped elsewhere.
"""

import gzip
import hashlib
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torchvision
from PIL import Image

from study.data.source import DatasetRequest

CALTECH_CLASSES = ("001.ak47", "002.american-flag", "056.dog", "198.spider", "257.clutter")
IMAGES_PER_CLASS = 18
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ROWS_PER_BATCH = 20


def random() -> np.random.Generator:
    return np.random.default_rng(0)


class Python2(pickle._Pickler):
    """Writes strings and bytes as Python 2 did, which pickled CIFAR-10."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self: Any, given: str | bytes) -> None:
        data = given.encode() if isinstance(given, str) else given
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(given)

    dispatch[str] = dispatch[bytes] = save_string


def as_python_2(value: Any) -> bytes:
    file = BytesIO()
    Python2(file, protocol=2).dump(value)
    pickled = file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    return pickled.replace(pickle.NEWFALSE + pickle.NEWTRUE + pickle.TUPLE3, b"K\x00K\x01" + pickle.TUPLE3)


def cifar10(parent: Path) -> DatasetRequest:
    """Five batches and a test batch, in a folder of the published name below `parent`."""
    folder = parent / "cifar-10-batches-py"
    folder.mkdir()
    draw = random()
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], start=1):
        labels = [int(label) for label in draw.permutation(ROWS_PER_BATCH) % 10]
        content = {
            b"batch_label": f"training batch {number} of 5".encode(),
            b"labels": labels,
            b"data": draw.integers(0, 256, (ROWS_PER_BATCH, 3072)).astype(np.uint8),
            b"filenames": [f"{CIFAR_CLASSES[label]}_s_{i:06d}.png".encode() for i, label in enumerate(labels)],
        }
        (folder / name).write_bytes(as_python_2(content))
    meta = {
        b"num_cases_per_batch": ROWS_PER_BATCH,
        b"label_names": [name.encode() for name in CIFAR_CLASSES],
        b"num_vis": 3072,
    }
    (folder / "batches.meta").write_bytes(as_python_2(meta))
    (folder / "readme.html").write_text("<meta HTTP-EQUIV='REFRESH' content='0; url=http://www.cs.toronto.edu/'>\n")
    return DatasetRequest(data_dir=parent, offline=True)


def publish_cifar10(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes torchvision take these files for the published ones: it has their checksums from now on."""
    reader = torchvision.datasets.CIFAR10

    def md5(name: str) -> str:
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    for files in ("train_list", "test_list"):
        patch.setattr(reader, files, [[name, md5(name)] for name, _ in getattr(reader, files)])
    patch.setattr(reader, "meta", reader.meta | {"md5": md5(reader.meta["filename"])})


def caltech256(parent: Path) -> DatasetRequest:
    """Folders of photographs of many sizes, a few of them grey, with the stray entries of the published archive."""
    folder = parent / "256_ObjectCategories"
    draw = random()
    for name in CALTECH_CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(1, IMAGES_PER_CLASS + 1):
            height, width = draw.integers(20, 40, 2)
            shape = (height, width) if number % 6 == 0 else (height, width, 3)
            image = Image.fromarray(draw.integers(0, 256, shape).astype(np.uint8))
            image.save(folder / name / f"{name[:3]}_{number:04d}.jpg")
    (folder / "056.dog" / "greg" / "vision309").mkdir(parents=True)
    (folder / "198.spider" / "RENAME2").write_text("#!/bin/sh\n")
    return DatasetRequest(data_dir=parent, offline=True, settings={"train_per_class": "15"})


def fashion_mnist(folder: Path, test_images: int = 50) -> DatasetRequest:
    draw = random()
    for part, rows in (("train", 200), ("t10k", test_images)):
        images = draw.integers(0, 256, (rows, 28, 28)).astype(np.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", draw.permutation(rows).astype(np.uint8) % 10)):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return DatasetRequest(data_dir=folder, offline=True)


def published_cifar10(parent: Path, patch: pytest.MonkeyPatch) -> DatasetRequest:
    request = cifar10(parent)
    publish_cifar10(parent / "cifar-10-batches-py", patch)
    return request


MAKERS: dict[str, Callable[[Path, pytest.MonkeyPatch], DatasetRequest]] = {
    "caltech256": lambda folder, patch: caltech256(folder),
    "cifar10": published_cifar10,
    "fashion_mnist": lambda folder, patch: fashion_mnist(folder),
    "fashion_unseen": lambda folder, patch: fashion_mnist(folder, test_images=200),
}
