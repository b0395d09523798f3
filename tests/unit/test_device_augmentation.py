"""Augmentation on the device that trains: Ray Data's images bit for bit, here with the CPU for that device."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.contract.reading import reader_of
from tests.contract.tiny import CPU, POINT, digits, numbers, run, untrained
from trainables import architecture, reader
from trainables.architecture import HALF, Preprocessing
from trainables.augmentation import AUGMENTATIONS, augmented, seeds_of
from trainables.batches import CachedSplit, Examples
from trainables.device_augmentation import CUTS, ChangedOnDevice, Draws, changed, seconds_on_a_cpu
from trainables.planner import Costs
from trainables.reader import Reader
from trainables.resizing import resized
from trainables.streaming import UnstoredSplit
from trainables.world import World

CUDA = torch.device("cuda", 0)


def pictures(n: int, size: int) -> CachedSplit:
    """As the store has them: channels last, and an index that is not their place."""
    images = torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return CachedSplit(images.permute(0, 3, 1, 2), torch.arange(n), np.arange(n) * 7 + 5)


@pytest.mark.parametrize("size", [6, 8, 32, 37, 64])
@pytest.mark.parametrize("name", CUTS)
def test_images_are_to_the_bit_those_that_torchvision_makes_of_them_one_by_one(name: str, size: int) -> None:
    images, seeds, cut = pictures(40, size).images, seeds_of(3, 1, np.arange(40)), CUTS[name](size)
    wanted = augmented(name, images, seeds)
    ours = changed(images, cut, Draws.of(cut, size, seeds))
    assert ours.dtype == wanted.dtype
    assert torch.equal(ours, wanted)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_whatever_draws_more_than_a_place_a_flip_and_colours_stays_with_ray_data() -> None:
    assert set(AUGMENTATIONS) - set(CUTS) == {"autoaugment_cifar10"}


def of_side(side: int) -> Preprocessing:
    return Preprocessing(side, *HALF, interpolation="bicubic")


def test_small_images_are_made_larger_before_they_are_changed() -> None:
    small = pictures(30, 16)
    large = CachedSplit(resized(small.images, of_side(32)), small.labels, small.index)
    (ours, wanted) = (
        list(ChangedOnDevice(rows, "crop_flip", 1, of_side(32)).shuffled(8, torch.Generator().manual_seed(3), World()))
        for rows in (small, large)
    )
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(ours, wanted, strict=True))


def one_by_one(rows: CachedSplit, name: str, seed: int, epoch: int, order: torch.Generator, world: World) -> Iterator:
    """What a stream of Ray Data brings, without Ray; tests/integration/test_streaming.py has the stream beside this."""
    for images, labels in rows.shuffled(8, order, world):
        yield augmented(name, images, seeds_of(seed, epoch, rows.index[labels.numpy()])), labels


@pytest.mark.parametrize("world", [World(), World(1, 2)], ids=["alone", "one of two"])
@pytest.mark.parametrize("name", CUTS)
def test_batches_are_those_of_the_stream_in_every_epoch(name: str, world: World) -> None:
    rows = pictures(30, 16)
    here = ChangedOnDevice(rows, name, 11, of_side(16))
    orders = [torch.Generator().manual_seed(3) for _ in range(2)]
    for epoch in range(3):
        theirs = list(one_by_one(rows, name, 11, epoch, orders[0], world))
        ours = list(here.shuffled(8, orders[1], world, epoch=epoch))
        assert len(ours) == len(theirs) == 4
        for (images, labels), (wanted, same) in zip(ours, theirs, strict=True):
            assert torch.equal(labels, same)
            assert torch.equal(images, wanted)


def test_an_epoch_that_is_gone_on_with_has_the_batches_that_were_left() -> None:
    here = ChangedOnDevice(pictures(30, 16), "crop_flip", 2, of_side(16))
    whole = list(here.shuffled(8, torch.Generator().manual_seed(3), World(), epoch=1))
    left = list(here.shuffled(8, torch.Generator().manual_seed(3), World(), epoch=1, skip=3))
    assert len(left) == 1
    assert torch.equal(left[0][0], whole[3][0])


def test_a_run_has_the_curve_of_one_whose_images_others_changed() -> None:
    train, point = digits(40), replace(POINT, freeze_depth=2)

    class Brought(Examples):
        def shuffled(self, batch_size: int, generator: torch.Generator, world: World, **given: int) -> Iterator:
            for images, labels in train.shuffled(batch_size, generator, world):
                # digits are in order, so that a label's image is found by its pixels alone
                at = [int((train.images == image).flatten(1).all(1).nonzero()[0]) for image in images]
                changed = augmented("crop_flip", images, seeds_of(5, given["epoch"], train.index[at]))
                yield changed.contiguous(memory_format=torch.channels_last), labels

    brought = Brought(train.labels, train.index, 0)
    ours = run(untrained("resnet"), ChangedOnDevice(train, "crop_flip", 5, of_side(32)), point=point)
    assert numbers(ours) == numbers(run(untrained("resnet"), brought, point=point))


def test_the_generator_of_the_process_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    list(ChangedOnDevice(pictures(8, 16), "alexnet", 0, of_side(16)).shuffled(4, torch.Generator(), World()))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("device", "name", "cpu_seconds", "here"),
    [
        (CUDA, "flip", 9.1, True),  # three stages frozen, two trained, of a second a forward pass
        (CUDA, "flip", 8.9, False),
        (CUDA, "autoaugment_cifar10", 1e9, False),
        (CPU, "flip", 1e9, False),
    ],
)
@pytest.mark.usefixtures("one_thread")
def test_a_gpu_changes_images_where_cpus_would_not_keep_up(
    device: torch.device, name: str, cpu_seconds: float, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "costs", lambda self, images: Costs((1.0,) * 5, (1,) * 6, 1.0))
    monkeypatch.setattr(reader, "seconds_on_a_cpu", lambda name, images: cpu_seconds)
    asked = reader_of((architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")), None)
    asked.device = device
    asked.model.freeze(3)
    assert asked.changes_on_device(name, [pictures(4, 32)]) == here


def test_images_that_are_decoded_in_every_epoch_are_changed_where_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "seconds_on_a_cpu", lambda name, images: 1e9)
    asked = reader_of((architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")), None)
    asked.device = CUDA
    images = pictures(4, 32)
    unstored = UnstoredSplit(None, images.labels, images.index, np.arange(4))  # type: ignore[arg-type]
    assert not asked.changes_on_device("flip", [images, unstored])


def test_what_an_image_takes_a_cpu_is_measured_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    assert 0 < seconds_on_a_cpu("crop_flip", pictures(3, 16).images) < float("inf")
    assert torch.equal(torch.get_rng_state(), before)
