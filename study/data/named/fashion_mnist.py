"""Fashion-MNIST (Xiao et al. 2017, MIT licence): 70,000 grey images of clothes, 28 x 28, with an official test set.

Found where Debian's package `dataset-fashion-mnist` puts it, else in torchvision's folder, else downloaded; or in
--data-dir.
"""

import gzip
import zlib
from hashlib import sha256
from math import prod
from pathlib import Path

import numpy as np

from study.data.download import fetch, search_folder
from study.data.source import Arrays, DatasetRequest, ExampleSource

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TORCHVISION = Path.home() / ".cache" / "torchvision" / "FashionMNIST" / "raw"
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FILES = {  # size, checksum
    "train-images-idx3-ubyte.gz": (26_421_880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    "train-labels-idx1-ubyte.gz": (29_515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
    "t10k-images-idx3-ubyte.gz": (4_422_102, "md5:bef4ecab320f06d8554ea6380940ec79"),
    "t10k-labels-idx1-ubyte.gz": (5_148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
}


def load(request: DatasetRequest) -> ExampleSource:
    folder = find(request)
    train, test = (
        (read_idx(folder / f"{part}-images-idx3-ubyte.gz"), read_idx(folder / f"{part}-labels-idx1-ubyte.gz"))
        for part in ("train", "t10k")
    )
    for images, labels_of in (train, test):
        if (
            images.shape[1:] != (28, 28)
            or labels_of.shape != images.shape[:1]
            or labels_of.max(initial=0) >= len(CLASSES)
        ):
            raise ValueError(
                f"the idx files in {folder} are not images of 28 x 28 with a label 0 to 9 each: remove them, and get "
                "them again"
            )
    pixels = np.concatenate([train[0], test[0]])
    labels = np.concatenate([train[1], test[1]]).astype(np.int64)
    return ExampleSource(
        name="fashion_mnist",
        classes=CLASSES,
        labels=labels,
        images=Arrays(pixels),
        content=sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
        test_rows=np.arange(len(train[1]), len(labels)),
    )


def find(request: DatasetRequest) -> Path:
    """The folder with the four idx.gz files. Raises ValueError if they are nowhere and cannot be downloaded."""
    place = search_folder(request)
    known = (DEBIAN, TORCHVISION) if request.data_dir is None else ()
    for folder in (*known, place, place / "FashionMNIST" / "raw"):
        if all((folder / name).is_file() for name in FILES):
            return folder
    target = place if request.data_dir else place / "fashion-mnist"
    try:
        for name, (size, checksum) in FILES.items():
            fetch(f"{URL}/{name}", target / name, size=size, checksum=checksum, offline=request.offline)
    except ValueError as error:
        raise ValueError(f"{error}; on Debian: apt-get install dataset-fashion-mnist") from error
    return target


def read_idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes (two zero bytes, type 8, number of axes, then each axis's length, big-endian)."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}: remove it, and get it again") from error
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    axes = data[3] if len(data) > 3 else 0
    start = 4 + 4 * axes
    if axes not in (1, 3) or len(data) < start:
        raise ValueError(f"{path} is an idx file without the lengths of 1 or 3 axes: remove it, and get it again")
    shape = [int(length) for length in np.frombuffer(data, ">u4", count=axes, offset=4)]
    if len(data) - start != prod(shape):
        raise ValueError(
            f"{path} holds {len(data) - start:,} bytes where its head says {' x '.join(map(str, shape))}: remove it, "
            "and get it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
