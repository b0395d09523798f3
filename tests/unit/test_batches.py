"""A split in memory: every epoch shows every image once, and workers share each batch."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from trainables.batches import CachedSplit, ConcatSplits
from trainables.world import World, current_world


def numbered(n: int) -> CachedSplit:
    """n images that are their own number, which is their label too."""
    labels = torch.arange(n)
    return CachedSplit(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2), labels, np.arange(n) + 1000)


def epoch(split: CachedSplit, batch_size: int, seed: int = 0, world: World | None = None) -> list[torch.Tensor]:
    """The labels of each batch of an epoch."""
    generator = torch.Generator().manual_seed(seed)
    return [labels for _, labels in split.shuffled(batch_size, generator, world or World())]


@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (10, 10), (10, 11), (65, 64), (97, 16), (5, 1)])
def test_an_epoch_visits_every_image_once_in_batches_that_differ_by_one_at_most(n: int, batch_size: int) -> None:
    split = numbered(n)
    batches = epoch(split, batch_size)
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == split.steps(batch_size)


@pytest.mark.parametrize(("n", "batch_size"), [(65, 64), (1025, 256), (129, 128)])
def test_one_image_too_many_is_not_left_for_a_batch_of_its_own(n: int, batch_size: int) -> None:
    assert min(len(batch) for batch in epoch(numbered(n), batch_size)) > 1


def test_images_come_with_their_labels() -> None:
    for images, labels in numbered(50).shuffled(7, torch.Generator().manual_seed(3), World()):
        assert torch.equal(images[:, 0, 0, 0].long(), labels)
        assert images.dtype == torch.uint8


def test_the_order_is_the_seeds_and_new_in_every_epoch() -> None:
    split = numbered(100)
    first, again, other = (torch.cat(epoch(split, 10, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    generator = torch.Generator().manual_seed(0)
    orders = [torch.cat([labels for _, labels in split.shuffled(10, generator, World())]) for _ in range(3)]
    assert torch.equal(orders[0], first)
    assert not any(torch.equal(a, b) for a, b in pairwise(orders))


SHARED = [(100, 10, 2), (97, 16, 2), (97, 16, 3), (64, 64, 4), (13, 4, 2), (1077, 64, 8), (9, 4, 4)]


@pytest.mark.parametrize(("n", "batch_size", "size"), SHARED)
def test_workers_share_every_batch_of_one_worker_and_no_image_is_left_out(n: int, batch_size: int, size: int) -> None:
    split = numbered(n)
    alone = epoch(split, batch_size)
    workers = [epoch(split, batch_size, world=World(rank, size)) for rank in range(size)]
    assert split.batch_sizes(batch_size) == [len(batch) for batch in alone]
    for whole, *parts in zip(alone, *workers, strict=True):
        assert sorted(torch.cat(parts[: len(whole)]).tolist()) == sorted(whole.tolist())
        lengths = [len(part) for part in parts[: len(whole)]]
        assert max(lengths) - min(lengths) <= 1
        assert max(lengths) == World(0, size).largest_share(len(whole))


def test_a_worker_for_whom_a_batch_has_no_image_gets_one_of_that_batch_to_compute_with() -> None:
    split = numbered(10)  # in batches of 4, 3 and 3
    alone, last = epoch(split, 4), epoch(split, 4, world=World(3, 4))
    assert [len(labels) for labels in last] == [1, 1, 1]
    assert [labels.tolist() for labels in last] == [alone[0].tolist()[3:], alone[1].tolist()[:1], alone[2].tolist()[:1]]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pairs_bring_the_image_before_each_of_ones_own(size: int) -> None:
    split = numbered(7)
    [whole] = epoch(split, 7)
    before = dict(zip(whole.tolist(), whole.roll(1).tolist(), strict=True))
    for rank in range(size):
        order = torch.Generator().manual_seed(0)
        [(_, labels)] = split.shuffled(7, order, World(rank, size), pairs=True)
        own, others = labels.tensor_split(2)
        assert [before[label] for label in own.tolist()] == others.tolist()


@pytest.mark.parametrize("size", [2, 3, 40])
def test_workers_together_evaluate_every_image_once_in_order(size: int) -> None:
    split = numbered(23)
    parts = [[labels for _, labels in split.in_order(4, World(rank, size))] for rank in range(size)]
    assert torch.equal(torch.cat([labels for part in parts for labels in part]), split.labels)


def test_evaluation_goes_through_every_image_in_order() -> None:
    split = numbered(23)
    batches = list(split.in_order(10))
    assert [len(labels) for _, labels in batches] == [10, 10, 3]
    assert torch.equal(torch.cat([labels for _, labels in batches]), split.labels)
    assert torch.equal(torch.cat([images for images, _ in batches]), split.images)


def test_two_splits_together_hold_the_images_of_both_with_their_labels_and_indices() -> None:
    first, second = numbered(3), numbered(5)
    both = ConcatSplits(first, second)
    assert len(both) == 8
    assert both.labels.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    images, labels = both.batch(torch.tensor([7, 0, 3, 2]))
    assert images[:, 0, 0, 0].tolist() == labels.tolist() == [4, 0, 0, 2]
    assert both.index.tolist() == [1000, 1001, 1002, 1000, 1001, 1002, 1003, 1004]


def test_a_worker_alone_is_its_own_world() -> None:
    model = torch.nn.Linear(2, 2)
    assert current_world() == World(rank=0, size=1)
    assert World().wrap(model) is model
    assert World().all_reduce_sum(torch.tensor(3.0)) == 3.0
