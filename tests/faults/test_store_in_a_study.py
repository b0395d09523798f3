"""The store fails in the middle of a study: the study ends as it would have without that, with the same numbers."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from study.results.record import Record
from study.run import main
from tests.faults.test_store import disk_of
from trainables.boundaries import Store

pytestmark = pytest.mark.usefixtures("ray_session")

BUDGET = [
    "--trials",
    "4",
    "--epochs",
    "1",
    "--train-fraction",
    "0.3",
    "--top-k",
    "1",
    "--seeds",
    "1",
    "--max-concurrent",
    "1",
]
STUDY = ["--model", "alexnet", "--early-stopping", "none", "--boundaries", "always", *BUDGET]
HARMED_AFTER = 2  # trials


def run(results: Path) -> Record:
    assert main([*STUDY, "--results", str(results), "--name", "one", "--quiet"]) == 0
    return Record(results / "one")


def numbers(record: Record) -> list[tuple[object, ...]]:
    """What a study found, without what it cost."""
    names = ("trial_id", "status", "lr", "weight_decay", "freeze_depth", "val_accuracy", "epochs")
    trials = [tuple(row[name] for name in names) for row in record.trials]
    seen = [(row["seed"], row["index"], row["predicted"], row["confidence"]) for row in record.tables["predictions"]]
    return [*sorted(trials), *sorted(seen)]


@pytest.fixture(scope="module")
def undisturbed(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    return numbers(run(tmp_path_factory.mktemp("undisturbed")))


@contextmanager
def deleted(folder: Path) -> Iterator[None]:
    folder.rename(folder.with_name("gone"))  # at once: processes are writing into it
    shutil.rmtree(folder.with_name("gone"))
    yield


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A full disk in its place."""
    with disk_of(folder, 4096):
        yield


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """What is there can be read; nothing more can be written."""
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns(".*"))
    with disk_of(folder, 1 << 30):
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        while subprocess.run(["mount", "-o", "remount,ro", str(folder)], capture_output=True).returncode:
            time.sleep(0.01)  # busy, as long as a process has a file open to write to
        yield
    shutil.rmtree(kept)


LONG = [pytest.param(harm, marks=pytest.mark.long) for harm in (full, read_only)]


@pytest.mark.parametrize("harm", [deleted, *LONG])
def test_a_store_that_fails_in_the_middle_of_a_study_changes_no_number(
    harm: Callable[[Path], AbstractContextManager[None]], undisturbed: list[tuple[object, ...]], tmp_path: Path
) -> None:
    store = Store.here().folder
    shutil.rmtree(store, ignore_errors=True)
    over, harmed = threading.Event(), threading.Event()

    def harms() -> None:
        while not over.is_set():
            with suppress(OSError):
                if len(Record(tmp_path / "one").trials) >= HARMED_AFTER:
                    break
            time.sleep(0.02)
        with harm(store):
            harmed.set()
            over.wait()

    thread = threading.Thread(target=harms)
    thread.start()
    try:
        record = run(tmp_path)
    finally:
        over.set()
        thread.join()
    assert harmed.is_set()
    assert len(record.trials) == 4
    assert numbers(record) == undisturbed
