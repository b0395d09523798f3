"""Which folders are splits and which are classes: taken where it is plain, a question where it is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from study.data.__main__ import main
from study.data.split_names import likely
from study.data.splits import split
from tests.contract.photographs import write
from tests.unit.pictures import classes, jpeg, load


def tree(place: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        write(place / path, jpeg(number))
    return place


def images(folder: str, each: int = 3) -> list[str]:
    return [f"{folder}/{i}.jpg" for i in range(each)]


@pytest.mark.parametrize(
    "tops",
    [
        *(("seg_train", "seg_test", "seg_pred"), ("Training", "holdout"), ("train_images", "test_images")),
        *(("train2017", "val2017"), ("my-train", "my-dev"), ("TrainSet", "TestSet"), ("training data", "eval")),
        *(("train", "dev"), ("train", "held_out"), ("trainset", "unlabeled")),
    ],
)
def test_folders_named_like_splits_in_any_spelling_are_a_question(tops: tuple[str, ...], tmp_path: Path) -> None:
    tree(tmp_path, *(path for top in tops for name in ("cat", "dog") for path in images(f"{top}/{name}")))
    with pytest.raises(ValueError, match=r"look like splits and not like classes: .*--data-option train=DIR"):
        load(tmp_path)


@pytest.mark.parametrize(
    "tops", [("bus", "train", "tram"), ("train station", "test tube", "cup"), ("contest", "latest")]
)
def test_classes_may_have_such_a_word_in_their_names(tops: tuple[str, ...], tmp_path: Path) -> None:
    assert load(classes(tmp_path, names=tops)).classes == tuple(sorted(tops))


@pytest.mark.parametrize(
    ("name", "split"), [("seg_train", "train"), ("ValSet", "val"), ("TEST", "test"), ("tests", None), ("valley", None)]
)
def test_words_are_known_whole(name: str, split: str | None) -> None:
    assert likely(name) == split


def test_folders_that_all_hold_the_same_folders_are_a_question(tmp_path: Path) -> None:
    tree(
        tmp_path,
        *(path for top in ("a", "b", "c") for name in ("cat", "dog", "owl") for path in images(f"{top}/{name}")),
    )
    with pytest.raises(ValueError, match=r"hold the same folders \(cat, dog, owl\), which may be the classes"):
        load(tmp_path)
    assert load(tmp_path, class_depth="1").classes == ("a", "b", "c")
    assert load(tmp_path, class_depth="2").classes == ("cat", "dog", "owl")
    assert load(tmp_path, train="a", test="c").classes == ("cat", "dog", "owl")


def test_classes_that_are_divided_each_in_its_own_way_are_none(tmp_path: Path) -> None:
    tree(tmp_path, *images("cat/black"), *images("cat/white"), *images("dog/small"), *images("dog/old"))
    assert load(tmp_path).classes == ("cat", "dog")


def test_splits_below_the_classes_are_a_question(tmp_path: Path) -> None:
    tree(
        tmp_path, *(f"{name}/{part}/{i}.jpg" for name in ("cat", "dog") for part in ("train", "test") for i in range(3))
    )
    with pytest.raises(ValueError, match=r"hold folders that look like splits \(test, train\): put the splits above"):
        load(tmp_path)
    assert len(load(tmp_path, class_depth="1").labels) == 12


def test_a_folder_around_the_dataset_is_pointed_at(tmp_path: Path) -> None:
    classes(tmp_path / "archive" / "photos")
    with pytest.raises(ValueError, match=r"all of its images lie in its folder 'photos', which has folders too"):
        load(tmp_path / "archive")


@pytest.mark.parametrize("tops", [("images", "masks"), ("img", "GT"), ("train", "train_masks")])
def test_masks_are_no_class(tops: tuple[str, ...], tmp_path: Path) -> None:
    tree(tmp_path, *(path for top in tops for path in images(top)))
    with pytest.raises(ValueError, match=r"looks like segmentation|look like splits and not like classes"):
        load(tmp_path)
    assert len(load(tmp_path, class_depth="1").classes) == 2


def test_the_option_says_which_folders_are_the_splits(tmp_path: Path) -> None:
    tree(
        tmp_path, *(f"{top}/{name}/{i}.jpg" for top in ("x/fit", "x/check", "rest") for name in "ab" for i in range(4))
    )
    source = load(tmp_path, train="x/fit", test="x/check/")
    assert split(source).sizes() == {"train": 6, "val": 2, "test": 8}
    assert "passed over: 8 images in no class (rest/a/0.jpg)" in source.warnings
    with pytest.raises(ValueError, match=r"no folder 'fit' in it, which --data-option train= names: it has rest, x"):
        load(tmp_path, train="fit")
    with pytest.raises(ValueError, match="but no train"):
        load(tmp_path, test="rest")
    with pytest.raises(ValueError, match=r"lies in train=x: no image may be in two splits"):
        load(tmp_path, train="x", test="x/check")


def test_images_that_lie_flat_in_a_split_are_said(tmp_path: Path) -> None:
    tree(tmp_path, *images("train/cat", 5), *images("train/dog", 5), "test/1.jpg", "test/2.jpg")
    source = load(tmp_path)
    assert source.test_rows is None
    assert source.warnings == ("passed over: 2 images in no class (test/1.jpg)",)
    assert source.aside == {"images in no class": 2}


def test_a_group_of_images_is_never_in_two_splits(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{name}/writer{w}_{i}.jpg" for name in ("cat", "dog") for w in range(10) for i in range(3)))
    source = load(tmp_path, group=r"(writer\d+)_")
    splits = split(source)
    writers = {
        name: {str(source.images.name(row)).split("/")[1].split("_")[0] for row in splits.rows(name)}
        for name in ("train", "val", "test")
    }
    assert sum(map(len, writers.values())) == len(set.union(*writers.values())) == 10
    for name in ("train", "val", "test"):
        assert set(source.labels[splits.rows(name)]) == {0, 1}
    assert np.array_equal(split(source).test, splits.test)
    with pytest.raises(ValueError, match=r"60 of 60 images have no group by the pattern"):
        load(tmp_path, group=r"(patient\d)")
    with pytest.raises(ValueError, match=r"marks no part: put \(...\) around"):
        load(tmp_path, group=r"writer\d")
    with pytest.raises(ValueError, match=r"class 'cat' is in 1 groups"):
        split(load(tmp_path, group="(cat|dog)"))


def test_a_group_in_two_splits_that_the_dataset_comes_with_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{top}/{name}/p{i}.jpg" for top in ("train", "val", "test") for name in "ab" for i in range(3)))
    with pytest.raises(
        ValueError, match=r"3 groups are in more than one of its splits, such as that of train/a/p0.jpg"
    ):
        split(load(tmp_path, group=r"(p\d)\."))


def test_all_that_is_wrong_is_found_in_one_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree(tmp_path, *images("seg_train/cat"), *images("seg_test/cat"))
    write(tmp_path / "seg_train" / "cat" / "broken.jpg", b"text")
    write(tmp_path / "seg_train" / "cat" / "again.jpg", jpeg(0))
    write(tmp_path / "raw" / "a.svg", b"")
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    problems = "\n".join(report["problems"])
    for words in (
        *("look like splits", "class 'raw' (1 file) has only SVG", "no image in class empty"),
        "1 of 8 images cannot be read, more than 1%",
    ):
        assert words in problems
    assert report["copies"]["names"] == [["seg_train/cat/0.jpg", "seg_train/cat/again.jpg"]]
    assert main(["check", str(tmp_path)]) == 1
    assert len(capsys.readouterr().out.splitlines()) <= 40
    with pytest.raises(ValueError, match=r"2 more: python -m study.data check names all"):
        load(tmp_path)
