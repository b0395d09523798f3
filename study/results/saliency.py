"""`saliency.parquet`: what the model looked at in some of the sample images (columns: docs/record.md)."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from study.results.record import read_table, write_table

NAME = "saliency"
OF_EACH_KIND = 12
SMALL = 64  # pixels: below, an image is kept as it is
SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("label", pa.int64()),
        ("predicted", pa.int64()),
        ("confidence", pa.float64()),
        ("image", pa.string()),
        ("input", pa.binary()),
        ("convolution", pa.binary()),
        ("attention", pa.binary()),
    ]
)
Row = Mapping[str, Any]


def chosen(samples: Sequence[Row]) -> list[Row]:
    """Some mistakes, the most confident first, and as many that are right, of the samples that a record has."""
    wrong = sorted((row for row in samples if row["label"] != row["predicted"]), key=lambda row: -row["confidence"])
    right = [row for row in samples if row["label"] == row["predicted"]]
    spread = np.linspace(0, len(right) - 1, min(OF_EACH_KIND, len(right))).astype(int)
    return [*wrong[:OF_EACH_KIND], *(right[i] for i in spread)]


def write(folder: Path, rows: Sequence[Row], inputs: np.ndarray, maps: Mapping[str, np.ndarray | None]) -> None:
    """A row for each of some samples.

    Args:
        inputs: (N, size, size, 3) uint8, what the model was given.
        maps: by method (N, h, w) in [0, 1].
    """
    found = [
        {
            **row,
            "input": picture(inputs[i]),
            **{name: None if map_ is None else grey(map_[i]) for name, map_ in maps.items()},
        }
        for i, row in enumerate(rows)
    ]
    write_table(folder, NAME, SCHEMA, found)


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows; none in a record from before they were kept. Raises ValueError for a file that is damaged."""
    return [dict(row) for row in read_table(folder, NAME, SCHEMA)]


def picture(pixels: np.ndarray) -> bytes:
    """PNG of a small image, else WebP, which a page can carry many of."""
    content = BytesIO()
    small = max(pixels.shape[:2]) <= SMALL
    Image.fromarray(pixels).save(content, **({"format": "PNG"} if small else {"format": "WEBP", "quality": 85}))
    return content.getvalue()


def grey(map_: np.ndarray) -> bytes:
    content = BytesIO()
    Image.fromarray((255 * map_).round().astype(np.uint8)).save(content, format="PNG")
    return content.getvalue()
