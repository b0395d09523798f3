"""CIFAR-10 from files in its true layout, and from files that are not those that were published."""

import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from study.data.named import cifar10, load
from study.data.source import Arrays, DatasetRequest
from tests.contract import layouts

FOLDER = "cifar-10-batches-py"
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetRequest:
    """Small files, of which torchvision is told that they are the published ones."""
    (tmp_path / "small").mkdir()
    request = layouts.cifar10(tmp_path / "small")
    layouts.publish_cifar10(tmp_path / "small" / FOLDER, monkeypatch)
    return request


def test_images_labels_and_classes_are_those_of_the_files_and_the_test_batch_is_the_test_set(
    small: DatasetRequest,
) -> None:
    assert small.data_dir
    batches = []
    for name in NAMES[:-1]:
        batches.append(pickle.loads((small.data_dir / FOLDER / name).read_bytes(), encoding="bytes"))
    rows = np.concatenate([batch[b"data"] for batch in batches])
    source = load("cifar10", small)
    assert isinstance(source.images, Arrays)
    assert np.array_equal(source.images.pixels.transpose(0, 3, 1, 2).reshape(120, 3072), rows)
    assert source.images.pixels.shape == (120, 32, 32, 3)
    assert source.labels.tolist() == [label for batch in batches for label in batch[b"labels"]]
    assert source.classes == layouts.CIFAR_CLASSES
    assert source.test_rows is not None
    assert source.test_rows.tolist() == list(range(100, 120))


def test_the_archive_its_folder_and_the_parent_of_either_are_the_same_dataset(
    tmp_path: Path, small: DatasetRequest
) -> None:
    assert small.data_dir
    unpacked = small.data_dir
    (tmp_path / "packed").mkdir()
    (tmp_path / "renamed").mkdir()
    archive = tmp_path / "packed" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(unpacked / FOLDER, FOLDER)
    other_name = tmp_path / "renamed" / "c10.tgz"
    other_name.write_bytes(archive.read_bytes())
    (unpacked / "cifar").symlink_to(FOLDER)
    places = [unpacked, unpacked / FOLDER, unpacked / "cifar", tmp_path / "packed", archive, other_name]
    contents = {load("cifar10", DatasetRequest(data_dir=place, offline=True)).content for place in places}
    assert len(contents) == 1


def test_the_checksums_that_are_asked_for_are_those_that_torchvision_knows(tmp_path: Path) -> None:
    published = torchvision.datasets.CIFAR10
    assert cifar10.ARCHIVE.checksum == f"md5:{published.tgz_md5}"
    names = [name for name, _ in [*published.train_list, *published.test_list]]
    assert [*names, published.meta["filename"]] == NAMES
    request = layouts.cifar10(tmp_path)  # well formed, and not what was published
    with pytest.raises(ValueError, match=r"data_batch_1 is not the published one, by its md5: remove .*kriz"):
        load("cifar10", request)


class Harm:
    """Unpickled, it calls something."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_that_is_not_the_published_one_is_named_and_never_opened(
    tmp_path: Path, small: DatasetRequest, name: str
) -> None:
    assert small.data_dir
    harm = pickle.dumps({"data": Harm(os.system, f"touch {tmp_path}/harm")})
    (small.data_dir / FOLDER / name).write_bytes(harm)
    with pytest.raises(ValueError, match=f"{name} is not the published one"):
        load("cifar10", small)
    assert not (tmp_path / "harm").exists()
    pickle.loads(harm)
    assert (tmp_path / "harm").exists(), "it would have run, had it been opened"


@pytest.mark.parametrize("keep", [0, 1, 40_000])
def test_a_file_that_was_cut_off_is_refused_by_name(small: DatasetRequest, keep: int) -> None:
    assert small.data_dir
    path = small.data_dir / FOLDER / "data_batch_2"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="data_batch_2 is not the published one"):
        load("cifar10", small)


def test_a_missing_batch_is_named(small: DatasetRequest) -> None:
    assert small.data_dir
    (small.data_dir / FOLDER / "data_batch_4").unlink()
    with pytest.raises(ValueError, match="data_batch_4 is missing"):
        load("cifar10", small)
