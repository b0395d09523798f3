"""JPEG files to measure with: smooth noise with grain, in class folders, no two of them equal though few are drawn."""

from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 8


def photographs(
    folder: Path, *, width: int, height: int, distinct: int, images: int = 0, size: int = 0
) -> tuple[int, int]:
    """Writes so many images, or so many bytes of them; returns both."""
    drawn = [photograph(seed, width, height) for seed in range(distinct)]
    written = 0
    for number in count():
        if number >= images and written >= size:
            return number, written
        data = commented(drawn[number % distinct], f"{number:08d}")
        place = folder / f"class {number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06d}.jpg").write_bytes(data)
        written += len(data)
    raise AssertionError


def photograph(seed: int, width: int, height: int) -> bytes:
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    pixels = np.clip(smooth + draw.normal(0, 7, (height, width, 1)), 0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()


def commented(jpeg: bytes, text: str) -> bytes:
    """The same picture in another file: its first segment is a comment."""
    return jpeg[:2] + b"\xff\xfe" + (2 + len(text)).to_bytes(2, "big") + text.encode() + jpeg[2:]
