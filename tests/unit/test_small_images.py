"""Images that are kept as they are and made larger where they are trained on: nothing that a run comes to changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from study.data.reading import datasets_of_study
from study.data.source import Arrays, ExampleSource
from study.data.splits import split
from tests.contract.reading import POINT, RECIPE, Pictures, built, reader_of
from tests.contract.tiny import FP32, numbers, run
from trainables import architecture, images, reader, trainer
from trainables.batches import CachedSplit
from trainables.boundaries import Store
from trainables.images import SplitImages
from trainables.loop import Epoch
from trainables.resident import Residents
from trainables.resizing import resized
from trainables.run import Model, Run
from trainables.splits import ImagesKey, SplitDigest

PAIR = (architecture.get("resnet"), architecture.get("resnet").variant("mini", "none"))
BICUBIC = replace(PAIR[1].preprocessing, interpolation="bicubic", crop=0.9)
SMALL = {"train": Pictures(70, 16), "val": Pictures(40, 16, seed=1)}


@dataclass(frozen=True)
class Larger:
    """The same images as Ray Data's tasks make them."""

    small: Pictures

    def iter_batches(self, **given: Any) -> Iterator[dict[str, np.ndarray]]:
        for block in self.small.iter_batches(**given):
            chw = torch.from_numpy(block["image"]).permute(0, 3, 1, 2)
            yield block | {"image": resized(chw, BICUBIC).permute(0, 2, 3, 1).numpy()}


@dataclass
class Asked:
    """What brings images, and which of them were asked for."""

    keys: list[ImagesKey]

    def __call__(self, key: ImagesKey) -> SplitImages:
        self.keys.append(key)
        small = SMALL[key.split]
        return cast(SplitImages, small if key.own else Larger(small))


def trained(store: Store | None, asked: Asked, **given: Any) -> tuple[list[Epoch], reader.Reader]:
    """A run of two epochs that validates, and what it read by."""
    digests = {name: replace(pictures.part, side=16) for name, pictures in SMALL.items()}
    model = built(PAIR)
    read = reader_of(PAIR, store, model, preprocessing=BICUBIC, split_digests=digests, shard=asked, mode="on")
    point = replace(POINT, freeze_depth=given.pop("freeze_depth", 0))
    model.freeze(point.freeze_depth)
    sources = read.source("train", **given), read.source("val")
    curve = run(model, *sources, point=point, recipe=RECIPE, precision=FP32)
    read.close()
    return numbers(curve), read


@pytest.mark.parametrize("depth", [0, 2, 5])
@pytest.mark.parametrize("stored", [False, True])
def test_a_run_of_images_as_they_are_is_the_run_of_larger_ones(
    depth: int, stored: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large, _ = trained(None, Asked([]), freeze_depth=depth)
    monkeypatch.setattr(reader, "enlarges_images", lambda device: True)
    asked = Asked([])
    small, read = trained(Store(tmp_path, 1 << 30) if stored else None, asked, freeze_depth=depth)
    assert small == large
    assert {key.own for key in asked.keys} == {True}
    assert read.line.endswith("; the GPU makes small images larger")


def test_images_in_memory_lie_on_the_device_under_a_key_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    read, keys = reader_of(PAIR, None), []

    def bring(residents: Residents, key: Any, split: CachedSplit, *others: Any) -> CachedSplit:
        keys.append(key)
        return split

    monkeypatch.setattr(Residents, "bring", bring)
    for side in (16, 32, 37):
        pixels = torch.zeros(4, 3, side, side, dtype=torch.uint8)
        read.select_examples("train", CachedSplit(pixels, torch.zeros(4, dtype=torch.int64), np.arange(4)))
    assert len(set(keys)) == 3


def test_what_is_mixed_is_read_as_the_model_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "enlarges_images", lambda device: True)
    asked = Asked([])
    trained(None, asked, images_for="mixup")
    assert set(asked.keys) == {ImagesKey("train"), ImagesKey("val", own=True)}


def test_a_device_that_would_make_other_images_gets_those_of_the_cpu_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large, _ = trained(None, Asked([]))
    monkeypatch.setattr(reader, "enlarges_images", lambda device: True)
    monkeypatch.setattr(reader, "agrees", lambda images, preprocessing, device: False)
    same, read = trained(None, Asked([]))
    assert same == large
    assert read.notes == ("images of 16 px are made larger by CPUs, for the GPU's would not be the same",)


def template(**changed: Any) -> Run:
    digests = {"train": SplitDigest("x", 10, side=16), "val": SplitDigest("y", 10)}
    return Run("run", Model("resnet", "mini", "resnet_mini", 10), replace(POINT, **changed), RECIPE, 0, digests)


def test_what_is_kept_ahead_for_a_gpu_are_images_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(on_gpu: bool) -> Mapping[ImagesKey, int]:
        sides: dict[ImagesKey, int] = {}

        def open_or_cache(store: Store, digest: SplitDigest, preprocessing: Any, shard: Any) -> None:
            sides[shard()] = preprocessing.size

        monkeypatch.setattr(trainer, "open_or_cache", open_or_cache)
        keys = [ImagesKey("train"), ImagesKey("train", own=True), ImagesKey("val")]
        trainer.cache_images(template(), {key: cast(SplitImages, key) for key in keys}, on_gpu=on_gpu)
        return sides

    assert kept(on_gpu=False) == {ImagesKey("train"): 32, ImagesKey("val"): 32}
    assert kept(on_gpu=True) == {ImagesKey("train", own=True): 16, ImagesKey("val"): 32}


@pytest.mark.parametrize(("side", "small"), [(31, True), (32, False), (34, False)])
def test_images_that_are_large_enough_without_a_margin_are_not_small(side: int, small: bool) -> None:
    asked = replace(template(augmentation="alexnet"), split_digests={"train": SplitDigest("x", 10, side=side)})
    asked = replace(asked, validate_on=None)
    assert set(asked.small_images) == {ImagesKey("train", own=True) if small else ImagesKey("train", margin=True)}


def source(*shape: int) -> ExampleSource:
    labels = np.arange(40) % 2
    return ExampleSource("numbers", ("0", "1"), labels, Arrays(np.zeros((40, *shape), np.uint8)), "x")


@pytest.mark.parametrize(("shape", "side"), [((8, 8), 8), ((8, 8, 3), 8), ((8, 9), None)])
def test_images_in_memory_that_are_squares_have_a_side(shape: tuple[int, ...], side: int | None) -> None:
    assert source(*shape).side == side
    assert {digest.side for digest in split(source(*shape)).digests().values()} == {side}


@pytest.mark.parametrize(("side", "own"), [(8, True), (32, False), (40, False)])
def test_a_study_may_read_images_as_they_are_where_they_are_smaller(
    side: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(images: Any, labels: Any, parts: Any) -> list[Any]:
        return [convert(images.pixels[0]).shape for _, convert in parts]

    monkeypatch.setattr(images.SplitImages, "put", put)
    found: Any = datasets_of_study(split(source(side, side)), PAIR[1].preprocessing, margin=False)
    assert {key.split for key in found if key.own} == ({"train", "val", "test"} if own else set())
    assert {shape for key, shape in found.items() if key.own} == ({(8, 8, 3)} if own else set())
    assert {shape for key, shape in found.items() if not key.own} == {(32, 32, 3)}
