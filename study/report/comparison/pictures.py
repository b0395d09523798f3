"""Test images that the records keep, small enough for a page that carries many."""

from base64 import b64encode
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image

from study.comparison import Group
from study.report.study.images import SMALL_PX, width

LONGEST_SIDE = 128  # shown at 7 rem, on screens of up to 1.1 pixels a CSS pixel without a loss
QUALITY = 82


@lru_cache(maxsize=1024)
def embedded(png: bytes) -> tuple[str, str, bool]:
    """Base64, media type, and whether its pixels should stay sharp. What is larger than a page shows becomes a JPEG."""
    if width(png) < SMALL_PX:
        return b64encode(png).decode(), "image/png", True
    image = Image.open(BytesIO(png)).convert("RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return b64encode(out.getvalue()).decode(), "image/jpeg", False


def kept(group: Group) -> dict[int, bytes]:
    """The image of every test image that any row's record keeps, by its place among the group's test images."""
    index = group.rows[0].index
    pictures: dict[int, bytes] = {}
    for row in group.rows:
        for sample in row.record.tables["samples"]:
            place = int(np.searchsorted(index, sample["index"]))
            if place < len(index) and index[place] == sample["index"]:
                pictures.setdefault(place, sample["png"])
    return pictures
