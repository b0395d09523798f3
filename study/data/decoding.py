"""An image file's bytes to pixels, the same way wherever they are read: upright, eight bits, grey or RGB."""

import logging
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageOps, TiffImagePlugin

from study.data.pixel_range import PixelRange

MOST_PIXELS = 1 << 27  # 134 million: more is taken for a decompression bomb
MOST_SLENDER = 100  # times as long as wide: resized by its shorter side, a thread of pixels would fill the memory
HEIF = find_spec("pillow_heif") is not None  # the extra `heic`
FORMATS = (  # Pillow has others that start programs
    *("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"),
    *(("HEIF",) if HEIF else ()),
)
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpeg", ".jpf", ".jpg", ".jpx", ".pbm", ".pgm", ".png"),
    *(".ppm", ".tif", ".tiff", ".webp"),
    *((".heic", ".heif", ".hif") if HEIF else ()),
)
ORIENTATION = 0x0112  # of EXIF
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*")
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")
USUAL = PixelRange()
UPPER_EIGHT = "RGB;16"

Image.MAX_IMAGE_PIXELS = None  # Pillow would warn, and go on; `header` refuses
# What is wrong with an image is said by its name, once, and not by a line of Pillow's for each on the terminal
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")
if HEIF:
    import pillow_heif

    pillow_heif.register_heif_opener()


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


def decode(data: bytes, pixel_range: PixelRange = USUAL) -> np.ndarray:
    """Pixels, uint8, (H, W) or (H, W, 3); raises Unreadable.

    The first frame of an animation; upright, where EXIF says how; transparency on white; what is deeper than eight
    bits as `pixel_range` says.
    """
    stored = read(data)[1]
    return stored if stored.dtype == np.uint8 else pixel_range.eight_bits(stored)


def read(data: bytes) -> tuple[Header, np.ndarray]:
    """What a file says of itself, and its pixels, as `decode` gives them but for their depth. Raises Unreadable."""
    with opened(data) as image:
        described = header(image)
        if described.format == "JPEG" and described.mode in {"L", "RGB"} and not described.rotated:
            return described, jpeg(data)
        try:
            if is_48_bit(data, image) and not described.rotated:
                return described, png_48_bit(data)
            return described, pixels(ImageOps.exif_transpose(image) if described.rotated else image)
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
        raise Unreadable(what_it_is(data) or reason(error)) from error


def what_it_is(data: bytes) -> str | None:
    """Of an image that Pillow cannot open: what it is all the same, where it says so."""
    if data[4:8] == b"ftyp" and data[8:12] in HEIC:
        return "HEIC, which is read by the extra: pip install pillow-heif"
    if data[:4] in TIFF:
        with suppress(Exception):
            tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
            file = BytesIO(data)
            file.seek(tags.next)
            tags.load(file)
            bands, bits = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1), tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
            return f"a TIFF of {bands} channels of {bits[0]} bits, which are no colours: save three of them as an image"
    return None


def header(image: Image.Image) -> Header:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{width} x {height} pixels, more than {MOST_PIXELS:,}")
    if max(width, height) > MOST_SLENDER * min(width, height):
        raise Unreadable(f"{width} x {height} pixels, more than {MOST_SLENDER} times as long as wide")
    try:
        frames = getattr(image, "n_frames", 1)
    except Exception as error:
        raise Unreadable(reason(error)) from error
    return Header(image.format or "?", stored_mode(image), width, height, frames, rotated(image))


def stored_mode(image: Image.Image) -> str:
    """Pillow's mode; for colours of 16 bits in a TIFF, of which Pillow gives the upper eight, a word of our own."""
    tiles = getattr(image, "tile", []) if image.format == "TIFF" else []
    raw = tiles[0].args if tiles else ""
    raw = raw[0] if isinstance(raw, tuple) and raw else raw
    return UPPER_EIGHT if isinstance(raw, str) and ";16" in raw and image.mode.startswith("RGB") else image.mode


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


def is_48_bit(data: bytes, image: Image.Image) -> bool:
    """Whether a PNG has three channels of 16 bits, of which Pillow would give the upper eight."""
    return data[:8] == PNG and data[24:26] == b"\x10\x02" and not image.has_transparency_data


def png_48_bit(data: bytes) -> np.ndarray:
    from torchvision.io import ImageReadMode, decode_png

    chw = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.UNCHANGED)
    return chw.permute(1, 2, 0).contiguous().numpy()


def pixels(upright: Image.Image) -> np.ndarray:
    if upright.mode[0] in "IF":
        return np.asarray(upright)
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
