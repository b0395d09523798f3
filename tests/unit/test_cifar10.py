"""CIFAR-10 from files in its true layout, and from files that mean harm."""

import codecs
import os
import pickle
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torchvision

from study.data.named import cifar10, load
from study.data.source import DatasetRequest
from tests.contract import layouts

FOLDER = "cifar-10-batches-py"
as_python_3 = partial(pickle.dumps, protocol=2)


class Reference(torchvision.datasets.CIFAR10):
    """torchvision's reader, of files with other checksums."""

    train_list: ClassVar = [[name, None] for name, _ in torchvision.datasets.CIFAR10.train_list]
    test_list: ClassVar = [[name, None] for name, _ in torchvision.datasets.CIFAR10.test_list]
    meta: ClassVar = {**torchvision.datasets.CIFAR10.meta, "md5": None}


def test_images_labels_and_classes_are_those_that_torchvision_reads(tmp_path: Path) -> None:
    layouts.cifar10(tmp_path)
    for train, names in ((True, cifar10.TRAIN), (False, [cifar10.TEST])):
        wanted = Reference(str(tmp_path), train=train)
        read = [cifar10.batch(tmp_path / FOLDER / name, 10) for name in names]
        assert np.array_equal(np.concatenate([images for images, _ in read]), wanted.data)
        assert np.concatenate([labels for _, labels in read]).tolist() == wanted.targets
    assert cifar10.names(tmp_path / FOLDER / "batches.meta") == tuple(wanted.classes)


def test_batches_that_python_3_wrote_are_the_same_dataset(tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    (tmp_path / "3").mkdir()
    theirs, ours = layouts.cifar10(tmp_path / "2"), layouts.cifar10(tmp_path / "3", as_python_3)
    assert load("cifar10", ours).content == load("cifar10", theirs).content


def test_the_test_batch_is_the_test_set_whatever_the_sizes_of_the_batches(tmp_path: Path) -> None:
    source = load("cifar10", layouts.cifar10(tmp_path))
    assert source.test_rows is not None
    assert len(source.labels) == 120
    assert source.test_rows.tolist() == list(range(100, 120))


def test_the_archive_its_folder_and_the_parent_of_either_are_the_same_dataset(tmp_path: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "packed").mkdir()
    (tmp_path / "renamed").mkdir()
    layouts.cifar10(tmp_path / "unpacked")
    archive = tmp_path / "packed" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "unpacked" / FOLDER, FOLDER)
    other_name = tmp_path / "renamed" / "c10.tgz"
    other_name.write_bytes(archive.read_bytes())
    (tmp_path / "unpacked" / "cifar").symlink_to(FOLDER)
    places = [tmp_path / "unpacked", tmp_path / "unpacked" / FOLDER, tmp_path / "unpacked" / "cifar"]
    places += [tmp_path / "packed", archive, other_name]
    contents = {load("cifar10", DatasetRequest(data_dir=place, offline=True)).content for place in places}
    assert len(contents) == 1


class Harm:
    """Unpickled, it calls something."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["batches.meta", "data_batch_3"])
def test_a_pickle_that_wants_to_run_a_command_is_refused_and_runs_none(
    tmp_path: Path, place: str, protocol: int
) -> None:
    request = layouts.cifar10(tmp_path)
    harm = pickle.dumps({b"data": Harm(os.system, f"touch {tmp_path}/harm")}, protocol)
    (tmp_path / FOLDER / place).write_bytes(harm)
    with pytest.raises(ValueError, match=rf"{place} cannot be read .* wants to load (os|posix|nt)\.system.*refused"):
        load("cifar10", request)
    assert not (tmp_path / "harm").exists()
    pickle.loads(harm)
    assert (tmp_path / "harm").exists(), "it would have run with pickle.load"


@pytest.mark.parametrize(
    "function", [eval, getattr, np.load, np.frombuffer, __import__], ids=lambda function: function.__name__
)
def test_a_pickle_may_call_nothing_that_no_array_needs(tmp_path: Path, function: Callable[..., Any]) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": Harm(function, "x")}))
    with pytest.raises(ValueError, match=rf"wants to load .*{function.__name__}"):
        cifar10.unpickled(tmp_path / "batch")


def test_bytes_in_another_encoding_are_refused_because_a_codec_is_code(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": Harm(codecs.encode, "x", "rot13")}))
    with pytest.raises(ValueError, match="encoding rot13"):
        cifar10.unpickled(tmp_path / "batch")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({b"labels": [0]}, "data must be rows of 3072 bytes"),
        ({b"data": np.zeros((1, 3000), np.uint8), b"labels": [0]}, "data must be rows of 3072 bytes"),
        ({b"data": np.zeros((1, 3072), np.float32), b"labels": [0]}, "not one of unsigned bytes"),
        ({b"data": np.array([[None]], object), b"labels": [0]}, "not one of unsigned bytes"),
        ({b"data": np.zeros((1, 3072), np.uint8)}, "labels must be 1 numbers below 10"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [0, 1]}, "labels must be 1 numbers below 10"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "labels must be 1 numbers below 10"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [[0]]}, "labels must be 1 numbers below 10"),
        ([1, 2], "it holds a list"),
    ],
)
def test_a_file_that_is_no_batch_is_refused_by_name(tmp_path: Path, content: object, what: str) -> None:
    (tmp_path / "data_batch_1").write_bytes(as_python_3(content))
    with pytest.raises(ValueError, match=rf"data_batch_1.*{what}"):
        cifar10.batch(tmp_path / "data_batch_1", 10)


@pytest.mark.parametrize("keep", [0, 1, 10, 1000, 40_000])
def test_a_file_that_was_cut_off_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    request = layouts.cifar10(tmp_path)
    path = tmp_path / FOLDER / "data_batch_2"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="data_batch_2 cannot be read as a batch of CIFAR-10"):
        load("cifar10", request)


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    request = layouts.cifar10(tmp_path)
    (tmp_path / FOLDER / "data_batch_4").unlink()
    with pytest.raises(ValueError, match=r"data_batch_4 cannot be read \(No such file"):
        load("cifar10", request)
