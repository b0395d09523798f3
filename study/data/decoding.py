"""An image file's bytes to pixels, the same way wherever they are read: upright, eight bits, grey or RGB."""

import os
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageOps

MOST_PIXELS = 1 << 27  # 134 million: more is taken for a decompression bomb
MOST_SLENDER = 100  # times as long as wide: resized by its shorter side, a thread of pixels would fill the memory
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow has others that start programs
SUFFIXES = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
ORIENTATION = 0x0112  # of EXIF

Image.MAX_IMAGE_PIXELS = None  # Pillow would warn, and go on; `header` refuses


class Unreadable(ValueError):
    """These bytes are no image that a study can use; says why in a few words."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself. `rotated` is EXIF's: the pixels are not stored as they are to be seen."""

    format: str
    mode: str
    width: int
    height: int
    frames: int
    rotated: bool


def decode(data: bytes) -> np.ndarray:
    """Pixels, uint8, (H, W) or (H, W, 3); raises Unreadable.

    The first frame of an animation; upright, where EXIF says how; transparency on white; 16 bits are halved to 8.
    """
    with opened(data) as image:
        described = header(image)
        if described.format == "JPEG" and described.mode in {"L", "RGB"} and not described.rotated:
            return jpeg(data)
        try:
            return pixels(ImageOps.exif_transpose(image) if described.rotated else image)
        except Exception as error:  # Pillow's decoders raise many kinds
            raise Unreadable(reason(error)) from error


def read_header(data: bytes) -> Header:
    """Raises Unreadable."""
    with opened(data) as image:
        return header(image)


def opened(data: bytes) -> Image.Image:
    if not data:
        raise Unreadable("empty file")
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except Exception as error:
        raise Unreadable(reason(error)) from error


def header(image: Image.Image) -> Header:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{width} x {height} pixels, more than {MOST_PIXELS:,}")
    if max(width, height) > MOST_SLENDER * min(width, height):
        raise Unreadable(f"{width} x {height} pixels, more than {MOST_SLENDER} times as long as wide")
    if image.mode == "F":
        raise Unreadable("floating-point pixels")
    try:
        frames = getattr(image, "n_frames", 1)
    except Exception as error:
        raise Unreadable(reason(error)) from error
    return Header(image.format or "?", image.mode, width, height, frames, rotated(image))


def rotated(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # EXIF that makes no sense; the image is one all the same
        return False


def jpeg(data: bytes) -> np.ndarray:
    """As Pillow decodes it, in two thirds of the time."""
    from torchvision.io import ImageReadMode, decode_jpeg

    try:
        chw = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.UNCHANGED)
    except RuntimeError as error:
        raise Unreadable(reason(error)) from error
    return chw[0].numpy() if len(chw) == 1 else chw.permute(1, 2, 0).contiguous().numpy()


def pixels(upright: Image.Image) -> np.ndarray:
    if upright.mode.startswith("I"):
        return np.clip(np.asarray(upright).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
    if upright.has_transparency_data:
        colours = upright.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return np.asarray(Image.alpha_composite(white, colours).convert("RGB"))
    return np.asarray(upright.convert("L" if upright.mode in {"1", "L"} else "RGB"))


def reason(error: Exception) -> str:
    """In a few words, on one line."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    words = " ".join(str(error).split())
    if "cannot identify image file" in words:
        return "not an image"
    if "truncated" in words or "Not enough data" in words or "premature" in words.lower():
        return "truncated"
    return words[:80] or type(error).__name__
