"""What names the images of a split: a hash where they are stored, a key for what brings them. And what images are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np


class Images(Protocol):
    """The images of a dataset, wherever they are. Ray sends it to other processes."""

    @property
    def rows_at_once(self) -> float:
        """How many are read where one is asked for: a row group of a table has many."""
        ...

    def decoded(self, rows: "np.ndarray") -> Iterator["np.ndarray"]:
        """Each of the given rows, in that order, as uint8 (H, W) or (H, W, 3)."""
        ...

    def encoded(self, rows: "np.ndarray") -> Iterator[bytes]:
        """What `decode` takes on a machine that does not see the files."""
        ...

    def decode(self, rows: "np.ndarray", encoded: Sequence[bytes]) -> Iterator["np.ndarray"]: ...

    def seen(self) -> str | None:
        """What this machine sees of the files: the same where the same are seen. None for images in memory."""
        ...

    def name(self, row: int) -> str | None:
        """Where a user finds it: a file, or a row of one. None where there is no such place."""
        ...


@dataclass(frozen=True)
class SplitDigest:
    """The images of a split: a hash of them, their labels and their order, and how many they are.

    `chosen` are the positions of those that are read, None for all; what is stored is the whole split. `source` is a
    hash of the dataset: what is stored for one split of it serves another. `side` is that of its images, where all are
    squares of one size in memory: those may be read as they are.
    """

    content: str
    length: int
    chosen: "np.ndarray | None" = field(default=None, compare=False)
    source: str = field(default="", compare=False)
    side: int | None = field(default=None, compare=False)

    def facts(self) -> list[str | int | None]:
        """Which images these are, in a few words."""
        chosen = None if self.chosen is None else sha256(self.chosen.astype("<i8").tobytes()).hexdigest()
        return [self.content, self.length, chosen]

    @property
    def examples(self) -> int:
        """How many are read."""
        return self.length if self.chosen is None else len(self.chosen)


class ImagesKey(NamedTuple):
    """The images of a split: as the model takes them, with a margin that random crops move in, or as they are."""

    split: str
    margin: bool = False
    own: bool = False
