"""Caltech-256 from folders in its true layout: which images, which classes, and the convention of its splits."""

import tarfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from study.data.named import caltech256, load
from study.data.source import DatasetRequest, ExampleSource
from tests.contract import layouts

CLASSES = ("ak47", "american-flag", "dog", "spider")


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> DatasetRequest:
    return layouts.caltech256(tmp_path_factory.mktemp("caltech"))


def load_with(request: DatasetRequest, **settings: str) -> ExampleSource:
    return load("caltech256", replace(request, settings={**request.settings, **settings}))


def train_rows(source: ExampleSource) -> set[int]:
    assert source.test_rows is not None
    return set(range(len(source.labels))) - set(source.test_rows.tolist())


def test_classes_are_named_like_their_folders_and_clutter_is_one_only_if_asked_for(request_: DatasetRequest) -> None:
    assert load_with(request_).classes == load_with(request_, clutter="false").classes == CLASSES
    assert load_with(request_, clutter="true").classes == (*CLASSES, "clutter")


def test_what_is_no_image_in_the_published_archive_is_no_image_here(request_: DatasetRequest) -> None:
    source = load_with(request_)
    assert np.bincount(source.labels).tolist() == [layouts.IMAGES_PER_CLASS] * len(CLASSES)


def test_each_class_has_as_many_training_images_as_were_asked_for_and_the_rest_are_tested(
    request_: DatasetRequest,
) -> None:
    source = load_with(request_)
    train = np.bincount(source.labels[sorted(train_rows(source))])
    assert train.tolist() == [15] * len(CLASSES)
    assert source.test_rows is not None
    assert len(source.test_rows) == (layouts.IMAGES_PER_CLASS - 15) * len(CLASSES)


def test_a_split_is_the_same_again_and_another_seed_makes_another(request_: DatasetRequest) -> None:
    first, again, other = (train_rows(load_with(request_, split=seed)) for seed in ("0", "0", "7"))
    assert first == again
    assert first != other
    assert train_rows(load_with(request_)) == first


def test_the_same_images_are_trained_on_whether_clutter_is_a_class_or_not(request_: DatasetRequest) -> None:
    without, with_clutter = load_with(request_), load_with(request_, clutter="true")
    of_the_objects = {row for row in train_rows(with_clutter) if with_clutter.labels[row] < len(CLASSES)}
    assert of_the_objects == train_rows(without)


def test_fewer_training_images_of_a_seed_are_some_of_the_more() -> None:
    labels = np.repeat([0, 1, 2], 90)
    chosen = [np.flatnonzero(caltech256.drawn(labels, n, 3) == "train") for n in (15, 30, 45, 60)]
    for number, rows in zip((15, 30, 45, 60), chosen, strict=True):
        assert np.bincount(labels[rows]).tolist() == [number] * 3
    for fewer, more in pairwise(chosen):
        assert set(fewer) < set(more)
    assert not np.array_equal(chosen[0][:15], chosen[0][15:30] - 90), "each class has a choice of its own"


@pytest.mark.parametrize(
    ("name", "given", "what"),
    [
        ("train_per_class", "20", "must be 15, 30, 45 or 60, got '20'"),
        ("train_per_class", "all", "must be 15, 30, 45 or 60, got 'all'"),
        ("clutter", "yes", "must be true or false, got 'yes'"),
        ("split", "-1", "must be a whole number from 0, got '-1'"),
        ("split", "1.5", r"must be a whole number from 0, got '1\.5'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_those_that_can(
    request_: DatasetRequest, name: str, given: str, what: str
) -> None:
    with pytest.raises(ValueError, match=f"caltech256's {name} {what}"):
        load_with(request_, **{name: given})


def test_an_unknown_setting_is_refused_with_the_nearest(request_: DatasetRequest) -> None:
    with pytest.raises(ValueError, match=r"'cluter'.*did you mean clutter\?"):
        load_with(request_, cluter="true")


def test_more_training_images_than_a_class_has_are_refused(request_: DatasetRequest) -> None:
    with pytest.raises(ValueError, match=r"18 images of ak47 .* train_per_class=60 none are left to test on"):
        load_with(request_, train_per_class="60")


def test_the_archive_its_folder_and_the_parent_of_either_are_the_same_dataset(
    request_: DatasetRequest, tmp_path: Path
) -> None:
    assert request_.data_dir is not None
    folder = request_.data_dir / "256_ObjectCategories"
    archive = tmp_path / "256_ObjectCategories.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, folder.name)
    sources = [load_with(replace(request_, data_dir=place)) for place in (request_.data_dir, folder, archive, tmp_path)]
    assert len({source.content for source in sources}) == 1


def test_a_folder_without_classes_is_refused_by_name(request_: DatasetRequest, tmp_path: Path) -> None:
    (tmp_path / "256_ObjectCategories" / "cats").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"256_ObjectCategories has no class folders like 001\.ak47"):
        load_with(replace(request_, data_dir=tmp_path))
