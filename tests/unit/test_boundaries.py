"""The store of boundaries gives back what it was given, to the bit, and keeps to its limit."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.contract.stored import FACTS, contents, data_of, fill, filled, flip, holds, never, rows_of, store_in
from trainables import boundaries
from trainables.boundaries import FILES, GIB, VERIFIED, Chunk, Store, damage
from trainables.memory import PeakMemory

SHAPES = [(70, 9), (70, 5, 6), (70, 4, 3, 5)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


@pytest.mark.parametrize("kind", ["uint8", "fp32", "bf16", "fp16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_entry_is_what_was_stored_in_its_own_number_format(store: Store, kind: str, shape: tuple[int, ...]) -> None:
    data = data_of(shape, kind)
    entry = filled(store, data)
    assert holds(entry, data)
    assert entry.split.images.stride() == data.stride()
    assert entry.split.boundary == FACTS["boundary"]
    assert store.notes == []


@pytest.mark.parametrize("kind", ["uint8", "fp32", "bf16", "fp16"])
def test_images_keep_their_layout_in_memory(store: Store, kind: str) -> None:
    data = data_of(kind=kind).contiguous(memory_format=torch.channels_last)
    assert not data.is_contiguous()
    entry = filled(store, data)
    assert holds(entry, data)
    assert entry.split.images.stride() == data.stride()
    images, _ = entry.split.batch(torch.tensor([3, 1, 1]))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_rows_may_come_in_any_order(store: Store) -> None:
    data = data_of()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(1)).tolist()
    assert holds(fill(store, data, rows=rows_of(data, order)), data)


def test_special_numbers_are_stored_as_they_are(store: Store) -> None:
    data = torch.tensor([[float("nan"), float("inf")], [-0.0, 1e-40]], dtype=torch.bfloat16)
    entry = filled(store, data)
    assert torch.equal(entry.split.images.view(torch.int16), data.view(torch.int16))


def test_every_fact_is_part_of_the_key(store: Store) -> None:
    others = [{**FACTS, name: other} for name, fact in FACTS.items() for other in (f"{fact}x", None)]
    others += [{name: fact for name, fact in FACTS.items() if name != left_out} for left_out in FACTS]
    assert len({store.path(facts) for facts in [FACTS, *others]}) == 1 + len(others)
    assert store.path(dict(reversed(FACTS.items()))) == store.path(FACTS)


def test_entries_of_different_facts_do_not_meet(store: Store) -> None:
    first, second = data_of(seed=1), data_of(seed=2)
    filled(store, first), filled(store, second, {**FACTS, "precision": "bf16"})
    assert holds(store.open(FACTS), first)
    assert holds(store.open({**FACTS, "precision": "bf16"}), second)
    assert store.open({**FACTS, "precision": "fp16"}) is None


def test_rows_are_asked_for_only_where_nobody_has_filled_the_entry(store: Store) -> None:
    data = data_of()
    assert not store.has(FACTS)
    fill(store, data)
    assert store.has(FACTS)
    assert holds(fill(store, data, rows=never()), data)
    assert holds(fill(Store(store.folder, store.limit), data, rows=never()), data)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what is mapped")
def test_opening_maps_the_file_and_copies_nothing(store: Store) -> None:
    data = data_of((70, 50_000))
    opened = [filled(store, data) for _ in range(2)]
    file = store.path(FACTS) / "boundary.npy"
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
    assert {int(inode) for _, _, _, _, inode, _ in maps} == {file.stat().st_ino}
    for entry in opened:
        assert any(within(entry.split.images, addresses) for addresses, *_ in maps)
    assert opened[0].split.images.data_ptr() != opened[1].split.images.data_ptr()


def within(tensor: Tensor, addresses: str) -> bool:
    first, end = (int(address, 16) for address in addresses.split("-"))
    return first <= tensor.data_ptr() and tensor.data_ptr() + tensor.nbytes <= end


def test_writing_to_what_was_read_does_not_reach_the_file(store: Store) -> None:
    data = data_of()
    entry = filled(store, data)
    entry.split.images.zero_()
    entry.split.labels.zero_()
    assert entry.intact
    assert damage(entry.path) is None
    assert holds(store.open(FACTS), data)


def numbered(number: int) -> dict[str, Any]:
    return {**FACTS, "images": str(number)}


LARGE = (100, 2500)  # a million bytes


def megabytes(store: Store, *numbers: int) -> None:
    """Fills and closes entries of a little more than a million bytes each."""
    for number in numbers:
        filled(store, data_of(LARGE, seed=number), numbered(number)).close()


def kept(store: Store) -> set[int]:
    return {number for number in range(10) if store.has(numbered(number))}


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit=3_500_000)
    megabytes(store, 0, 1, 2)
    assert kept(store) == {0, 1, 2}
    entry = store.open(numbered(0))
    assert entry
    entry.close()
    megabytes(store, 3)
    assert kept(store) == {0, 2, 3}
    megabytes(store, 4, 5)
    assert kept(store) == {3, 4, 5}
    assert contents(store) == {store.path(numbered(number)).name for number in (3, 4, 5)}
    assert store.notes == []


@pytest.mark.parametrize("limit", [1_000_000, 1_002_000, 2_003_000, 3_005_000, 3_500_000])
def test_all_entries_together_never_take_more_than_the_limit(tmp_path: Path, limit: int) -> None:
    store = store_in(tmp_path, limit)
    for number in range(4):
        entry = fill(store, data_of(LARGE), numbered(number))
        if entry:
            entry.close()
        files = [path for path in store.folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) <= limit


def test_an_entry_that_is_open_is_not_evicted(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit=2_500_000)
    data = data_of(LARGE, seed=0)
    with_it = filled(store, data, numbered(0))
    megabytes(store, 1, 2, 3)
    assert kept(store) == {0, 3}
    with_it.close()
    megabytes(store, 4, 5)
    assert kept(store) == {4, 5}
    assert torch.equal(with_it.split.images, data)  # who has mapped it keeps what it has


def test_where_all_is_in_use_the_answer_is_none_and_nothing_is_lost(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit=2_500_000)
    megabytes(store, 0, 1)
    opened = store.open(numbered(0)), store.open(numbered(1))
    assert fill(store, data_of(LARGE), numbered(2), rows=never()) is None
    assert kept(store) == {0, 1}
    assert len(store.notes) == 1
    assert "in use" in store.notes[0]
    assert all(opened)


def test_nothing_is_evicted_for_an_entry_that_would_not_fit_even_then(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit=3_500_000)
    megabytes(store, 0, 1, 2)
    opened = store.open(numbered(0)), store.open(numbered(1))
    assert fill(store, data_of((300, 2500)), numbered(3), rows=never()) is None
    assert kept(store) == {0, 1, 2}
    assert all(opened)


def test_an_entry_larger_than_the_limit_is_not_stored_and_evicts_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path, limit=1_500_000)
    megabytes(store, 0)
    assert fill(store, data_of((200, 2500)), numbered(1), rows=never()) is None
    assert kept(store) == {0}
    assert len(store.notes) == 1
    assert "limit" in store.notes[0]
    assert str(store.folder) in store.notes[0]


def test_a_row_that_does_not_come_is_an_error_and_leaves_nothing(store: Store) -> None:
    data = data_of()
    with pytest.raises(RuntimeError, match="1 of 70 rows"):
        fill(store, data, rows=rows_of(data, [*range(30), *range(31, 70)]))
    with pytest.raises(RuntimeError, match="70 of 70 rows"):
        fill(store, data, rows=iter(()))
    assert contents(store) == set()
    assert store.open(FACTS) is None
    assert holds(fill(store, data), data)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_failure_of_who_computes_is_passed_on_and_leaves_nothing(store: Store, after: int) -> None:
    data = data_of()

    def failing() -> Iterator[Chunk]:
        for block, rows in enumerate(rows_of(data)):
            if block == after:
                raise ArithmeticError("the model failed")
            yield rows

    with pytest.raises(ArithmeticError, match="the model failed"):
        fill(store, data, rows=failing())
    assert contents(store) == set()
    assert holds(fill(store, data), data)


@pytest.mark.parametrize("threads", [1, 4])
def test_an_entry_is_whole_however_many_threads_write_it(
    store: Store, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundaries, "writing_threads", lambda: threads)
    data = data_of()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(1)).tolist()
    entry = fill(store, data, rows=rows_of(data, order))
    assert holds(entry, data)
    assert entry
    assert damage(entry.path) is None


@pytest.mark.parametrize("block", [0, 2, 4])
def test_what_a_thread_cannot_write_costs_a_note_and_leaves_nothing(
    store: Store, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = boundaries.RowFile.write
    written: list[np.ndarray] = []
    asked: list[Chunk] = []

    def write(self: boundaries.RowFile, positions: np.ndarray, rows: np.ndarray) -> list[int]:
        written.append(positions)
        if len(written) == block + 1:
            raise OSError(28, "No space left on device")
        return real(self, positions, rows)

    def rows() -> Iterator[Chunk]:
        for chunk in rows_of(data):
            asked.append(chunk)
            yield chunk

    monkeypatch.setattr(boundaries.RowFile, "write", write)
    data = data_of()
    assert fill(store, data, rows=rows()) is None
    assert store.notes == [f"the boundary store cannot be used (No space left on device): {store.folder}"]
    assert contents(store) == set()
    assert len(asked) <= block + 3  # little is computed in vain


@pytest.mark.parametrize("swept", ["before it is opened", "before it is locked"])
def test_a_new_folder_that_is_swept_before_it_has_its_lock_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, swept: str
) -> None:
    """Another process makes room for another entry in just that moment."""
    module, name = (boundaries, "mkdtemp") if swept == "before it is opened" else (os, "open")
    real = getattr(module, name)
    done: list[bool] = []

    def with_a_sweep(*given: Any, **more: Any) -> Any:
        found = real(*given, **more)
        if not done and ".part-" in str(given or more):
            done.append(True)
            store.sweep()
        return found

    monkeypatch.setattr(module, name, with_a_sweep)
    data = data_of()
    assert holds(filled(store, data), data)
    assert (done, store.notes) == ([True], [])


def test_the_store_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("STUDY_CACHE_GIB", "0.5")
    assert Store.here() == Store(tmp_path / "here", GIB // 2)
    monkeypatch.delenv("STUDY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Store.here().folder == tmp_path / "attention-or-convolution"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Store.here().folder == Path(os.environ["HOME"]) / ".cache" / "attention-or-convolution"


def test_by_default_the_store_may_take_half_of_what_would_be_free_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "not" / "there" / "yet"))
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail * disk.f_frsize
    assert Store.here().limit == pytest.approx(free / 2, rel=0.05)


@pytest.mark.parametrize("given", ["many", "0", "-1", "nan", "inf", "1 GiB"])
def test_a_limit_that_is_no_number_above_0_is_a_mistake_of_the_user(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE_GIB", given)
    with pytest.raises(ValueError, match=f"STUDY_CACHE_GIB must be a number of GiB above 0, got '{given}'"):
        Store.here()


def test_an_entry_has_three_files_and_a_note_that_they_are_right(store: Store) -> None:
    entry = filled(store, data_of())
    assert {path.name for path in entry.path.iterdir()} == {*FILES, VERIFIED}


@pytest.fixture
def read_whole(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The entries that are read for their checksums from here on."""
    read: list[Path] = []

    def counted(path: Path) -> str | None:
        read.append(path)
        return damage(path)

    monkeypatch.setattr(boundaries, "damage", counted)
    return read


def as_a_new_process(store: Store) -> Store:
    return Store(store.folder, store.limit)


def test_no_process_reads_an_entry_whole_that_was_found_right_on_this_node(
    store: Store, read_whole: list[Path]
) -> None:
    data = data_of()
    filled(store, data)
    assert holds(as_a_new_process(store).open(FACTS), data)
    assert read_whole == []  # what was written was summed up as it was written


def test_what_was_noted_before_this_machine_went_down_is_not_believed_and_is_noted_anew(
    store: Store, read_whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of()
    path = filled(store, data).path
    monkeypatch.setattr(boundaries, "booted", lambda: "another time")
    assert holds(as_a_new_process(store).open(FACTS), data)
    assert holds(as_a_new_process(store).open(FACTS), data)
    assert read_whole == [path]


def test_where_a_machine_does_not_say_since_when_it_runs_each_process_reads_an_entry_once(
    store: Store, read_whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundaries, "booted", lambda: None)
    path = filled(store, data_of()).path
    new = as_a_new_process(store)
    assert new.open(FACTS)
    assert new.open(FACTS)
    assert read_whole == [path, path]  # by the one that filled it, and by the new one


def test_a_note_that_is_damaged_costs_a_look_at_the_rows(store: Store, read_whole: list[Path]) -> None:
    data = data_of()
    path = filled(store, data).path
    flip(path / VERIFIED, 5)
    assert holds(as_a_new_process(store).open(FACTS), data)
    assert read_whole == [path]


def test_rows_are_written_without_becoming_memory_of_the_process(store: Store) -> None:
    """A gigabyte would: a mapped file counts until the kernel has written it."""
    block = torch.zeros(1024, 65_536, dtype=torch.uint8)

    def blocks() -> Iterator[Chunk]:
        for start in range(0, 16 * 1024, 1024):
            at = np.arange(start, start + 1024)
            yield at, at, at % 7, block

    before = PeakMemory(torch.device("cpu")).own
    peak = PeakMemory(torch.device("cpu"))
    store = Store(store.folder, 2 * GIB)
    assert store.open_or_fill(FACTS, 16 * 1024, 65_536, blocks())
    assert peak.own - before < 200 << 20
