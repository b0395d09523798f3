"""What a dataset is to a study: images, labels and classes, and which images it does not use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainables.choices import choose
from trainables.splits import Images

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


@dataclass(frozen=True)
class Arrays:
    """Images that are in memory: (N, H, W) or (N, H, W, 3) uint8."""

    pixels: np.ndarray

    @property
    def rows_at_once(self) -> float:
        return 1

    def decoded(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        yield from self.pixels[rows]

    def encoded(self, rows: np.ndarray) -> Iterator[bytes]:
        raise AssertionError("images in memory are not encoded")

    def decode(self, rows: np.ndarray, encoded: Sequence[bytes]) -> Iterator[np.ndarray]:
        raise AssertionError("images in memory are not encoded")

    def seen(self) -> None:
        return None

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
        encoded_bytes: of all images, as they are read; 0 for images in memory.
        aside: how many files there are that are not part of it, by kind.
        pixel_range: what black and white are of pixels of more than 8 bits; nothing where there are none.
        groups: (N,) int64, of images that must not be in two splits.
        warnings: what a person should know before a study of it, each in one line.
        pictures: (N, M) a tiny picture of each image, by which near copies are found; None for images in memory.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    images: Images = field(compare=False)
    content: str
    test_rows: np.ndarray | None = None
    val_rows: np.ndarray | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    encoded_bytes: int = 0
    aside: Mapping[str, int] = field(default_factory=dict)
    pixel_range: Mapping[str, list[float]] = field(default_factory=dict)
    groups: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    pictures: np.ndarray | None = field(default=None, compare=False)

    @property
    def side(self) -> int | None:
        """Of its images, where all are squares of one size in memory."""
        if not isinstance(self.images, Arrays):
            return None
        height, width = self.images.pixels.shape[1:3]
        return height if height == width else None
