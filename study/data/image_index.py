"""A dataset of encoded images before anything was decoded: where they are, and what their places say of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs


class Nothing(ValueError):
    """A place was read and holds no dataset; says all that stands against it, each with the way out."""

    def __init__(self, *reasons: str) -> None:
        more = f"; {len(reasons) - 1} more: python -m study.data check names all" if len(reasons) > 1 else ""
        super().__init__(reasons[0] + more)
        self.reasons = reasons


class Encoded(Protocol):
    """Images as they are stored, encoded. Ray sends it to other processes."""

    def __len__(self) -> int: ...

    @property
    def state(self) -> str:
        """A hash of what can be had without reading an image: where they are, their sizes, when they were changed."""
        ...

    @property
    def rows_at_once(self) -> float:
        """How many are read where one is asked for."""
        ...

    def chunks(self) -> Iterable[np.ndarray]:
        """All rows, in order, in portions that are read together at little cost."""
        ...

    def read(self, rows: np.ndarray) -> Iterator[bytes | OSError]:
        """The bytes of each of some rows, or why there are none."""
        ...

    def name(self, row: int) -> str:
        """Where a user finds it."""
        ...

    def seen(self, rows: np.ndarray) -> str:
        """What this machine sees of the files of some rows: their sizes and when they were changed."""
        ...


@dataclass(frozen=True)
class Files:
    """Image files under a folder of a file system, local or remote."""

    filesystem: pafs.FileSystem
    folder: str
    paths: pa.Array  # relative to the folder: an Arrow array, which other processes map instead of unpickling
    state: str

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def rows_at_once(self) -> float:
        return 1

    def chunks(self) -> Iterable[np.ndarray]:
        return np.array_split(np.arange(len(self)), max(1, len(self) // 32))

    def read(self, rows: np.ndarray) -> Iterator[bytes | OSError]:
        for row in rows:
            try:
                with self.filesystem.open_input_stream(f"{self.folder}/{self.paths[int(row)]}") as file:
                    yield file.read()
            except OSError as error:
                yield error

    def name(self, row: int) -> str:
        return str(self.paths[row])

    def seen(self, rows: np.ndarray) -> str:
        return seen(self.filesystem, [f"{self.folder}/{self.paths[int(row)]}" for row in rows])


def seen(filesystem: pafs.FileSystem, paths: list[str]) -> str:
    try:
        return str([(info.size, info.mtime_ns) for info in filesystem.get_file_info(paths)])
    except OSError as error:  # no such bucket from here, or no right to look into it
        return f"nothing: {error}"


@dataclass(frozen=True)
class Aside:
    """Files of one kind that lie in a dataset and are not part of it.

    Attributes:
        example: the path of one.
        images: a person would take them for images.
        way: what makes images of them, or nothing.
    """

    kind: str
    count: int
    example: str
    images: bool = False
    way: str = ""

    def __str__(self) -> str:
        return f"{self.count:,} {self.kind} ({self.example})" + (f": {self.way}" if self.way else "")


@dataclass(frozen=True)
class ImageIndex:
    """A dataset of encoded images before it was scanned.

    Attributes:
        labels: (N,) int64.
        splits: (N,) `train`, `val` or `test`, where the dataset comes with that.
        draw: where it does not, but has a convention of its own: from the labels of what can be used, these splits.
        ignored: files that are no images, or in no class.
        aside: the same, by kind.
        refusals: why no study takes it, as far as its places say so.
        groups: (N,) int64, of images that must not be in two splits; None where nobody says.
        columns: what was taken for what, where it is a table.
    """

    name: str
    images: Encoded
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray | None = None
    draw: Callable[[np.ndarray], np.ndarray] | None = None
    ignored: int = 0
    aside: tuple[Aside, ...] = ()
    refusals: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    columns: tuple[tuple[str, str], ...] = ()
