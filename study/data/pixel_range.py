"""How pixels of more than eight bits become eight: one rule for all images of a dataset, from what they really use.

A microscope of 12 bits saves files of 16, and a model that saw only the upper eight would see black. So the scan
measures what the dataset uses, and every reader of it is told.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HOT = 8  # so many times what nearly all pixels of every image are below: a hot pixel, not what the data use
WIDE = 4  # a range that fills less than this part of its bits is stretched
Range = tuple[float, float]


@dataclass(frozen=True)
class PixelRange:
    """The values that become black and white; None where no image has such pixels.

    Attributes:
        integers: of pixels of 16 or 32 bits.
        fractions: of floating-point pixels.
    """

    integers: Range | None = None
    fractions: Range | None = None

    @classmethod
    def measured(cls, scanned: pa.Table) -> Self:
        """Of the rows of a scan that a study uses."""
        deep = scanned.filter(pc.is_valid(scanned["nearly_most"]))
        fractions = pc.equal(deep["mode"], "F")
        integers = deep.filter(pc.invert(fractions))
        return cls(natural(used(integers), whole=True), natural(used(deep.filter(fractions)), whole=False))

    @property
    def is_usual(self) -> bool:
        """Nothing but what was always read so: the upper eight of sixteen bits."""
        return self.fractions is None and self.integers in (None, (0, 65535))

    def facts(self) -> dict[str, list[float]]:
        """For the record; nothing where all pixels have eight bits."""
        both = {"integers": self.integers, "fractions": self.fractions}
        return {name: list(range_) for name, range_ in both.items() if range_ is not None}

    def __str__(self) -> str:
        return ", ".join(f"{low:g} to {high:g} of {name}" for name, (low, high) in self.facts().items())

    def eight_bits(self, pixels: np.ndarray) -> np.ndarray:
        """Deep pixels as uint8; values beyond the range are black or white, what is no number is black."""
        if pixels.dtype.kind == "f":
            low, high = self.fractions or (0.0, 1.0)
            shares = (pixels.astype(np.float64) - low) / (high - low)
            return np.nan_to_num(np.clip(np.round(255 * shares), 0, 255), nan=0).astype(np.uint8)
        low, high = self.integers or (0, 65535)
        steps = (pixels.astype(np.int64) - int(low)) * 256 // int(high - low + 1)
        return np.clip(steps, 0, 255).astype(np.uint8)


def used(images: pa.Table) -> Range | None:
    """The least and the most of all pixels, but for a few that are far beyond all others."""
    if not len(images):
        return None
    low, high = pc.min(images["least"]).as_py(), pc.max(images["most"]).as_py()
    nearly = pc.min(images["nearly_least"]).as_py(), pc.max(images["nearly_most"]).as_py()
    return nearly if high - low >= HOT * (nearly[1] - nearly[0]) > 0 else (low, high)


def natural(range_: Range | None, *, whole: bool) -> Range | None:
    """The range of the fewest bits that holds it, or 0 to 1; itself, where it fills only a little of that."""
    if range_ is None:
        return None
    low, high = range_
    ends = [2.0**bits - 1 for bits in range(8, 33)] if whole or high > 1 else [1.0]
    end = next((end for end in ends if high <= end), None)
    if low >= 0 and end is not None and (high - low) * WIDE >= end:
        return (0, int(end)) if whole else (0.0, end)
    if high == low:
        return low, low + 1
    return (int(low), int(high)) if whole else (low, high)
