"""Recipes that augment: Ray Data changes the images on its way, in the order and with the draws of the seed."""

import numpy as np
import pytest
import torch
from ray.data import DataContext
from torchvision.transforms.v2.functional import resize

from study.data.source import Arrays
from tests.contract.tiny import RECIPE, digits, losses, run, untrained
from trainables import streaming
from trainables.architecture import HALF, Preprocessing
from trainables.augmentation import AUGMENTATIONS, NONE, augmented, seeds_of
from trainables.batches import CachedSplit, ConcatSplits
from trainables.device_augmentation import ChangedOnDevice
from trainables.images import SplitImages
from trainables.margin import margin_side
from trainables.streaming import Streamed, UnstoredSplit
from trainables.world import World

N, BATCH = 30, 8

Batches = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="module")
def split() -> CachedSplit:
    """Images whose label is their place, and whose index in the data set is another number."""
    images = torch.randint(0, 256, (N, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return CachedSplit(images, torch.arange(N), np.arange(N) + 500)


def epochs(rows: CachedSplit | Streamed, many: int, world: World | None = None, seed: int = 3) -> list[Batches]:
    generator = torch.Generator().manual_seed(seed)
    return [list(rows.shuffled(BATCH, generator, world or World())) for _ in range(many)]


@pytest.mark.usefixtures("ray_session")
def test_the_stream_holds_the_images_of_the_plain_split_in_its_order_each_changed_by_its_own_draw(
    split: CachedSplit,
) -> None:
    plain = epochs(split, 2)
    seen = epochs(Streamed(split, "flip", seed=11, epochs=2), 2)
    for epoch, (theirs, ours) in enumerate(zip(plain, seen, strict=True)):
        assert [len(labels) for _, labels in ours] == [len(labels) for _, labels in theirs]
        for (images, labels), (changed, same_labels) in zip(theirs, ours, strict=True):
            assert torch.equal(labels, same_labels)
            wanted = augmented("flip", images, seeds_of(11, epoch, split.index[labels.numpy()]))
            assert torch.equal(changed, wanted)
            assert changed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("name", ["crop_flip", "alexnet"])
def test_a_device_that_changes_images_itself_makes_the_batches_of_the_stream(split: CachedSplit, name: str) -> None:
    on_device = ChangedOnDevice(split, name, 11, Preprocessing(8, *HALF))
    generator = torch.Generator().manual_seed(3)
    ours = [list(on_device.shuffled(BATCH, generator, World(), epoch=epoch)) for epoch in range(2)]
    assert same(ours, epochs(Streamed(split, name, seed=11, epochs=2), 2))


@pytest.mark.usefixtures("ray_session")
def test_a_stream_that_is_gone_on_with_has_the_batches_and_draws_that_were_left(split: CachedSplit) -> None:
    whole = epochs(Streamed(split, "crop_flip", seed=1, epochs=3), 3)
    for epoch, skip in [(0, 3), (1, 0), (1, 2), (1, len(whole[1])), (2, len(whole[2]))]:
        stream, generator = Streamed(split, "crop_flip", seed=1, epochs=3), torch.Generator().manual_seed(3)
        for _ in range(epoch):
            torch.randperm(N, generator=generator)
        left = [list(stream.shuffled(BATCH, generator, World(), epoch=epoch, skip=skip))]
        left += [list(stream.shuffled(BATCH, generator, World())) for _ in range(epoch + 1, 3)]
        assert [len(batches) for batches in left] == [len(whole[epoch]) - skip, *map(len, whole[epoch + 1 :])]
        assert same(left, [whole[epoch][skip:], *whole[epoch + 1 :]])


@pytest.mark.usefixtures("ray_session")
def test_an_image_is_changed_anew_in_every_epoch_and_the_same_way_in_the_same_run(split: CachedSplit) -> None:
    first, again = (epochs(Streamed(split, "crop_flip", seed=1, epochs=2), 2) for _ in range(2))

    def by_label(batches: Batches) -> torch.Tensor:
        images, labels = (torch.cat(column) for column in zip(*batches, strict=True))
        return images[labels.argsort()]

    assert torch.equal(by_label(first[0]), by_label(again[0]))
    assert torch.equal(by_label(first[1]), by_label(again[1]))
    changed_twice = (by_label(first[0]) != by_label(first[1])).flatten(1).any(dim=1)
    assert changed_twice.float().mean() > 0.8


@pytest.mark.usefixtures("ray_session", "one_thread")
def test_an_augmentation_moves_the_training_loss_and_each_one_otherwise() -> None:
    train = digits(24)
    margin = CachedSplit(resize(train.images, [margin_side(32)]), train.labels, train.index)
    seen = [losses(run(untrained("alexnet"), train))]
    for name, augmentation in AUGMENTATIONS.items():
        given = margin if augmentation.needs_margin else train
        seen.append(losses(run(untrained("alexnet"), Streamed(given, name, seed=0, epochs=RECIPE.epochs))))
    assert len({tuple(curve) for curve in seen}) == len(AUGMENTATIONS) + 1


@pytest.mark.usefixtures("ray_session")
def test_workers_share_the_batches_of_the_stream(split: CachedSplit) -> None:
    def labels(world: World) -> list[set[int]]:
        (batches,) = epochs(Streamed(split, "flip", seed=1, epochs=1), 1, world)
        return [set(labels.tolist()) for _, labels in batches]

    mine, yours = labels(World(0, 2)), labels(World(1, 2))
    whole = labels(World())
    assert [a | b for a, b in zip(mine, yours, strict=True)] == whole
    assert all(not a & b and len(a) - len(b) in {0, 1} for a, b in zip(mine, yours, strict=True))


@pytest.fixture
def unstored(split: CachedSplit) -> UnstoredSplit:
    """The same images where neither the store nor memory holds them: N of a dataset of more, in another order."""
    pixels = np.zeros((N + 500, 8, 8, 3), np.uint8)
    pixels[split.index] = split.images.permute(0, 2, 3, 1).numpy()
    labels = np.full(N + 500, -1)
    labels[split.index] = split.labels.numpy()
    [images] = SplitImages.put(Arrays(pixels), labels, [(split.index, np.asarray)])
    return UnstoredSplit.of(images)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("chosen", [None, [3, 29, 7, 8, 11]], ids=["all", "some"])
def test_images_that_nothing_holds_come_in_the_batches_and_the_order_of_those_that_are_stored(
    split: CachedSplit, unstored: UnstoredSplit, chosen: list[int] | None
) -> None:
    rows = None if chosen is None else torch.tensor(chosen)
    kept = split if rows is None else split.only(rows)
    read = unstored if rows is None else unstored.only(rows)
    assert same(epochs(kept, 2), epochs(Streamed(read, NONE, seed=0, epochs=2), 2))
    assert same([list(kept.in_order(BATCH))], [list(read.in_order(BATCH))])
    assert torch.equal(read.images_at(torch.tensor([2, 0])), kept.images_at(torch.tensor([2, 0])))


@pytest.mark.usefixtures("ray_session")
def test_splits_of_which_one_is_stored_give_the_batches_of_two_that_are(
    split: CachedSplit, unstored: UnstoredSplit
) -> None:
    mixed = Streamed(ConcatSplits(split, unstored), "flip", seed=4, epochs=1)
    assert same(epochs(Streamed(ConcatSplits(split, split), "flip", seed=4, epochs=1), 1), epochs(mixed, 1))


@pytest.mark.usefixtures("ray_session")
def test_a_batch_of_more_bytes_than_a_block_of_ray_data_stays_one(
    unstored: UnstoredSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DataContext.get_current(), "target_max_block_size", 100)
    assert [len(labels) for _, labels in unstored.in_order(BATCH)] == [8, 8, 8, 6]


@pytest.mark.usefixtures("ray_session")
def test_epochs_that_are_too_many_batches_for_one_stream_are_several(
    split: CachedSplit, unstored: UnstoredSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MOST_BATCHES", 2 * split.steps(BATCH))
    assert same(epochs(split, 3), epochs(Streamed(unstored, NONE, seed=0, epochs=3), 3))


def same(wanted: list[Batches], seen: list[Batches]) -> bool:
    return len(wanted) == len(seen) and all(
        torch.equal(images, others) and torch.equal(labels, theirs)
        for one, other in zip(wanted, seen, strict=True)
        for (images, labels), (others, theirs) in zip(one, other, strict=True)
    )
