"""What a thread brings ahead comes in its order, with its errors, and ends with the loop that takes it."""

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.contract.tiny import digits
from trainables.batches import CachedSplit, ConcatSplits
from trainables.prefetch import AHEAD, Ahead
from trainables.world import World


def numbers(n: int) -> list[Tensor]:
    return [torch.tensor(i) for i in range(n)]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name == "prefetch"}


def test_all_come_in_their_order_and_the_thread_ends() -> None:
    assert [int(made) for made in Ahead(lambda thing: thing * 2, numbers(50))] == list(range(0, 100, 2))
    assert not threads()


def test_nothing_comes_of_nothing() -> None:
    assert list(Ahead(lambda thing: thing, [])) == []


def test_no_more_are_made_than_may_be_ahead() -> None:
    begun: list[int] = []
    made = threading.Semaphore(0)

    def make(thing: Tensor) -> Tensor:
        begun.append(int(thing))
        made.release()
        return thing

    taken = iter(Ahead(make, numbers(50)))
    for number in range(10):
        next(taken)
        assert len(begun) <= number + 1 + AHEAD
    for _ in range(10 + AHEAD):  # so many are made without anybody asking for more
        assert made.acquire(timeout=60)
    assert len(begun) == 10 + AHEAD


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_is_raised_where_the_result_would_have_come(after: int) -> None:
    def make(thing: Tensor) -> Tensor:
        if thing == after:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return thing

    taken = iter(Ahead(make, numbers(9)))
    assert [int(made) for made in islice(taken, after)] == list(range(after))
    with pytest.raises(torch.OutOfMemoryError):
        next(taken)
    assert not threads()


def test_an_error_of_who_says_what_comes_is_raised_too() -> None:
    def things() -> Iterator[Tensor]:
        yield torch.tensor(1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(Ahead(lambda thing: thing, things()))


@pytest.mark.parametrize("taken", [1, 3])
def test_a_loop_that_ends_early_ends_the_thread(taken: int) -> None:
    made = iter(Ahead(lambda thing: thing, numbers(50)))
    for _ in range(taken):
        next(made)
    made.close()  # type: ignore[attr-defined]
    assert not threads()


# What is gathered for a copy


def mapped(folder: Path, n: int) -> CachedSplit:
    """As the store has it."""
    np.save(folder / f"{n}.npy", np.random.default_rng(n).integers(0, 256, (n, 8, 6, 3), dtype=np.uint8))
    images = torch.from_numpy(np.load(folder / f"{n}.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    return CachedSplit(images, torch.arange(n), np.arange(n))


@pytest.mark.parametrize("kind", ["mapped", "a part", "plain", "features", "together"])
def test_rows_are_gathered_into_a_buffer_as_batches_have_them(kind: str, tmp_path: Path) -> None:
    split: CachedSplit | ConcatSplits = mapped(tmp_path, 20)
    if kind == "a part":
        split = mapped(tmp_path, 30).only(torch.arange(29, 9, -1))
    elif kind == "plain":
        split = digits(20)
    elif kind == "features":
        split = CachedSplit(torch.randn(20, 7), torch.arange(20), np.arange(20), boundary=3)
    elif kind == "together":
        split = ConcatSplits(mapped(tmp_path, 12), mapped(tmp_path, 8))
    rows = torch.tensor([19, 0, 7, 7, 12])
    wanted, _ = split.batch(rows)
    buffer = torch.empty_like(split.gather(torch.arange(9)))
    for some, images in ((rows, wanted), (rows[:2], wanted[:2])):  # in what was used before
        gathered = split.gather(some, buffer[: len(some)])
        assert gathered.data_ptr() == buffer.data_ptr()
        assert gathered.is_contiguous()  # so that a device copies it in one piece
        assert torch.equal(split.as_seen(gathered), images)
        assert split.as_seen(gathered).stride() == images.stride()


def test_batches_of_a_cpu_are_made_when_they_are_asked_for() -> None:
    split = digits(20)
    assert not split.is_copied
    batches = split.shuffled(4, torch.Generator().manual_seed(0), World())
    next(batches)
    assert not threads()
