"""The store of boundaries under faults: none gives a wrong number, and none ends a study."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.contract.reading import Trained, built, reading, trained
from tests.contract.stored import (
    FACTS,
    contents,
    data_of,
    fill,
    filled,
    flip,
    forget_what_was_verified,
    holds,
    never,
    rows_of,
    store_in,
)
from tests.contract.variants import MINI, Pair
from trainables.boundaries import FILES, Chunk, Store, damage
from trainables.reader import Damaged
from trainables.splits import ImagesKey

pytestmark = pytest.mark.usefixtures("one_thread")

RESNET: Pair = next(pair for pair in MINI if pair[0].name == "resnet" and pair[1].pretraining == "none")
DEPTH = 4
DATA = data_of()
TICK = 0.02  # seconds: a file that is written twice within one tick of the kernel's clock has one time of change


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


@pytest.fixture(scope="module")
def wanted() -> Trained:
    """A run without a store."""
    return trained(RESNET, None, DEPTH)


@pytest.fixture(scope="module")
def wanted_of_large_boundaries() -> Trained:
    return trained(RESNET, None, 1)


def start(folder: Path, pace: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.filling", str(folder), pace]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(folder: Path, pattern: str, n: int = 1) -> None:
    deadline = time.monotonic() + 180
    while len(list(folder.glob(pattern))) < n:
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.01)


def test_of_processes_that_want_a_boundary_at_once_one_computes_it_and_all_get_it(tmp_path: Path) -> None:
    processes = [start(tmp_path, "together") for _ in range(2)]
    wait_for(tmp_path, "ready-*", n=2)
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=180) for process in processes]
    assert [(out.strip(), err) for out, err in said] == [("True []", "")] * 2
    assert len(list(tmp_path.glob("computed-*"))) == 1
    assert contents(store_in(tmp_path)) == {store_in(tmp_path).path(FACTS).name}


def test_when_the_process_that_fills_is_killed_the_one_that_waits_fills(tmp_path: Path, store: Store) -> None:
    process = start(tmp_path, "forever")
    wait_for(tmp_path, "half")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(fill, store, DATA)
        time.sleep(0.1)
        assert not waiting.done()
        assert not store.has(FACTS)
        process.kill()
        process.communicate()
        assert holds(waiting.result(timeout=120), DATA)
    assert contents(store) == {store.path(FACTS).name}
    assert store.notes == []


def test_what_a_killed_process_leaves_is_swept_and_what_a_living_one_fills_is_not(tmp_path: Path, store: Store) -> None:
    process = start(tmp_path, "forever")
    wait_for(tmp_path, "half")
    assert len(contents(store)) == 1
    store.sweep()
    assert len(contents(store)) == 1
    process.kill()
    process.communicate()
    store.sweep()
    assert contents(store) == set()


KILLED_WHILE_IT_REMOVES = """
import os, shutil, sys
from pathlib import Path
from trainables.boundaries import discard

shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), 9)
discard(Path(sys.argv[1]))
"""


def test_what_a_process_leaves_that_is_killed_while_it_removes_an_entry_is_swept(store: Store) -> None:
    entry = filled(store, DATA)
    entry.close()
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_REMOVES, str(entry.path)])
    assert killed.returncode == -9
    assert not store.has(FACTS)
    store.sweep()
    assert contents(store) == set()


@pytest.mark.parametrize("after", [0, 2, 4, 5])
def test_a_folder_that_is_deleted_while_an_entry_is_filled_costs_the_entry_at_most(store: Store, after: int) -> None:
    def deleting() -> Iterator[Chunk]:
        for block, rows in enumerate([*rows_of(DATA), None]):
            if block == after:
                shutil.rmtree(store.folder)
            if rows:
                yield rows

    entry = fill(store, DATA, rows=deleting())
    assert entry is None
    assert len(store.notes) == 1
    assert holds(fill(store, DATA), DATA)


def test_a_folder_that_is_deleted_while_an_entry_is_open_takes_nothing_from_the_reader(store: Store) -> None:
    entry = filled(store, DATA)
    shutil.rmtree(store.folder)
    assert holds(entry, DATA)
    assert entry.intact
    assert store.open(FACTS) is None
    other = data_of(seed=1)
    assert holds(fill(store, other), other)
    assert holds(entry, DATA)


def test_a_run_whose_store_is_deleted_while_it_is_filled_gives_the_same_numbers(store: Store, wanted: Trained) -> None:
    def shard_that_deletes(name: ImagesKey) -> Any:
        shutil.rmtree(store.folder, ignore_errors=True)
        return pictures(name)

    with reading(RESNET, None) as reader:
        pictures = reader.shard
    assert trained(RESNET, store, DEPTH, shard=shard_that_deletes) == wanted


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("not a folder")
    return folder / "file" / "store"


def read_only(folder: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (folder / "locked").mkdir(mode=0o500)
    return folder / "locked" / "store"


@pytest.mark.parametrize("place", [below_a_file, read_only])
def test_a_place_that_cannot_be_written_to_costs_a_note(
    place: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Trained
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(place(tmp_path)))
    store = Store.here()
    assert fill(store, DATA, rows=never()) is None
    assert len(store.notes) == 1
    assert str(store.folder) in store.notes[0]
    run = trained(RESNET, store, DEPTH)
    assert run == wanted
    assert len(run.notes) == 1
    assert run.line == f"reads boundary 0, computes {DEPTH} of {DEPTH} frozen stages: the store cannot be used"


@contextmanager
def disk_of(folder: Path, size: int, *options: str) -> Iterator[Path]:
    """A disk of its own, of some bytes."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def files_of_at_most(folder: Path, size: int) -> Iterator[Path]:
    """A folder, while no file can grow beyond some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


Disk = Callable[[Path, int], AbstractContextManager[Path]]
SMALL_DISKS = pytest.mark.parametrize("disk", [disk_of, files_of_at_most])


@SMALL_DISKS
@pytest.mark.parametrize("size", [4096, 16384])  # the entry's numbers take 16,928 bytes
def test_a_full_disk_costs_a_note(disk: Disk, size: int, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", size) as folder:
        store = store_in(folder)
        assert fill(store, DATA) is None
        assert len(store.notes) == 1
        assert contents(store) == set()


@pytest.mark.parametrize("pages", range(5, 10))
def test_a_disk_that_is_full_after_the_first_file_costs_a_note(pages: int, tmp_path: Path) -> None:
    with disk_of(tmp_path / "disk", pages * os.sysconf("SC_PAGE_SIZE")) as folder:
        store = store_in(folder)
        entry = fill(store, DATA)
        assert holds(entry, DATA) if entry else (len(store.notes) == 1 and contents(store) == set())
        if entry:
            entry.close()


@SMALL_DISKS
@pytest.mark.parametrize("size", [32_768, 230_000, 400_000])  # nothing, some or all of the images, no boundary
def test_a_run_on_a_disk_that_fills_up_gives_the_same_numbers(
    disk: Disk, size: int, tmp_path: Path, wanted_of_large_boundaries: Trained
) -> None:
    with disk(tmp_path / "disk", size) as folder:
        run = trained(RESNET, store_in(folder), 1)
    assert run == wanted_of_large_boundaries
    assert run.line.endswith("the store cannot be used")
    assert len(run.notes) == 1


def test_a_disk_that_becomes_read_only_is_still_read(tmp_path: Path, wanted: Trained) -> None:
    with disk_of(tmp_path / "disk", 10_000_000) as folder:
        store = store_in(folder)
        assert trained(RESNET, store, DEPTH) == wanted
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        run = trained(RESNET, store, DEPTH)
        assert run == wanted
        assert run.line == f"reads boundary {DEPTH} of {DEPTH} frozen stages: as asked"
        assert run.notes == ()
        another = trained(RESNET, store, DEPTH - 1)  # which cannot be kept
        assert another.line.endswith("the store cannot be used")
        assert len(another.notes) == 1


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip_the_middle(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


def flip_the_end(path: Path) -> None:
    flip(path, -40)


DAMAGES = [truncate, empty, flip_the_middle, flip_the_end, Path.unlink]


@pytest.mark.parametrize("known", [False, True], ids=["to a new process", "to the process that filled it"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.__name__)
def test_a_damaged_entry_is_computed_again(harm: Callable[[Path], None], name: str, known: bool, store: Store) -> None:
    filled(store, DATA).close()
    time.sleep(TICK)
    harm(store.path(FACTS) / name)
    if not known:
        forget_what_was_verified(store)
    assert holds(fill(store, DATA), DATA)
    assert damage(store.path(FACTS)) is None
    assert contents(store) == {store.path(FACTS).name}
    assert len(store.notes) == (0 if harm is Path.unlink else 1) or (harm is Path.unlink and name == "rows.npz")


def test_no_byte_of_an_entry_can_change_unseen(store: Store) -> None:
    path = filled(store, DATA[:5].contiguous()).path
    whole = {name: (path / name).read_bytes() for name in FILES}
    for name, content in whole.items():
        for position in range(0, len(content), 1 if name == "entry.json" else 7):
            flip(path / name, position)
            assert damage(path), f"byte {position} of {name}"
            (path / name).write_bytes(content)
    assert damage(path) is None


@pytest.mark.parametrize("harm", [truncate, flip_the_middle], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", FILES)
def test_a_run_that_finds_damage_gives_the_same_numbers(
    harm: Callable[[Path], None], name: str, store: Store, wanted: Trained
) -> None:
    trained(RESNET, store, DEPTH)
    time.sleep(TICK)
    for path in store.entries():
        harm(path / name)
    forget_what_was_verified(store)
    assert trained(RESNET, store, DEPTH) == wanted
    assert all(damage(path) is None for path in store.entries())
    assert len(store.notes) == 4  # images and boundary of train and val
    assert trained(RESNET, store, DEPTH) == wanted


def test_a_file_that_changes_while_it_is_read_condemns_the_run(store: Store) -> None:
    with reading(RESNET, store, built(RESNET).freeze(DEPTH)) as reader:
        reader.source("train").at(DEPTH)
        reader.check()
        time.sleep(TICK)
        changed = next(path for path in store.entries() if '"boundary": 4' in (path / "entry.json").read_text())
        with (changed / "boundary.npy").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"x")
        with pytest.raises(Damaged, match=changed.name):
            reader.check()
        reader.close()
    assert damage(changed)  # which the next run finds


def test_two_studies_share_a_store_while_one_clears_and_damages_it(store: Store, wanted: Trained) -> None:
    with reading(RESNET, store, built(RESNET).freeze(DEPTH)) as reader:
        before = reader.source("train").at(DEPTH).images_at(torch.arange(8))
        shutil.rmtree(store.folder)
        assert trained(RESNET, store, DEPTH) == wanted
        assert torch.equal(reader.source("train").at(DEPTH).images_at(torch.arange(8)), before)


def test_weights_that_change_under_the_same_name_are_another_boundary(store: Store, wanted: Trained) -> None:
    assert trained(RESNET, store, DEPTH) == wanted
    changed = trained(RESNET, store, DEPTH, model=built(RESNET, seed=5))
    assert changed == trained(RESNET, None, DEPTH, model=built(RESNET, seed=5))
    assert changed.curve != wanted.curve
    assert trained(RESNET, store, DEPTH) == wanted
    assert len(contents(store)) == 2 + 2 * 2
    assert np.isfinite([epoch.train_loss for epoch in changed.curve]).all()
