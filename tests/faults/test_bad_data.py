"""Images as they come: what can be used is used as a person would see it, the rest is named, or refused in one line."""

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from study.data import place, resolve
from study.data.decoding import MOST_PIXELS, Unreadable, decode, read_header
from study.data.source import DatasetRequest, ExampleSource
from study.data.splits import DatasetSplits, split
from study.execution.running import Running
from study.run import main
from tests.contract.photographs import CLASSES, encoded, folder_of, in_parts, parquet, plain, png, rows, write

Place = Callable[[Path], Path]
AS_IT_IS, STRICT = DatasetRequest(), DatasetRequest(strict=True)


def load(place: Path, request: DatasetRequest = AS_IT_IS) -> ExampleSource:
    return resolve.load(str(place), request)


def loaded_and_split(place: Path, request: DatasetRequest = AS_IT_IS) -> DatasetSplits:
    return split(load(place, request))


def colours(width: int = 12, height: int = 8, channels: int = 3) -> np.ndarray:
    """A smooth picture of which no side is like another."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 20, y * 30, x * 9 + y * 11, 40 + x * 17], axis=-1)[..., :channels].astype(np.uint8)


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


# Pixels


@pytest.mark.parametrize("form", ["BMP", "PNG", "TIFF", "WEBP"])
def test_an_image_without_loss_is_what_was_saved_whatever_its_format(form: str) -> None:
    data = encoded(colours(), form, **({"lossless": True} if form == "WEBP" else {}))
    assert np.array_equal(decode(data), colours())


@pytest.mark.parametrize("options", [{}, {"quality": 40}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("grey", [False, True], ids=["colours", "grey"])
def test_a_jpeg_is_what_pillow_decodes(options: dict[str, int], grey: bool) -> None:
    pixels = colours(67, 45)
    data = encoded(pixels[..., 0] if grey else pixels, "JPEG", **options)
    assert np.array_equal(decode(data), pillow(data, "L" if grey else "RGB"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_that_exif_rotates_is_upright(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(colours(16, 8), form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((16, 8, 3) if orientation > 4 else (8, 16, 3))
    assert np.array_equal(decode(data), expected)
    assert read_header(data).rotated == (orientation > 1)


def test_a_photo_whose_exif_makes_no_sense_is_taken_as_it_lies() -> None:
    data = encoded(colours(), "PNG", exif=b"Exif\0\0nonsense")
    assert np.array_equal(decode(data), colours())


def test_sixteen_bits_are_scaled_to_eight() -> None:
    deep = (np.arange(96, dtype=np.uint16) * 690).reshape(8, 12)
    for form in ("PNG", "TIFF"):
        data = encoded(deep, form)
        assert read_header(data).mode.startswith("I")
        assert np.array_equal(decode(data), deep >> 8)


def test_what_is_transparent_is_laid_on_white() -> None:
    see_through = colours(channels=4)
    see_through[0, 0, 3], see_through[1, 1, 3] = 0, 255
    decoded = decode(encoded(see_through))
    alpha = see_through[..., 3:] / 255
    assert np.abs(decoded - (see_through[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[1, 1].tolist() == see_through[1, 1, :3].tolist()


def test_a_grey_image_with_transparency_is_laid_on_white() -> None:
    decoded = decode(encoded(np.array([[[10, 0], [10, 255]]], np.uint8)))
    assert decoded.tolist() == [[[255] * 3, [10] * 3]]


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_becomes_colours(tmp_path: Path, transparent: bool) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "L").convert("P")
    image.putpalette([250, 10, 20, 30, 240, 50, 70, 80, 230])
    options: dict[str, Any] = {"transparency": 1} if transparent else {}
    image.save(tmp_path / "p.png", **options)
    second = [255, 255, 255] if transparent else [30, 240, 50]
    assert decode((tmp_path / "p.png").read_bytes()).tolist() == [[[250, 10, 20], second], [[70, 80, 230], second]]


def test_black_and_white_is_grey() -> None:
    assert decode(encoded(np.array([[True, False]]))).tolist() == [[255, 0]]


def test_cmyk_is_converted_as_pillow_does_it(tmp_path: Path) -> None:
    Image.fromarray(colours(32, 24)).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    data = (tmp_path / "print.jpg").read_bytes()
    assert read_header(data).mode == "CMYK"
    assert np.array_equal(decode(data), pillow(data))
    assert np.abs(decode(data).astype(int) - colours(32, 24)).mean() < 12


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, form: str) -> None:
    frames = [Image.fromarray(np.full((6, 9, 3), shade, np.uint8)) for shade in (0, 255, 128)]
    path = tmp_path / "moving"
    frames[0].save(path, form, save_all=True, append_images=frames[1:], duration=50)
    assert read_header(path.read_bytes()).frames == 3
    assert (decode(path.read_bytes()) == 0).all()


# Images that cannot be read


def bomb(side: int = 60_000) -> bytes:
    """A PNG of some bytes that says it is 3.6 billion pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
JPEG = encoded(colours(90, 60), "JPEG")
UNREADABLE = {
    "a truncated JPEG": ("x.jpg", JPEG[: len(JPEG) // 2], "truncated"),
    "a truncated PNG": (
        "x.png",
        encoded(np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8))[:900],
        "",
    ),
    "the head of a JPEG": ("x.jpg", JPEG[:20], ""),
    "a file of no bytes": ("x.png", b"", "empty file"),
    "text called .jpg": ("x.jpg", b"<html>404 Not Found</html>", "not an image"),
    "a program for a printer called .png": ("x.png", POSTSCRIPT, "not an image"),
    "a decompression bomb": ("x.png", bomb(), "60000 x 60000 pixels, more than 134,217,728"),
    "a thread of pixels": ("x.png", encoded(np.zeros((2, 5000), np.uint8)), "more than 100 times as long as wide"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_no_image_is_left_out_by_name_and_reason_and_refused_if_strict(what: str, tmp_path: Path) -> None:
    name, data, reason = UNREADABLE[what]
    folder_of(tmp_path, {"cat": 60, "dog": 60})
    write(tmp_path / "cat" / name, data)
    source = load(tmp_path)
    assert len(source.labels) == 120
    [(left_out, why)] = source.left_out
    assert left_out == f"cat/{name}"
    assert reason in why
    assert "\n" not in why
    with pytest.raises(ValueError, match=rf"cat/{name} \(.*{reason}.*\) cannot be read.*--strict"):
        load(tmp_path, STRICT)


def test_a_bomb_is_refused_by_its_header_before_it_takes_memory() -> None:
    start = time.perf_counter()
    with pytest.raises(Unreadable, match="pixels"):
        decode(bomb())
    assert time.perf_counter() - start < 1
    assert MOST_PIXELS * 3 < 1 << 30


@pytest.mark.parametrize(("unreadable", "enough"), [(1, True), (2, False)])
def test_up_to_one_in_a_hundred_may_be_unreadable(unreadable: int, enough: bool, tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 50, "dog": 50 - unreadable})
    for number in range(unreadable):
        write(tmp_path / "dog" / f"broken{number}.jpg", b"")
    if enough:
        assert [name for name, _ in load(tmp_path).left_out] == ["dog/broken0.jpg"]
    else:
        with pytest.raises(ValueError, match=r"2 of 100 images cannot be read, more than 1%: dog/broken0\.jpg \(empty"):
            load(tmp_path)


def test_a_row_of_a_table_without_an_image_is_left_out_by_its_number(tmp_path: Path) -> None:
    images, labels = rows(40)
    table = plain([*images[:7], b"junk", *images[8:]], labels)
    source = load(parquet(tmp_path / "all.parquet", table))
    assert source.left_out == (("all.parquet row 7", "not an image"),)
    empty = plain([*images[:7], None, *images[8:]], labels)  # type: ignore[list-item]
    assert load(parquet(tmp_path / "other.parquet", empty)).left_out == (
        ("other.parquet row 7", "no image in this row"),
    )


def test_what_could_not_be_read_because_of_a_permission_or_the_network_is_tried_again(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 60, "dog": 60})
    link = tmp_path / "cat" / "far.png"
    link.symlink_to(tmp_path / "away.image")
    assert [name for name, _ in load(tmp_path).left_out] == ["cat/far.png"]
    write(tmp_path / "away.image", png(3, 0))
    assert load(tmp_path).left_out == ()


# Folders


def one_class(place: Path) -> Path:
    return folder_of(place, {"cat": 8})


def one_image(place: Path) -> Path:
    return folder_of(place, {"cat": 8, "dog": 1})


def two_images_and_other_small_classes(place: Path) -> Path:
    return folder_of(place, {"cat": 8, "dog": 2, "emu": 1})


def empty_class(place: Path) -> Path:
    (place / "nothing").mkdir(parents=True)
    return folder_of(place, {"cat": 8, "dog": 8})


def no_classes(place: Path) -> Path:
    write(place / "a.png", png(0, 0))
    return place


def nothing_at_all(place: Path) -> Path:
    place.mkdir()
    return place


def other_files(place: Path) -> Path:
    write(place / "cat" / "notes.txt", b"no image")
    return place


def label_only_in_test(place: Path) -> Path:
    in_parts(place)
    return folder_of(place / "test", {"unseen": 3}, first=50).parent


def no_train(place: Path) -> Path:
    return in_parts(place, train=0)


def splits_and_more(place: Path) -> Path:
    in_parts(place)
    return folder_of(place / "extra", {"zero": 2}, first=60).parent


def shared_between_train_and_test(place: Path) -> Path:
    in_parts(place)
    write(place / "test" / "one" / "again.png", (place / "train" / "one" / "001.png").read_bytes())
    return place


def a_text_file(place: Path) -> Path:
    return write(place, b"label,path\n")


def no_image_column(place: Path) -> Path:
    table = plain(*rows(6)).drop_columns("image").append_column("n", [[[0.5]] * 18])
    return parquet(place.with_suffix(".parquet"), table)


def no_label_column(place: Path) -> Path:
    return parquet(place.with_suffix(".parquet"), plain(*rows(6)).drop_columns("label"))


def rows_without_label(place: Path) -> Path:
    images, labels = rows(6)
    return parquet(place.with_suffix(".parquet"), plain(images, [None, *labels[1:]]))


def a_table_of_no_rows(place: Path) -> Path:
    return parquet(place.with_suffix(".parquet"), plain(*rows(6)).slice(0, 0))


def a_damaged_table(place: Path) -> Path:
    path = parquet(place.with_suffix(".parquet"), plain(*rows(6)))
    return write(path, path.read_bytes()[:-500])


REFUSED: dict[str, tuple[Place, str]] = {
    "one class only": (one_class, "has one class, 'cat': there is nothing to tell apart"),
    "a class with one image": (one_image, "class 'dog' has 1 image, needs 3 for train, validation and test"),
    "several small classes": (two_images_and_other_small_classes, "'dog' has 2 images, needs 3.* (and 1 more of"),
    "an empty class": (empty_class, "no image in class nothing: remove the folder"),
    "images in no class": (no_classes, "has no images in class folders: it must hold class/image.ext"),
    "an empty folder": (nothing_at_all, "has no images in class folders"),
    "no images but other files": (other_files, "has no images in class folders"),
    "a label in test that train lacks": (label_only_in_test, "class 'unseen' has 0 images, needs 1 for train"),
    "splits without train": (no_train, "has test and val, but no train"),
    "splits beside other images": (splits_and_more, "has test and train and val, and images in extra beside them"),
    "an image in train and test": (
        shared_between_train_and_test,
        "1 image is in more than one of its splits: test/one/again.png = train/one/001.png.*--duplicates drop",
    ),
    "a file that is none of ours": (a_text_file, "is a file, and not Parquet"),
    "a table without images": (
        no_image_column,
        "no column called image; none of its columns can be one: label (int64), n (list<",
    ),
    "a table without labels": (
        no_label_column,
        "no column called label; none of its columns can be one: image (binary): say",
    ),
    "rows without a label": (rows_without_label, "1 of 18 rows have no label in column 'label'"),
    "a table of no rows": (a_table_of_no_rows, "has no rows"),
    "a damaged table": (a_damaged_table, "a table cannot be read"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_dataset_that_cannot_be_used_is_one_line_and_exit_code_2_before_anything_starts(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, says = REFUSED[what]
    place, results = make(tmp_path / "images"), tmp_path / "results"
    arguments = ["--model", "vit", "--pretraining", "none", "--dataset", str(place), "--results", str(results)]
    status = main(arguments)
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err
    for words in says.split(".*"):
        assert words in captured.err
    assert not results.exists()


@pytest.mark.parametrize("options", [["--strict"], []])
def test_too_much_that_is_unreadable_is_one_line_too(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of(tmp_path / "images", {"cat": 20, "dog": 20})
    write(tmp_path / "images" / "cat" / "x.jpg", b"text")
    arguments = ["--model", "vit", "--pretraining", "none", "--dataset", str(tmp_path / "images"), *options]
    assert main([*arguments, "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert "cat/x.jpg (not an image)" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--dataset", "no/such/folder"], "dataset no/such/folder: no such folder or file"),
        (["--dataset", "nowhere://x/y"], "dataset nowhere://x/y cannot be read"),
        (["--data-option", "image"], "--data-option takes NAME=VALUE, got 'image'"),
        (["--data-option", "image=x"], "digits takes no --data-option, got 'image'"),
        (["--duplicates", "burn"], "unknown duplicates 'burn'"),
        (["--train-fraction", "1.5"], "train-fraction must be above 0 and at most 1, got 1.5"),
        (["--images-per-class", "9999"], "what the smallest class has, got 9999"),
    ],
)
def test_an_option_of_the_data_that_means_nothing_is_one_line(
    given: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert main(["--model", "vit", "--pretraining", "none", "--results", str(results), *given]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not results.exists()


@pytest.mark.parametrize("address", ["s3://me:hidden@bucket/x", "s3://bucket/x?secret_key=hidden"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--model", "vit", "--dataset", address])
    error = capsys.readouterr().err
    assert "the address of a dataset in bucket holds a password" in error
    assert "hidden" not in error
    assert error.count("\n") == 1
    with pytest.raises(ValueError, match="holds a password"):
        resolve.load(address, AS_IT_IS)


def test_copies_across_splits_are_left_out_of_train_where_that_is_asked_for(tmp_path: Path) -> None:
    shared_between_train_and_test(tmp_path / "images")
    source = load(tmp_path / "images", DatasetRequest(duplicates="drop"))
    assert source.left_out == (("train/one/001.png", "the same as test/one/again.png"),)
    assert split(source).sizes() == {"train": 17, "val": 6, "test": 10}
    assert load(tmp_path / "images", DatasetRequest(duplicates="keep")).left_out == ()


def test_where_we_draw_the_splits_the_first_of_equal_images_stays_and_none_with_two_labels(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 6, "dog": 6})
    write(tmp_path / "cat" / "x.png", png(0, 0))
    write(tmp_path / "dog" / "y.png", png(0, 1))
    source = load(tmp_path)
    assert source.left_out == (
        ("cat/001.png", "the same as dog/y.png, under another label"),
        ("cat/x.png", "the same as cat/000.png"),
        ("dog/y.png", "the same as cat/001.png, under another label"),
    )
    with pytest.raises(ValueError, match=r"2 images are in it more than once.*--duplicates drop"):
        load(tmp_path, DatasetRequest(duplicates="refuse"))
    assert load(tmp_path, DatasetRequest(duplicates="keep")).left_out == ()


def test_ten_thousand_classes_of_three_images_are_all_in_every_split(tmp_path: Path) -> None:
    images, _ = rows(each=9, classes=10)
    many = [image + number.to_bytes(4, "big") for number in range(334) for image in images][:30_000]  # all unlike
    names = [f"class {n % 10_000}" for n in range(30_000)]
    splits = loaded_and_split(parquet(tmp_path / "many.parquet", plain(many, names), rows_a_group=2000))
    assert len(splits.source.classes) == 10_000
    for part in ("train", "val", "test"):
        assert len(np.unique(splits.source.labels[splits.rows(part)])) == 10_000


def test_names_with_spaces_unicode_or_a_leading_dash_are_names(tmp_path: Path) -> None:
    names = ["-rf", "a b", "naïve 猫 🐈", "quo'te\"", "%41", "per#cent?x=1"]
    folder_of(tmp_path / "-my images#1?", dict.fromkeys(names, 4))
    source = load(tmp_path / "-my images#1?")
    assert source.classes == tuple(sorted(names))
    assert len(list(source.images.decoded(np.arange(24)))) == 24
    assert place.name_of("/tmp/-my images#1?") == "my-images-1"


def test_a_file_name_that_is_no_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 4, "dog": 4})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/caf\xe9.png")).write_bytes(png(0, 9))
    with pytest.raises(ValueError, match=r"caf\\xe9\.png' is not UTF-8: rename it"):
        load(tmp_path)


def test_hidden_files_and_what_archivers_leave_are_ignored(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 4, "dog": 4})
    for stray in ("cat/.DS_Store", "cat/._000.png", "__MACOSX/cat/._000.png", ".git/x.png", "cat/Thumbs.db", "README"):
        write(tmp_path / stray, b"x")
    assert len(load(tmp_path).labels) == 8
    assert resolve.image_index(str(tmp_path), DatasetRequest()).ignored == 2


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    folder_of(tmp_path / "elsewhere", {"dog": 5})
    place = folder_of(tmp_path / "images", {"cat": 5})
    (place / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (place / "cat" / "up").symlink_to(place)
    (place / "cat" / "self").symlink_to(place / "cat")
    (place / "again").symlink_to(place)
    (place / "cat" / "linked.png").symlink_to(write(tmp_path / "x" / "linked", png(5, 5)))
    index = resolve.image_index(str(place), DatasetRequest())
    assert [index.images.name(row) for row in range(len(index.images))] == [
        *[f"cat/{n:03d}.png" for n in range(5)],
        "cat/linked.png",
        *[f"dog/{n:03d}.png" for n in range(5)],
    ]


def test_links_to_nothing_and_to_themselves_are_images_that_cannot_be_read(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 100, "dog": 130})
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "cat" / "me.png").symlink_to(tmp_path / "cat" / "me.png")
    assert load(tmp_path).left_out == (
        ("cat/gone.png", "No such file or directory"),
        ("cat/me.png", "Too many levels of symbolic links"),
    )


def test_a_pipe_among_the_images_holds_nobody_up(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 4, "dog": 4})
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    assert len(load(tmp_path).labels) == 8


def test_a_folder_of_many_files_is_listed_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    for number in range(20_000):
        name = tmp_path / f"class{number % 20}" / f"{number}.jpg"
        if number < 20:
            name.parent.mkdir()
        os.close(os.open(name, os.O_CREAT))
    start = time.perf_counter()
    index = resolve.image_index(str(tmp_path), DatasetRequest())
    assert len(index.images) == 20_000
    assert np.bincount(index.labels).tolist() == [1000] * 20
    assert time.perf_counter() - start < 10


# What changes while a study runs, and who stops it


def test_an_image_that_vanishes_or_is_damaged_after_it_was_scanned_says_so_by_name(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 4, "dog": 4})
    images = load(tmp_path).images
    (tmp_path / "cat" / "002.png").unlink()
    with pytest.raises(Unreadable, match=r"cat/002\.png could be read when the study began, and now not"):
        list(images.decoded(np.arange(4)))
    write(tmp_path / "dog" / "001.png", b"")
    with pytest.raises(Unreadable, match=r"dog/001\.png could be read when the study began, and now not: empty file"):
        list(images.decoded(np.array([5])))
    write(tmp_path / "dog" / "001.png", (tmp_path / "dog" / "002.png").read_bytes())
    with pytest.raises(Unreadable, match=r"dog/001\.png could be read .* now not: it is another image"):
        list(images.decoded(np.array([5])))


@pytest.mark.usefixtures("ray_session")
def test_a_study_whose_images_vanish_after_they_were_scanned_fails_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder_of(tmp_path / "images", dict.fromkeys(CLASSES, 12))
    search = Running.search

    def when_all_was_scanned(running: Running) -> None:
        for path in place.glob("*/00*.png"):
            path.unlink()
        search(running)

    monkeypatch.setattr(Running, "search", when_all_was_scanned)
    arguments = ["--model", "resnet", "--pretraining", "none", "--dataset", str(place), "--name", "gone"]
    budget = ["--trials", "1", "--epochs", "1", "--max-concurrent", "1", "--wandb", "disabled", "--quiet"]
    status = main([*arguments, *budget, "--results", str(tmp_path / "results")])
    error = capsys.readouterr().err
    assert status == 1
    *again, error = error.splitlines()
    assert len(again) == 2
    assert all(line.startswith("note: trial-000: one/00") and "it is tried again in" in line for line in again)
    assert "could be read when the study began, and now not: No such file or directory" in error
    assert ".png" in error


SLOW = """
import sys, time
from study.data import scan, __main__
scan_image = scan.scan_image
scan.scan_image = lambda data: (print("scanning", flush=True), time.sleep(0.05), scan_image(data))[2]
sys.exit(__main__.main(["check", sys.argv[1]]))
"""


def test_ctrl_c_while_images_are_scanned_ends_within_seconds_in_one_line(tmp_path: Path) -> None:
    folder_of(tmp_path, {"cat": 178, "dog": 177})
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        first = process.stdout.readline()  # by several threads, whose lines may run into each other
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        _, error = process.communicate(timeout=180)
    assert first.startswith("scanning")
    assert time.perf_counter() - start < 10
    assert (process.returncode, error) == (130, "interrupted\n")
