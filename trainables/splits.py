"""What names the images of a split: a hash where they are stored, a key for the Ray Dataset that brings them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class SplitDigest:
    """The images of a split: a hash of them, their labels and their order, and how many they are.

    `chosen` are the positions of those that are read, None for all; what is stored is the whole split.
    """

    content: str
    length: int
    chosen: "np.ndarray | None" = field(default=None, compare=False)


class ImagesKey(NamedTuple):
    """The images of a split: as the model takes them, or with a margin that random crops move in."""

    split: str
    margin: bool = False

    @property
    def ray_name(self) -> str:
        """Ray Train names datasets by strings."""
        return f"{self.split} with a crop margin" if self.margin else self.split
