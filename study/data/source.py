"""What a dataset is to a study: images, labels and classes, and which images it does not use."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from trainables.choices import choose

DUPLICATES = ("auto", "refuse", "drop", "keep")


@dataclass(frozen=True)
class DatasetRequest:
    """How a dataset is asked for.

    Attributes:
        data_dir: where its archive, or what was extracted from it, lies already.
        offline: never try the network.
        strict: the first image that cannot be read is a mistake, not something to leave out.
        duplicates: what becomes of an image that occurs more than once: see `study.data.duplicates`.
        settings: each dataset's own, by name.
    """

    data_dir: Path | None = None
    offline: bool = False
    strict: bool = False
    duplicates: str = "auto"
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choose("duplicates", self.duplicates, DUPLICATES)


class Images(Protocol):
    """The images of a dataset, wherever they are. Ray sends it to other processes."""

    def decoded(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Each of the given rows, in that order, as uint8 (H, W) or (H, W, 3)."""
        ...

    def name(self, row: int) -> str | None:
        """Where a user finds it: a file, or a row of one. None where there is no such place."""
        ...


@dataclass(frozen=True)
class Arrays:
    """Images that are in memory: (N, H, W) or (N, H, W, 3) uint8."""

    pixels: np.ndarray

    def decoded(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        yield from self.pixels[rows]

    def name(self, row: int) -> None:
        return None


@dataclass(frozen=True)
class ExampleSource:
    """A dataset as published.

    Attributes:
        labels: (N,) int64, the class of every image.
        content: a hash of the images and labels.
        test_rows, val_rows: the indices of the test and validation sets that it comes with, None where it has none.
        left_out: images that a study does not use, each with the reason.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    images: Images = field(compare=False)
    content: str
    test_rows: np.ndarray | None = None
    val_rows: np.ndarray | None = None
    left_out: tuple[tuple[str, str], ...] = ()
