"""Fashion-MNIST (Xiao et al. 2017, MIT licence): 70,000 grey images of clothes, 28 x 28, with an official test set.

Found where Debian's package `dataset-fashion-mnist` puts it, else in torchvision's folder, else downloaded.
"""

import gzip
from hashlib import sha256
from pathlib import Path

import numpy as np

from study.data.source import Arrays, Request, Source

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TORCHVISION = Path.home() / ".cache" / "torchvision"


def load(request: Request) -> Source:
    folder = find()
    train, test = (
        (read_idx(folder / f"{part}-images-idx3-ubyte.gz"), read_idx(folder / f"{part}-labels-idx1-ubyte.gz"))
        for part in ("train", "t10k")
    )
    pixels = np.concatenate([train[0], test[0]])
    labels = np.concatenate([train[1], test[1]]).astype(np.int64)
    return Source(
        name="fashion_mnist",
        classes=CLASSES,
        labels=labels,
        images=Arrays(pixels),
        content=sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
        test_rows=np.arange(len(train[1]), len(labels)),
    )


def find() -> Path:
    """The folder with the four idx.gz files. Raises ValueError if they are nowhere and cannot be downloaded."""
    if (DEBIAN / "train-images-idx3-ubyte.gz").exists():
        return DEBIAN
    from torchvision.datasets import FashionMNIST

    try:
        return Path(FashionMNIST(str(TORCHVISION), download=True).raw_folder)
    except Exception as error:  # urllib's and torchvision's, of many kinds
        raise ValueError(
            f"fashion_mnist is not in {DEBIAN} and cannot be downloaded ({type(error).__name__}); on Debian: "
            "apt-get install dataset-fashion-mnist"
        ) from error


def read_idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes (two zero bytes, type 8, number of axes, then each axis's length, big-endian)."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    axes = data[3]
    shape = np.frombuffer(data, ">u4", count=axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
