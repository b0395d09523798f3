"""CIFAR-10 (Krizhevsky 2009): 60,000 colour images of ten kinds of things, 32 x 32, with an official test set.

Its python archive holds pickles. They are read by an unpickler that makes arrays and plain values and calls nothing.
"""

import pickle
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

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
TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), "test_batch"
SIDE = 32


def load(request: DatasetRequest) -> ExampleSource:
    folder = obtain(ARCHIVE, request)
    classes = names(folder / "batches.meta")
    batches = [batch(folder / name, len(classes)) for name in (*TRAIN, TEST)]
    images, labels = (np.concatenate(column) for column in zip(*batches, strict=True))
    tests = len(batches[-1][1])
    return ExampleSource(
        name="cifar10",
        classes=classes,
        labels=labels,
        images=Arrays(images),
        content=sha256(images.tobytes() + labels.tobytes()).hexdigest(),
        test_rows=np.arange(len(labels) - tests, len(labels)),
    )


def batch(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) uint8 and labels (N,) int64 of one file, which has a row of 3 x 32 x 32 for each."""
    content = unpickled(path)
    rows, given = content.get(b"data"), content.get(b"labels")
    if not isinstance(rows, np.ndarray) or rows.shape[1:] != (3 * SIDE * SIDE,):
        raise ValueError(f"{path} is no batch of CIFAR-10: its data must be rows of {3 * SIDE * SIDE} bytes")
    if not isinstance(given, list) or len(given) != len(rows) or not all(label in range(classes) for label in given):
        raise ValueError(f"{path} is no batch of CIFAR-10: its labels must be {len(rows)} numbers below {classes}")
    channels_first = rows.reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(channels_first.transpose(0, 2, 3, 1)), np.array(given, np.int64)


def names(path: Path) -> tuple[str, ...]:
    given = unpickled(path).get(b"label_names")
    if not isinstance(given, list) or not all(isinstance(name, bytes) for name in given):
        raise ValueError(f"{path} does not name the classes of CIFAR-10")
    return tuple(name.decode() for name in given)


def unpickled(path: Path) -> dict[bytes, Any]:
    """Raises ValueError if the file is not there, is damaged, or wants to call what no array needs."""
    try:
        with path.open("rb") as file:
            content = Plain(file, encoding="bytes").load()  # the strings of Python 2
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
        return {key: value.array() if isinstance(value, Bytes) else value for key, value in content.items()}
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}): CIFAR-10 has {', '.join(TRAIN)}, {TEST}"
        ) from error
    except Exception as error:  # a damaged pickle raises of every kind
        raise ValueError(f"{path} cannot be read as a batch of CIFAR-10: {error or type(error).__name__}") from error


class Bytes:
    """An array as its pickle describes it; NumPy's own unpickling, which may not be given just anything, stays out."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.kind, self.fortran, self.raw = state

    def array(self) -> np.ndarray:
        """Raises ValueError if it is not one of unsigned bytes."""
        if not isinstance(self.kind, Kind) or self.kind.code not in (b"u1", "u1") or not isinstance(self.raw, bytes):
            raise ValueError("an array in it is not one of unsigned bytes")
        return np.frombuffer(self.raw, np.uint8).reshape(self.shape, order="F" if self.fortran else "C")


class Kind:
    """The dtype of an array as its pickle describes it."""

    def __init__(self, code: bytes | str, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and fields, of which bytes have none."""


def reconstructed(*_: Any) -> Bytes:
    return Bytes()


def latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2, without the other codecs that could be named."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it has bytes in the encoding {encoding}")
    return text.encode(encoding)


class Plain(pickle.Unpickler):
    """Numbers, strings, lists, dicts, and arrays as `Bytes`: what else a pickle names is not even imported."""

    ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): reconstructed,
        ("numpy._core.multiarray", "_reconstruct"): reconstructed,
        ("numpy", "ndarray"): Bytes,
        ("numpy", "dtype"): Kind,
        ("_codecs", "encode"): latin1,
    }

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it wants to load {module}.{name}, which no array needs: refused")
        return self.ALLOWED[module, name]
