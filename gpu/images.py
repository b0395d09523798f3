"""A folder of JPEGs for a study where no dataset can be fetched: stripes, of another angle and colour in each class."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path, *, classes: int, images: int, side: int) -> None:
    """`folder/classN/M.jpg`: so many images in each class."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(write_class, folder, images, side), range(classes)))


def write_class(folder: Path, images: int, side: int, number: int) -> None:
    (folder / f"class{number:03d}").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    angle, wave, colour = rng.uniform(0, np.pi), rng.uniform(6, 40), rng.uniform(60, 200, 3)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    for i in range(images):
        turn, phase = angle + rng.normal(0, 0.05), rng.uniform(0, 2 * np.pi)
        stripes = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / wave + phase)[..., None]
        pixels = colour + 50 * stripes + rng.normal(0, 10, (side, side, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            folder / f"class{number:03d}/{i:04d}.jpg", quality=90
        )
