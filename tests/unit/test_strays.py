"""What lies beside the images: what programs left is ignored and counted, thumbnails are no images of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data import near_copies, resolve
from study.data.check import contents, report
from study.data.source import DatasetRequest
from study.data.splits import split
from tests.contract.photographs import encoded, write
from tests.unit.pictures import classes, jpeg, load, photo

FOLDERS = (
    *("@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", ".ipynb_checkpoints", "__pycache__"),
    *("__MACOSX", "#recycle", "@Recycle"),
)


def small(seed: int, side: int = 16) -> bytes:
    image = Image.fromarray(photo(seed))
    image.thumbnail((side, side))
    return encoded(np.asarray(image), "JPEG", quality=80)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_that_programs_leave_are_no_class_and_no_part_of_one(folder: str, tmp_path: Path) -> None:
    classes(tmp_path)
    for below in (tmp_path, tmp_path / "cat"):
        write(below / folder / "deep" / "0.jpg", jpeg(99))
    source = load(tmp_path)
    assert (source.classes, len(source.labels)) == (("cat", "dog"), 10)
    assert source.aside == {f"in {folder}": 2}
    assert f"2 in {folder}" in source.warnings[0]


def test_sidecars_and_what_systems_keep_of_a_folder_are_counted_and_not_complained_of(tmp_path: Path) -> None:
    classes(tmp_path)
    for name in ("cat/0.json", "cat/0.txt", "dog/0.xml", "cat/Thumbs.db", "dog/desktop.ini", "README"):
        write(tmp_path / name, b"x")
    source = load(tmp_path)
    assert source.aside == {".json": 1, ".txt": 1, ".xml": 1, ".db": 1, ".ini": 1, "no suffix": 1}
    assert source.warnings == ()


def test_a_table_beside_classes_is_a_sidecar_too(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes(tmp_path)
    pq.write_table(pa.table({"file": ["0.jpg"], "width": [48]}), tmp_path / "metadata.parquet")
    assert load(tmp_path).classes == ("cat", "dog")


def test_a_nas_does_not_double_the_photos(tmp_path: Path) -> None:
    classes(tmp_path, each=8)
    for number, name in enumerate(("cat", "dog")):
        for i in range(8):
            write(tmp_path / name / "@eaDir" / f"{i}.jpg" / "SYNOPHOTO_THUMB_XL.jpg", small(1000 * number + i))
    splits = split(load(tmp_path))
    assert sum(splits.sizes().values()) == 16


@pytest.mark.parametrize("name", ["thumbs/{}.jpg", "{}_thumb.jpg", "thumb_{}.jpg", "{}-16x13.jpg", "{}.png"])
def test_a_thumbnail_or_another_format_of_a_photo_is_left_out(name: str, tmp_path: Path) -> None:
    classes(tmp_path)
    for i in range(5):
        write(tmp_path / "cat" / name.format(i), small(i))
    source = load(tmp_path)
    assert len(source.labels) == 10
    assert dict(source.left_out)[f"cat/{name.format(3)}"] == "a copy of cat/3.jpg, by name and look"
    kept = resolve.load(str(tmp_path), DatasetRequest(duplicates="keep"))
    assert len(kept.labels) == 15


def test_another_photo_of_the_same_name_stays(tmp_path: Path) -> None:
    classes(tmp_path)
    write(tmp_path / "cat" / "more" / "3.jpg", jpeg(4321))
    write(tmp_path / "cat" / "small_dog.jpg", jpeg(4322))
    assert load(tmp_path).left_out == ()


def test_a_thumbnail_in_another_split_is_a_leak(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "test", first=500)
    write(tmp_path / "test" / "cat" / "2_thumb.jpg", small(2))
    with pytest.raises(ValueError, match=r"in another split: test/cat/2_thumb\.jpg ~ train/cat/2\.jpg"):
        load(tmp_path)
    dropped = resolve.load(str(tmp_path), DatasetRequest(duplicates="drop"))
    assert [name for name, _ in dropped.left_out] == ["test/cat/2_thumb.jpg"]


def test_near_copies_across_splits_are_named_by_check(tmp_path: Path) -> None:
    classes(tmp_path / "train", each=20)
    classes(tmp_path / "test", each=10, first=500)
    write(tmp_path / "test" / "cat" / "other-name.jpg", jpeg(7, quality=55))
    write(tmp_path / "test" / "dog" / "larger.png", encoded(np.asarray(Image.fromarray(photo(1003)).resize((96, 80)))))
    found = report(str(tmp_path), contents(str(tmp_path), DatasetRequest()))
    assert found["near_copies"] == [
        ["test/cat/other-name.jpg", "train/cat/7.jpg"],
        ["test/dog/larger.png", "train/dog/3.jpg"],
    ]
    assert any("2 images of one split look nearly like one of another" in said for said in found["warnings"])
    assert found["usable"]


def test_near_copies_are_those_that_a_slow_comparison_of_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    found = rng.integers(0, 256, (300, 64)).astype(np.uint8)
    for i in range(0, 60, 3):
        found[200 + i] = np.clip(found[i].astype(int) + rng.integers(-2, 3, 64), 0, 255)
    splits = {"train": np.arange(0, 180), "val": np.arange(180, 230), "test": np.arange(230, 300)}
    slow = set()
    for earlier, later in (("train", "val"), ("train", "test"), ("val", "test")):
        for one in splits[later]:
            for other in splits[earlier]:
                far = np.sqrt(((found[one].astype(float) - found[other]) ** 2).mean())
                if far <= 1.5 + 0.04 * found[one].std():
                    slow.add((int(one), int(other)))
    assert set(near_copies.across(found, splits)) == slow
    assert len(slow) == 20
