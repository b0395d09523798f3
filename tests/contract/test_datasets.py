"""Every dataset: what it declares, its splits, and its images on their way through Ray Data to an architecture."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ray.data import Dataset
from sklearn.datasets import load_digits

from study.data import named
from study.data.named import fashion_mnist
from study.data.reading import prepare, read
from study.data.resizing import resized
from study.data.source import Arrays, DatasetRequest, ExampleSource
from study.data.splits import DatasetSplits, split
from tests.contract import layouts
from tests.contract.photographs import folder_of
from trainables.architecture import HALF, MINI_INPUT, Preprocessing

SPLITS = ("train", "val", "test")
CROPPED = Preprocessing(24, *HALF, crop=0.75, interpolation="bicubic")


HERE = (fashion_mnist.DEBIAN / "train-images-idx3-ubyte.gz").is_file()


@pytest.fixture(scope="module", params=named.names())
def dataset(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, DatasetRequest]]:
    """Each dataset, never from the network: small files in its true layout where there is a maker of them."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        maker = layouts.MAKERS.get(name)
        yield name, maker(tmp_path_factory.mktemp(name), patch) if maker else DatasetRequest(offline=True)


@pytest.fixture(scope="module")
def source(dataset: tuple[str, DatasetRequest]) -> ExampleSource:
    name, request = dataset
    try:
        return named.load(name, request)
    except ValueError as missing:
        if name in layouts.MAKERS:
            raise
        pytest.skip(f"not on this machine: {missing}")


@pytest.fixture(scope="module")
def splits(source: ExampleSource) -> DatasetSplits:
    return split(source, seed=0)


def rows_by_index(dataset: Dataset) -> dict[int, dict[str, np.ndarray]]:
    return {int(row["index"]): row for row in dataset.take_all()}


def few(splits: DatasetSplits, n: int = 40) -> DatasetSplits:
    """The same splits with at most n images each, spread over the dataset."""
    train, val, test = (splits.rows(name)[:: -(-len(splits.rows(name)) // n)] for name in SPLITS)
    return DatasetSplits(splits.source, train, val, test)


# What a dataset declares


def test_there_is_a_dataset_that_needs_no_download() -> None:
    assert "digits" in named.names()


def test_an_unknown_dataset_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"'digit'.*did you mean digits\?"):
        named.load("digit")


def test_a_dataset_has_a_label_for_every_image_and_an_image_for_every_class(source: ExampleSource) -> None:
    assert source.labels.dtype == np.int64
    assert source.labels.ndim == 1
    assert sorted(set(source.labels.tolist())) == list(range(len(source.classes)))
    assert len(set(source.classes)) == len(source.classes)
    assert all(name.strip() for name in source.classes)


def test_a_dataset_is_named_like_its_file(source: ExampleSource, dataset: tuple[str, DatasetRequest]) -> None:
    assert source.name == dataset[0]


def test_a_dataset_that_is_loaded_again_has_the_same_content(
    source: ExampleSource, dataset: tuple[str, DatasetRequest]
) -> None:
    again = named.load(*dataset)
    assert again.content == source.content
    assert np.array_equal(again.labels, source.labels)


def test_an_option_that_a_dataset_does_not_have_is_refused_by_name(dataset: tuple[str, DatasetRequest]) -> None:
    name, request = dataset
    with pytest.raises(ValueError, match=rf"{name}.*'no such option'"):
        named.load(name, replace(request, settings={"no such option": "1"}))


@pytest.mark.parametrize("name", named.names())
def test_what_an_option_means_is_said_with_its_default(name: str) -> None:
    for option, meaning in named.settings(name).items():
        assert option.isidentifier()
        assert re.search(r"\(default [^)]+\)", meaning)


def test_the_dataset_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    module: dict[str, Any] = {}
    exec(code, module)
    folder_of(tmp_path / "leaves", {"oak": 5, "maple": 4})
    with pytest.raises(ValueError, match=r"leaves\.tar\.gz is not in .* and --offline is set"):
        module["image_index"](DatasetRequest(data_dir=tmp_path / "leaves" / "oak", offline=True))
    index = module["image_index"](DatasetRequest(data_dir=tmp_path, offline=True))
    assert (index.name, index.classes, len(index.images)) == ("leaves", ("maple", "oak"), 9)


@pytest.mark.parametrize("name", named.names())
def test_a_place_that_does_not_exist_is_refused_instead_of_downloaded_to(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere"):
        named.load(name, DatasetRequest(data_dir=tmp_path / "nowhere"))


@pytest.mark.parametrize("name", named.names())
def test_an_empty_place_is_refused_offline_and_left_empty(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        named.load(name, DatasetRequest(data_dir=tmp_path, offline=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(layouts.MAKERS))
def test_files_that_are_not_there_are_refused_with_the_address_to_get_them_from(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"is not in {tmp_path} and --offline is set: download http.*--data-dir"):
        named.load(name, DatasetRequest(data_dir=tmp_path, offline=True))


def test_digits_come_with_a_library_and_take_no_place() -> None:
    with pytest.raises(ValueError, match=r"digits come with scikit-learn and take no --data-dir, got /data"):
        named.load("digits", DatasetRequest(data_dir=Path("/data")))


# Splits


def test_no_image_is_in_two_splits_and_every_image_is_in_one(source: ExampleSource, splits: DatasetSplits) -> None:
    together = np.concatenate([splits.train, splits.val, splits.test])
    assert np.array_equal(np.sort(together), np.arange(len(source.labels)))


def test_splits_are_sorted_and_not_empty(splits: DatasetSplits) -> None:
    for name, size in splits.sizes().items():
        rows = splits.rows(name)
        assert len(rows) == size > 0
        assert (np.diff(rows) > 0).all()


def test_every_split_has_the_classes_in_the_proportions_of_the_dataset(
    source: ExampleSource, splits: DatasetSplits
) -> None:
    official = source.test_rows is not None
    pool = np.concatenate([splits.train, splits.val]) if official else np.arange(len(source.labels))
    shares = np.bincount(source.labels[pool], minlength=len(source.classes)) / len(pool)
    for name in ("train", "val") if official else SPLITS:
        rows = splits.rows(name)
        counts = np.bincount(source.labels[rows], minlength=len(source.classes))
        assert np.abs(counts - shares * len(rows)).max() < 2, name


def test_the_shares_are_those_that_were_asked_for(source: ExampleSource) -> None:
    made = split(source, val_share=0.3, test_share=0.1)
    n = len(source.labels)
    if source.test_rows is None:
        assert made.sizes()["test"] == pytest.approx(0.1 * n, abs=1)
        assert made.sizes()["val"] == pytest.approx(0.3 * n, abs=1)
    else:
        assert made.sizes()["val"] == pytest.approx(0.3 * (n - len(source.test_rows)), abs=1)


def test_the_official_test_set_is_kept_whatever_the_seed(source: ExampleSource) -> None:
    official = np.random.default_rng(0).permutation(len(source.labels))[: len(source.labels) // 5]
    given = replace(source, test_rows=official) if source.test_rows is None else source
    assert given.test_rows is not None
    for seed in (0, 1):
        assert np.array_equal(split(given, seed=seed).test, np.sort(given.test_rows))


def test_a_seed_makes_the_same_splits_again_and_another_seed_makes_others(
    source: ExampleSource, splits: DatasetSplits
) -> None:
    again, other = split(source, seed=0), split(source, seed=1)
    assert all(np.array_equal(again.rows(name), splits.rows(name)) for name in SPLITS)
    assert again.fingerprint == splits.fingerprint
    assert other.sizes() == splits.sizes()
    assert not np.array_equal(other.val, splits.val)
    assert other.fingerprint != splits.fingerprint


def test_the_fingerprint_tells_other_content_and_moved_images_apart(
    source: ExampleSource, splits: DatasetSplits
) -> None:
    other_content = replace(splits, source=replace(source, content="0"))
    moved = replace(splits, train=splits.train[:-1], val=np.append(splits.train[-1:], splits.val))
    fingerprints = {splits.fingerprint, other_content.fingerprint, moved.fingerprint}
    assert len(fingerprints) == 3
    assert replace(splits).fingerprint == splits.fingerprint


def test_an_unknown_split_is_an_error(splits: DatasetSplits) -> None:
    with pytest.raises(KeyError):
        splits.rows("validation")


# Images


@pytest.mark.usefixtures("ray_session")
def test_ray_data_brings_each_row_that_was_asked_for_once_with_its_label(source: ExampleSource) -> None:
    asked_for = np.random.default_rng(0).permutation(len(source.labels))[:1100]  # several blocks
    rows = read(source, asked_for).take_all()
    assert sorted(int(row["index"]) for row in rows) == sorted(asked_for.tolist())
    for row in rows:
        assert row["label"] == source.labels[row["index"]]
        assert row["image"].dtype == np.uint8
        assert row["image"].ndim == 2 or row["image"].shape[2] == 3


@pytest.mark.usefixtures("ray_session")
def test_an_image_is_the_same_whichever_rows_are_read_with_it(source: ExampleSource) -> None:
    some = np.array([5, 3, 11])
    alone, among = rows_by_index(read(source, some[:1])), rows_by_index(read(source, some))
    assert np.array_equal(alone[5]["image"], among[5]["image"])
    assert not np.array_equal(among[3]["image"], among[5]["image"])


@pytest.mark.usefixtures("ray_session")
def test_digits_are_those_of_scikit_learn() -> None:
    published = load_digits()
    rows = rows_by_index(read(named.load("digits"), np.arange(0, 1797, 50)))
    assert len(rows) == 36
    for index, row in rows.items():
        assert np.abs(row["image"] / 255 * 16 - published.images[index]).max() < 0.05
        assert row["label"] == published.target[index]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.skipif(not HERE, reason="fashion_mnist is not on this machine")
def test_fashion_mnist_is_what_its_files_hold_train_before_test() -> None:
    folder = fashion_mnist.find(DatasetRequest(offline=True))
    source = named.load("fashion_mnist")
    assert source.test_rows is not None
    assert (len(source.labels), source.test_rows.tolist()) == (70_000, list(range(60_000, 70_000)))
    rows = rows_by_index(read(source, np.array([0, 59_999, 60_000, 69_999])))
    for part, number, index in [("train", 0, 0), ("train", -1, 59_999), ("t10k", 0, 60_000), ("t10k", -1, 69_999)]:
        pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
        image = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)[number]
        assert np.array_equal(rows[index]["image"], image)
        assert rows[index]["label"] == labels[number]


@pytest.mark.skipif(not HERE, reason="fashion_mnist is not on this machine")
def test_fashion_unseen_holds_none_of_the_images_that_weights_are_trained_on() -> None:
    whole, unseen = named.load("fashion_mnist"), named.load("fashion_unseen")
    assert whole.test_rows is not None
    assert isinstance(whole.images, Arrays)
    assert isinstance(unseen.images, Arrays)
    assert np.array_equal(unseen.images.pixels, whole.images.pixels[whole.test_rows])
    assert np.array_equal(unseen.labels, whole.labels[whole.test_rows])
    for name, images in {"train": 120, "val": 30, "test": 850}.items():
        assert np.bincount(unseen.labels[split(unseen).rows(name)]).tolist() == [images] * 10


@pytest.mark.usefixtures("ray_session")
def test_a_grey_photograph_of_caltech256_comes_as_rgb(tmp_path: Path) -> None:
    source = named.load("caltech256", layouts.caltech256(tmp_path))
    rows = rows_by_index(read(source, np.array([4, 5]), partial(resized, preprocessing=MINI_INPUT)))
    colourful, grey = rows[4]["image"], rows[5]["image"]  # 001_0005.jpg, 001_0006.jpg
    assert colourful.shape[2] == grey.shape[2] == 3
    assert (grey == grey[..., :1]).all()
    assert not (colourful == colourful[..., :1]).all()


def test_a_file_that_is_no_idx_of_bytes_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "floats-idx1.gz"
    path.write_bytes(gzip.compress(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0"))
    with pytest.raises(ValueError, match=r"floats-idx1\.gz"):
        fashion_mnist.read_idx(path)


def test_an_idx_file_that_ends_early_is_refused_by_name(tmp_path: Path) -> None:
    whole = gzip.compress(b"\0\0\x08\x01\0\0\0\x02\x07")
    for name, data, what in [
        ("short.gz", whole, "1 bytes where its head says 2"),
        ("cut.gz", whole[:12], "cannot be read"),
        ("tiny.gz", gzip.compress(b"\0\0\x08"), "without the lengths of 1 or 3 axes"),
        ("head.gz", gzip.compress(b"\0\0\x08\x03\0\0\0\x02"), "without the lengths of 1 or 3 axes"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}.*{what}"):
            fashion_mnist.read_idx(tmp_path / name)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("given", [MINI_INPUT, CROPPED], ids=["mini", "cropped"])
def test_prepared_images_are_rgb_of_the_size_of_the_architecture_with_the_label_of_their_index(
    splits: DatasetSplits, given: Preprocessing
) -> None:
    small = few(splits)
    prepared = prepare(small, given, ("train", "test"))
    assert set(prepared) == {"train", "test"}
    for name, images in prepared.items():
        rows = rows_by_index(images.dataset())
        assert sorted(rows) == small.rows(name).tolist()
        originals = rows_by_index(read(small.source, small.rows(name)))
        for index, row in rows.items():
            assert row["image"].shape == (given.size, given.size, 3)
            assert row["image"].dtype == np.uint8
            assert row["label"] == small.source.labels[index]
            assert np.array_equal(row["image"], resized(originals[index]["image"].copy(), given))


@pytest.mark.usefixtures("ray_session")
def test_images_in_memory_are_read_in_blocks_that_can_be_worked_on_side_by_side() -> None:
    images, labels = np.arange(1200, dtype=np.uint8).reshape(-1, 1, 1), np.arange(1200)
    source = ExampleSource("numbers", ("0", "1"), labels, Arrays(images), "x")
    dataset = read(source, np.arange(1200)).materialize()
    assert dataset.num_blocks() > 1
    assert dataset.count() == 1200


def test_an_image_that_may_not_be_written_to_as_ray_hands_them_out_is_resized_without_a_warning() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    expected = resized(image.copy(), MINI_INPUT)
    image.flags.writeable = False
    torch.set_warn_always(True)
    try:
        assert np.array_equal(resized(image, MINI_INPUT), expected)
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("shape", [(28, 28), (20, 30), (40, 25, 3)])
@pytest.mark.parametrize("given", [MINI_INPUT, CROPPED], ids=["mini", "cropped"])
def test_an_image_is_resized_as_pillow_does_it(shape: tuple[int, ...], given: Preprocessing) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    pil = Image.fromarray(image).convert("RGB")
    side = round(given.size / given.crop)
    scale = side / min(pil.size)
    width, height = (max(side, int(length * scale)) for length in pil.size)
    method = Image.Resampling(Image.Resampling[given.interpolation.upper()])
    left, top = (round((length - given.size) / 2) for length in (width, height))
    expected = pil.resize((width, height), method).crop((left, top, left + given.size, top + given.size))
    difference = np.abs(resized(image, given).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 2
