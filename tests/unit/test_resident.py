"""What lies on a device from run to run; `meta` stands in for a GPU, with a budget that is given."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.contract.reading import reader_of
from tests.contract.tiny import CPU, digits
from trainables import architecture, resident
from trainables.batches import CachedSplit, ConcatSplits
from trainables.memory import TRAINING, Memory, PeakMemory
from trainables.process import ProcessCache
from trainables.resident import Residents

META = torch.device("meta")
IMAGE = 3 * 32 * 32


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many images may lie on the device."""
    return lambda images: monkeypatch.setattr(resident, "resident_budget", lambda device: images * IMAGE)


def run_reads(residents: Residents, *wanted: tuple[str, int]) -> tuple[list[CachedSplit], PeakMemory]:
    """A run that reads splits of so many images, by their keys, and ends."""
    peak = PeakMemory(CPU, residents.nbytes)
    read = [residents.bring(key, digits(n), META, peak) for key, n in wanted]
    residents.let_go()
    return read, peak


def lies(split: CachedSplit) -> bool:
    return split.images.device == META


def test_the_next_run_finds_what_the_last_one_brought() -> None:
    residents = Residents()
    [first], _ = run_reads(residents, ("train", 8))
    [again], _ = run_reads(residents, ("train", 8))
    assert lies(first)
    assert again is first


def test_what_a_prediction_brought_serves_a_training() -> None:
    with torch.inference_mode():
        [split], _ = run_reads(Residents(), ("val", 8))
    assert not split.images.is_inference()
    assert not split.labels.is_inference()


def test_what_was_used_least_recently_makes_room_within_the_budget(budget: Callable[[int], None]) -> None:
    budget(20)
    residents = Residents()
    run_reads(residents, ("a", 8))
    run_reads(residents, ("b", 8))
    run_reads(residents, ("a", 8))
    run_reads(residents, ("c", 8))
    assert list(residents.splits) == ["a", "c"]
    assert residents.nbytes <= 20 * IMAGE


def test_what_a_run_reads_makes_no_room_for_its_own_next_split(budget: Callable[[int], None]) -> None:
    budget(20)
    residents = Residents()
    run_reads(residents, ("other", 8))
    read, _ = run_reads(residents, ("train", 16), ("val", 8), ("test", 4))
    assert [lies(split) for split in read] == [True, False, True]
    assert all(split.labels.device == META for split in read)
    assert list(residents.splits) == ["train", "test"]


def test_a_split_that_is_larger_than_the_budget_moves_nothing_out(budget: Callable[[int], None]) -> None:
    budget(10)
    residents = Residents()
    run_reads(residents, ("small", 8))
    [large], _ = run_reads(residents, ("large", 11))
    assert not lies(large)
    assert list(residents.splits) == ["small"]


def test_a_run_is_told_what_is_its_own_and_what_others_left(budget: Callable[[int], None]) -> None:
    budget(20)
    residents = Residents()
    _, first = run_reads(residents, ("a", 8), ("b", 8))
    assert (first.resident, first.beside) == (16 * IMAGE, 0)
    _, second = run_reads(residents, ("b", 8))
    assert (second.resident, second.beside) == (8 * IMAGE, 8 * IMAGE)
    _, third = run_reads(residents, ("b", 8), ("b", 8), ("c", 6))
    assert (third.resident, third.beside) == (14 * IMAGE, 0)


def test_where_a_batch_does_not_fit_what_others_left_goes_first_and_the_batch_is_tried_again_whole() -> None:
    residents, peak = Residents(), PeakMemory(CPU)
    run_reads(residents, ("old", 8))
    residents.bring("own", digits(4), META, peak)
    tried: list[int] = []

    def compute(size: int) -> int:
        tried.append(size)
        if "old" in residents.splits or size > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return size

    memory = Memory(make_room=lambda: residents.leave(peak))
    assert memory.run_with_oom_backoff(TRAINING, 8, compute, lambda: None) == 4
    assert tried == [8, 8, 4]
    assert list(residents.splits) == ["own"]


def test_a_process_s_next_run_reads_the_same_arrays_and_another_part_of_train_its_own() -> None:
    cache = ProcessCache()
    pair = architecture.get("resnet"), architecture.get("resnet").variant("mini", "none")

    def read(chosen: np.ndarray | None = None) -> CachedSplit:
        reader = reader_of(pair, None, device=META, cache=cache)
        reader.split_digests["train"] = replace(reader.split_digests["train"], chosen=chosen)
        split = reader.source("train").at(0)
        assert isinstance(split, CachedSplit)
        reader.close()
        assert not cache.residents.held
        return split

    assert read() is read()
    part = read(np.array([7, 8, 9]))
    assert len(part) == 3
    assert part is read(np.array([7, 8, 9]))
    assert part is not read(np.array([7, 8, 10]))
    cache.clear()
    assert not cache.residents.splits


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_splits_on_one_device_give_the_rows_of_all_without_asking_where_each_is(layout: torch.memory_format) -> None:
    parts = [digits(n, start=start) for n, start in ((10, 0), (3, 10), (7, 13))]
    for part in parts:
        part.images = part.images.contiguous(memory_format=layout)
    both = ConcatSplits(*parts)
    rows = torch.randperm(20, generator=torch.Generator().manual_seed(0))[:12]
    asked, looked_up = both.images_at(rows), both.on_one_device(rows)
    assert torch.equal(asked, looked_up)
    assert asked.stride() == looked_up.stride()


def test_splits_are_looked_up_on_a_device_where_all_of_them_lie() -> None:
    there, here = digits(8).to(META), digits(8)
    assert ConcatSplits(there, there).gathers_on == META
    assert ConcatSplits(there, here.with_batches_on(META)).gathers_on == CPU
    rows = torch.arange(4, device=META)
    assert ConcatSplits(there, there).batch(rows)[0].device == META
