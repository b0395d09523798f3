"""Decoded pixels are looked at: deep ones are scaled by what the dataset uses, plain and telling ones are said."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from study.data import look
from study.data.decoding import decode, read
from study.data.findings import of_brightness, of_classes
from study.data.pixel_range import PixelRange, natural
from study.data.scan import SCHEMA, scan_image
from tests.contract.photographs import encoded, write
from tests.unit.pictures import classes, grey, jpeg, load, photo, png_of_16_bits, tiff_of_16_bits


def measured(*images: bytes) -> PixelRange:
    return PixelRange.measured(pa.Table.from_pylist([vars(scan_image(data)) for data in images], SCHEMA))


def deep(seed: int, bits: int) -> np.ndarray:
    return grey(seed).astype(np.uint16) << (bits - 8)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_deep_pixels_look_as_they_did_with_eight_bits_however_many_they_use(bits: int, form: str) -> None:
    images = [encoded(deep(seed, bits), form) for seed in range(3)]
    pixel_range = measured(*images)
    assert pixel_range.integers == (0, 2**bits - 1)
    assert np.array_equal(decode(images[1], pixel_range), grey(1))


def test_three_channels_of_twelve_bits_do_not_become_black() -> None:
    data = png_of_16_bits(photo(1).astype(np.uint16) << 4)
    assert np.array_equal(decode(data, measured(data)), photo(1))
    whole = png_of_16_bits(photo(1).astype(np.uint16) << 8)
    assert np.array_equal(decode(whole, measured(whole)), photo(1))


def test_colours_of_sixteen_bits_in_a_tiff_are_said_to_be_read_by_half(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(3):
            deep_colours = photo(len(name) + i + 10 * ord(name[0])).astype(np.uint16) << 8
            write(tmp_path / name / f"{i}.tif", tiff_of_16_bits(deep_colours))
    assert any("6 TIFFs with colours of 16 bits: only the upper 8" in said for said in load(tmp_path).warnings)


@pytest.mark.parametrize(("scale", "end"), [(1 / 255, 1.0), (1.0, 255.0), (257.0, 65535.0)])
def test_fractions_are_scaled_by_the_natural_range_that_holds_them(scale: float, end: float) -> None:
    data = encoded((grey(1) * scale).astype(np.float32), "TIFF")
    assert measured(data).fractions == (0, end)
    assert np.abs(decode(data, measured(data)).astype(int) - grey(1)).max() <= 1


def test_whole_numbers_of_32_bits_below_zero_too_are_scaled_from_the_least_to_the_most() -> None:
    values = grey(1).astype(np.int32) * 1000 - 40_000
    data = encoded(values, "TIFF")
    assert measured(data).integers == (values.min(), values.max())
    decoded = decode(data, measured(data))
    assert (decoded.min(), decoded.max()) == (0, 255)


def test_one_range_is_for_all_images_of_a_dataset() -> None:
    dark, bright = (encoded(values, "PNG") for values in (deep(1, 12) // 8, deep(2, 12)))
    pixel_range = measured(dark, bright)
    assert decode(dark, pixel_range).mean() < decode(bright, pixel_range).mean() / 4


def test_a_hot_pixel_does_not_make_all_others_black() -> None:
    values = deep(1, 10)
    values[3, 4] = 65535
    data = encoded(values, "PNG")
    high = measured(data).integers
    assert high is not None
    assert high[1] == 1023
    assert decode(data, measured(data)).std() > grey(1).std() / 2


def test_a_narrow_band_of_a_wide_range_is_stretched() -> None:
    assert natural((30_000, 30_400), whole=True) == (30_000, 30_400)
    assert natural((0, 60_000), whole=True) == (0, 65_535)
    assert natural((7, 7), whole=True) == (7, 8)


def test_what_is_no_number_is_black() -> None:
    values = (grey(1) / 255).astype(np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    data = encoded(values, "TIFF")
    assert measured(data).fractions == (0, 1)
    assert decode(data, measured(data))[0, :2].tolist() == [0, 255]
    nothing = scan_image(encoded(np.full((4, 4), np.nan, np.float32), "TIFF"))
    assert nothing.problem == "no pixel is a number"


def test_the_range_is_in_the_source_and_in_its_hash_unless_it_is_what_it_always_was(tmp_path: Path) -> None:
    for name, bits in (("full", 16), ("part", 12)):
        for seed in range(6):
            write(tmp_path / name / ("cat" if seed % 2 else "dog") / f"{seed}.png", encoded(deep(seed, bits)))
    full, part = load(tmp_path / "full"), load(tmp_path / "part")
    assert (full.pixel_range, part.pixel_range) == ({"integers": [0, 65535]}, {"integers": [0, 4095]})
    assert any("more than 8 bits are scaled by what they use: 0 to 4095" in said for said in part.warnings)
    assert [pixels.mean() for pixels in full.images.decoded(np.arange(6))] == [
        pixels.mean() for pixels in part.images.decoded(np.arange(6))
    ]


def test_images_with_nothing_on_them_are_said_by_kind(tmp_path: Path) -> None:
    classes(tmp_path)
    plain = {"black": 0, "white": 255, "red": 120}
    for name, level in plain.items():
        write(tmp_path / "cat" / f"{name}.png", encoded(np.full((20, 20), level, np.uint8)))
    nearly = np.full((20, 20), 90, np.uint8)
    nearly[3:6] = 95
    write(tmp_path / "dog" / "fog.png", encoded(nearly))
    write(tmp_path / "dog" / "deep.png", encoded(np.full((20, 20), 7, np.uint16)))
    said = "\n".join(load(tmp_path).warnings)
    for words in (
        *("are black: cat/black.png, dog/deep.png", "is white: cat/white.png", "is of one colour: cat/red.png"),
        "is nearly of one colour: dog/fog.png",
    ):
        assert words in said


def test_a_speck_on_a_large_plain_image_is_seen() -> None:
    pixels = np.zeros((700, 700), np.uint8)
    pixels[333, 335] = 255
    assert (look.of(pixels).least, look.of(pixels).most) == (0, 255)


def test_a_class_that_brightness_gives_away_is_named() -> None:
    mean = np.concatenate([np.arange(30), np.arange(100, 160)]).astype(float)
    labels = np.repeat([0, 1, 2], 30)
    assert (
        of_brightness(mean, labels, ["night", "a", "b"])
        == ["brightness alone tells 'night' (darker) from the rest: were they taken alike?"]
        or "'night' (darker)" in of_brightness(mean, labels, ["night", "a", "b"])[0]
    )
    assert not of_brightness(np.tile(np.arange(30), 3).astype(float), labels, ["a", "b", "c"])


def test_grey_saved_in_three_channels_is_said(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for seed in range(3):
            three = np.repeat(grey(seed + len(name) * ord(name[0]))[..., None], 3, axis=2)
            write(tmp_path / name / f"{seed}.png", encoded(three))
    assert "all 6 colour images have three equal channels: grey" in load(tmp_path).warnings
    write(tmp_path / "cat" / "colour.jpg", jpeg(77))
    assert not any("equal channels" in said for said in load(tmp_path).warnings)


def test_classes_out_of_balance_are_said_with_the_ways_out() -> None:
    [said] = of_classes(["cat", "dog"], np.repeat([0, 1], [500, 1]))
    assert "1 : 500" in said
    assert "class_weights=balanced" in said
    assert "mean_class_accuracy" in said
    assert not of_classes(["cat", "dog"], np.repeat([0, 1], [19, 1]))


def test_reading_an_image_looks_at_the_same_pixels_as_decoding_it() -> None:
    for data in (jpeg(1), encoded(photo(2)), encoded(grey(3))):
        assert np.array_equal(read(data)[1], decode(data))
