"""Every format that the installed libraries decode is read; what they do not decode is named, never passed over."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from study.data import check, strays
from study.data.decoding import HEIF, SUFFIXES, Unreadable, decode
from study.data.folder import image_index
from study.data.source import DatasetRequest
from tests.contract.photographs import encoded, write
from tests.unit.pictures import classes, jpeg, load, photo, png_of_16_bits, tiff_of_bands


@pytest.mark.parametrize(("form", "suffix"), [("AVIF", ".avif"), ("JPEG2000", ".jp2")])
def test_newer_formats_are_read_as_any_other(form: str, suffix: str, tmp_path: Path) -> None:
    classes(tmp_path)
    write(tmp_path / "cat" / f"new{suffix}", encoded(photo(50), form))
    source = load(tmp_path)
    assert (len(source.labels), source.left_out) == (11, ())
    assert decode(encoded(photo(50), form)).shape == (40, 48, 3)


@pytest.mark.skipif(not HEIF, reason="the extra heic is not installed")
def test_photos_of_phones_are_read_with_the_extra(tmp_path: Path) -> None:
    classes(tmp_path)
    write(tmp_path / "cat" / "phone.HEIC", encoded(photo(50), "HEIF"))
    source = load(tmp_path)
    assert (len(source.labels), source.left_out, source.aside) == (11, (), {})
    assert decode(encoded(photo(50), "HEIF")).shape == (40, 48, 3)


WITHOUT_THE_EXTRA = """
import sys
sys.modules["pillow_heif"] = None  # as where it is not installed
from pathlib import Path
import pytest
from study.data.decoding import Unreadable, decode
from tests.unit.pictures import load

place = Path(sys.argv[1])
source = load(place)
assert source.warnings == ("passed over: 1 HEIC (cat/phone.HEIC): pip install pillow-heif",), source.warnings
assert source.aside == {"HEIC": 1}
(place / "owl").mkdir()
(place / "owl" / "phone.heic").touch()
with pytest.raises(ValueError, match=r"class 'owl' \\(1 file\\) has only HEIC, .*pip install pillow-heif"):
    load(place)
with pytest.raises(Unreadable, match="HEIC, which is read by the extra"):
    decode(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic" + bytes(100))
"""


def test_without_it_they_are_named_with_the_extra_that_reads_them(tmp_path: Path) -> None:
    classes(tmp_path)
    write(tmp_path / "cat" / "phone.HEIC", b"\0\0\0\x18ftypheic")
    command = [sys.executable, "-c", WITHOUT_THE_EXTRA, str(tmp_path)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("suffix", sorted({*strays.NOT_DECODED} - {*SUFFIXES}))
def test_what_is_an_image_to_people_is_said_where_it_is_passed_over(suffix: str, tmp_path: Path) -> None:
    classes(tmp_path, each=3)
    write(tmp_path / "cat" / f"x{suffix}", b"")
    [said] = load(tmp_path).warnings
    assert f"(cat/x{suffix}): " in said


def test_a_folder_of_nothing_but_such_files_says_so(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write(tmp_path / name / "x.svg", b"")
    with pytest.raises(ValueError, match=r"has only SVG \(2 files\), which cannot be read here: convert them"):
        load(tmp_path)


def test_no_suffix_is_both_read_and_said_not_to_be() -> None:
    assert not {*SUFFIXES} & {suffix for suffix in strays.NOT_DECODED if strays.NOT_DECODED[suffix][0] != "HEIC"}


@pytest.mark.parametrize("bands", [5, 10, 13])
def test_a_tiff_of_a_satellite_is_said_to_be_one(bands: int) -> None:
    with pytest.raises(Unreadable, match=f"a TIFF of {bands} channels of 16 bits, which are no colours"):
        decode(tiff_of_bands(bands))


def test_decoders_print_nothing_an_image(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for i in range(6):
        write(tmp_path / "cat" / f"{i}.tif", tiff_of_bands(13))
        write(tmp_path / "dog" / f"{i}.jpg", jpeg(i)[:-200] + b"\xff\xd9")
        write(tmp_path / "dog" / f"{i}.png", png_of_16_bits(photo(i).astype("uint16"))[:300])
    found = check.report(str(tmp_path), check.contents(str(tmp_path), DatasetRequest()))
    assert len(found["unreadable"]) >= 6
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("PIL.TiffImagePlugin").getEffectiveLevel() == logging.CRITICAL


def test_each_kind_of_other_file_has_an_example(tmp_path: Path) -> None:
    import pyarrow.fs as pafs

    classes(tmp_path)
    for i in range(3):
        write(tmp_path / "cat" / f"{i}.xml", b"")
    index = image_index("x", pafs.LocalFileSystem(), str(tmp_path))
    assert [(one.kind, one.count, one.example) for one in index.aside] == [(".xml", 3, "cat/0.xml")]
    assert index.ignored == 3
