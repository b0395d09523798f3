"""Photographs without a camera: smooth coloured pictures, of which no two look alike, and files of odd kinds."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from study.data import resolve
from study.data.source import DatasetRequest, ExampleSource
from tests.contract.photographs import encoded, write


def photo(seed: int, width: int = 48, height: int = 40) -> np.ndarray:
    """(height, width, 3) uint8: a few colours that flow into each other."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def grey(seed: int, width: int = 48, height: int = 40) -> np.ndarray:
    return np.asarray(Image.fromarray(photo(seed, width, height)).convert("L"))


def jpeg(seed: int, width: int = 48, height: int = 40, quality: int = 90) -> bytes:
    return encoded(photo(seed, width, height), "JPEG", quality=quality)


def classes(place: Path, each: int = 5, names: tuple[str, ...] = ("cat", "dog"), first: int = 0) -> Path:
    """`class/n.jpg`, all unlike."""
    for number, name in enumerate(names):
        for i in range(each):
            write(place / name / f"{i}.jpg", jpeg(first + 1000 * number + i))
    return place


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """Of (H, W, 3) uint16, which Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_of_bands(bands: int) -> bytes:
    """A small TIFF of so many channels of 16 bits, as a satellite's."""
    return tiff(np.zeros((4, 4, bands), np.uint16), photometric=1)


def tiff_of_16_bits(pixels: np.ndarray) -> bytes:
    """Of (H, W, 3) uint16."""
    return tiff(pixels, photometric=2)


def tiff(pixels: np.ndarray, photometric: int) -> bytes:
    """Of (H, W, channels) uint16, which Pillow does not write."""
    height, width, bands = pixels.shape
    body = pixels.astype("<u2").tobytes()
    bits = 8 + len(body)  # where the bits of each channel are written
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, bands, bits), (259, 3, 1, 1)]
    entries += [(262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, bands), (278, 3, 1, height)]
    entries += [(279, 4, 1, len(body))]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    directory = bits + 2 * bands
    return b"II*\0" + struct.pack("<I", directory) + body + struct.pack(f"<{bands}H", *[16] * bands) + table + bytes(4)


def load(place: Path, **settings: str) -> ExampleSource:
    return resolve.load(str(place), DatasetRequest(settings=settings))
