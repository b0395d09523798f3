"""Folders, Parquet and what `datasets` saved: the same images and labels, wherever and however they lie."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from study.data import resolve
from study.data.decoding import decode
from study.data.reading import read
from study.data.source import DatasetRequest, ExampleSource
from study.data.splits import split
from tests.contract.photographs import (
    CLASSES,
    folder_of,
    hugging_face,
    in_parts,
    parquet,
    pixels_of,
    plain,
    rows,
    saved,
    saved_parts,
)

EACH = 8
Make = Callable[[Path], Path]


def load(place: Path, **settings: str) -> ExampleSource:
    return resolve.load(str(place), DatasetRequest(settings=settings))


def as_folder(place: Path) -> Path:
    return folder_of(place, dict.fromkeys(sorted(CLASSES), EACH))


def as_plain_parquet(place: Path) -> Path:
    images, labels = rows(EACH)
    return parquet(place / "all.parquet", plain(images, [sorted(CLASSES)[n] for n in labels])).parent


def as_one_file(place: Path) -> Path:
    return parquet(place / "one.parquet", hugging_face(*rows(EACH), sorted(CLASSES)))


def as_several_files(place: Path) -> Path:
    for number in range(4):
        table = hugging_face(*rows(EACH // 4, first=number * EACH // 4), sorted(CLASSES))
        parquet(place / "data" / f"{number:04d}.parquet", table)
    return place


def as_categories(place: Path) -> Path:
    images, labels = rows(EACH)
    words = pa.array([sorted(CLASSES)[n] for n in labels]).dictionary_encode()
    return parquet(place / "all.parquet", plain(images, words))


def as_saved(place: Path) -> Path:
    return saved(place, hugging_face(*rows(EACH), sorted(CLASSES)), shards=3)


def as_mapped_words(place: Path) -> Path:
    """Large types, as Polars writes them."""
    images, labels = rows(EACH)
    words = pa.array([sorted(CLASSES)[n] for n in labels], pa.large_string())
    return parquet(place / "p.parquet", pa.table({"image": pa.array(images, pa.large_binary()), "label": words}))


WHOLE = [as_folder, as_plain_parquet, as_one_file, as_several_files, as_categories, as_saved, as_mapped_words]


@pytest.mark.parametrize("make", WHOLE, ids=lambda make: make.__name__)
def test_the_same_images_are_the_same_dataset_however_they_are_kept(make: Make, tmp_path: Path) -> None:
    source = load(make(tmp_path / "place"))
    assert source.classes == tuple(sorted(CLASSES))
    assert (source.test_rows, source.val_rows, source.left_out) == (None, None, ())
    assert sorted(split(source).sizes().items()) == [("test", 5), ("train", 14), ("val", 5)]
    of_class: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for label, pixels in zip(source.labels, source.images.decoded(np.arange(24)), strict=True):
        of_class[int(label)].append(pixels.tobytes())
    assert of_class == {digit: [pixels_of(digit, n).tobytes() for n in range(EACH)] for digit in range(3)}


@pytest.mark.parametrize("make", WHOLE, ids=lambda make: make.__name__)
@pytest.mark.usefixtures("ray_session")
def test_ray_data_brings_the_rows_that_were_asked_for(make: Make, tmp_path: Path) -> None:
    source = load(make(tmp_path / "place"))
    asked_for = np.array([23, 4, 0, 11, 12])
    examples = read(source, asked_for).take_all()
    assert sorted((row["position"], row["index"], row["label"]) for row in examples) == [
        (position, row, source.labels[row]) for position, row in enumerate(asked_for)
    ]
    for row in examples:
        assert np.array_equal(row["image"], next(source.images.decoded(np.array([row["index"]]))))


@pytest.mark.parametrize("make", WHOLE, ids=lambda make: make.__name__)
def test_the_place_of_an_image_leads_back_to_it(make: Make, tmp_path: Path) -> None:
    place = make(tmp_path / "place")
    source = load(place)
    names = [source.images.name(row) for row in range(24)]
    assert len(set(names)) == 24
    if make is as_folder:
        for row, name in enumerate(names):
            assert name is not None
            assert np.array_equal(decode((place / name).read_bytes()), next(source.images.decoded(np.array([row]))))
    elif make is as_several_files:
        assert names[:7] == [f"data/0000.parquet row {n}" for n in range(6)] + ["data/0001.parquet row 0"]


def parts_in_folders(place: Path) -> Path:
    return in_parts(place)


def parts_in_capitals(place: Path) -> Path:
    in_parts(place)
    for before, after in (("train", "Train"), ("val", "Validation"), ("test", "TEST")):
        (place / before).rename(place / after)
    return place


def parts_by_file_name(place: Path) -> Path:
    parquet(place / "train-00000-of-00002.parquet", hugging_face(*rows(3)))
    parquet(place / "train-00001-of-00002.parquet", hugging_face(*rows(3, 3)))
    parquet(place / "validation-00000-of-00001.parquet", hugging_face(*rows(2, 6)))
    return parquet(place / "test-00000-of-00001.parquet", hugging_face(*rows(3, 8))).parent


def parts_by_folder_name(place: Path) -> Path:
    """In a folder whose own name says something else."""
    for name, table in TABLES.items():
        parquet(place / "a-test-of-training" / name / "0000.parquet", table)
    return place / "a-test-of-training"


def parts_saved(place: Path) -> Path:
    return saved_parts(place, TABLES, shards=2)


TABLES = {
    "train": hugging_face(*rows(6)),
    "validation": hugging_face(*rows(2, 6)),
    "test": hugging_face(*rows(3, 8)),
}
WITH_PARTS = [parts_in_folders, parts_in_capitals, parts_by_file_name, parts_by_folder_name, parts_saved]


@pytest.mark.parametrize("make", WITH_PARTS, ids=lambda make: make.__name__)
def test_splits_that_lie_there_are_the_splits(make: Make, tmp_path: Path) -> None:
    splits = split(load(make(tmp_path / "place")))
    assert splits.sizes() == {"train": 18, "val": 6, "test": 9}
    numbers = {"train": range(6), "val": range(6, 8), "test": range(8, 11)}
    for part, expected in numbers.items():
        decoded = {pixels.tobytes() for pixels in splits.source.images.decoded(splits.rows(part))}
        assert decoded == {pixels_of(digit, n).tobytes() for digit in range(3) for n in expected}


def test_a_relative_place_with_a_split_in_its_name_is_no_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts_by_file_name(tmp_path / "the-test-set")
    monkeypatch.chdir(tmp_path)
    assert split(resolve.load("./the-test-set", DatasetRequest())).sizes()["test"] == 9
    assert split(resolve.load(f"file://{tmp_path}/the-test-set", DatasetRequest())).sizes()["test"] == 9


def test_one_file_of_a_split_is_a_dataset_of_its_own(tmp_path: Path) -> None:
    place = parquet(tmp_path / "train.parquet", hugging_face(*rows(8)))
    assert load(place).test_rows is None


def test_train_alone_is_split_further(tmp_path: Path) -> None:
    source = load(in_parts(tmp_path / "x", train=8, val=0, test=0))
    assert sorted(split(source).sizes().values()) == [5, 5, 14]
    with_test = load(in_parts(tmp_path / "y", train=8, val=0, test=4))
    assert split(with_test).sizes() == {"train": 19, "val": 5, "test": 12}


def test_classes_may_be_called_like_one_split(tmp_path: Path) -> None:
    source = load(folder_of(tmp_path, {"bus": 4, "train": 4, "tram": 4}))
    assert source.classes == ("bus", "train", "tram")


def test_images_deeper_in_a_class_are_of_that_class(tmp_path: Path) -> None:
    folder_of(tmp_path / "cat", {"black": 3, "white": 3})
    folder_of(tmp_path / "dog", {"small": 6}, first=9)
    source = load(tmp_path)
    assert (source.classes, np.bincount(source.labels).tolist()) == (("cat", "dog"), [6, 6])


def test_columns_are_chosen_by_name_or_by_option(tmp_path: Path) -> None:
    images, labels = rows(EACH)
    other = plain(images, labels, "picture", "category")
    assert load(parquet(tmp_path / "a.parquet", other)).classes == ("0", "1", "2")
    two = other.append_column("mask", pa.array([b"x"] * 24)).append_column("split_of", pa.array(["a", "b"] * 12))
    place = parquet(tmp_path / "b.parquet", two)
    with pytest.raises(ValueError, match=r"no column called image; it could be picture, mask: .* image=COLUMN"):
        load(place)
    with pytest.raises(ValueError, match=r"no column called label; it could be category, split_of: .* label=COLUMN"):
        load(place, image="picture")
    assert load(place, image="picture", label="split_of").classes == ("a", "b")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"image": "photo"}, r"no column 'photo' for image: it has image, label"),
        ({"image": "label"}, r"column 'label' holds int64, which is no image"),
        ({"label": "image"}, r"column 'image' holds binary, which is no label"),
        ({"labels": "label"}, r"unknown option of .* 'labels': choose one of .*image, label.*; did you mean label\?"),
    ],
)
def test_a_column_that_is_not_there_or_holds_something_else_is_refused(
    settings: dict[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        load(parquet(tmp_path / "a.parquet", plain(*rows(EACH))), **settings)


def test_a_folder_takes_no_option_that_it_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown option of .* 'depth': choose one of "):
        load(as_folder(tmp_path / "x"), depth="1")


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    images, labels = rows(EACH)
    parquet(tmp_path / "a" / "0.parquet", plain(images, labels))
    parquet(tmp_path / "a" / "1.parquet", plain(images, labels, label="kind"))
    with pytest.raises(ValueError, match=r"1\.parquet has no column 'label', which .*0\.parquet has"):
        load(tmp_path / "a")
    parquet(tmp_path / "b" / "0.parquet", plain(images, labels))
    parquet(tmp_path / "b" / "1.parquet", plain(images, [str(n) for n in labels]))
    with pytest.raises(ValueError, match=r"column 'label' holds something else in .*1\.parquet \(string\)"):
        load(tmp_path / "b")
    parts_by_file_name(tmp_path / "c")
    parquet(tmp_path / "c" / "unlabelled.parquet", plain(images, labels))
    with pytest.raises(ValueError, match=r"does unlabelled\.parquet hold a split\? say which"):
        load(tmp_path / "c")


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    images, labels = rows(EACH)
    place = parquet(tmp_path / "x.parquet", hugging_face(images, labels, CLASSES[:2]))
    with pytest.raises(ValueError, match="label 2 in column 'label', which names only 2 classes"):
        load(place)
    place = parquet(tmp_path / "y.parquet", hugging_face(images, [-1, *labels[1:]]))
    with pytest.raises(ValueError, match="1 of 24 rows have no label"):
        load(place)


def test_a_second_scan_reads_what_the_first_one_kept_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    place = as_folder(tmp_path / "place")
    first = load(place)
    [kept] = (tmp_path / "cache").rglob("*.parquet")
    monkeypatch.setattr("study.data.scan.scan_image", lambda data: pytest.fail("scanned again"))
    assert load(place).content == first.content
    monkeypatch.undo()
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    (place / CLASSES[0] / "000.png").write_bytes((place / CLASSES[1] / "000.png").read_bytes() + b" ")
    assert load(place).content != first.content
    kept.write_bytes(b"damaged")
    (place / CLASSES[0] / "000.png").unlink()
    assert len(load(place).labels) == 23


def test_several_threads_may_read_one_parquet_file_at_a_time(tmp_path: Path) -> None:
    images, labels = rows(60)
    place = parquet(tmp_path / "all.parquet", plain(images * 8, labels * 8), rows_a_group=2)
    given = resolve.image_index(str(place), DatasetRequest()).images
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            chunks = pool.map(lambda rows: list(given.read(rows)), given.chunks())
            assert [data for chunk in chunks for data in chunk] == images * 8
