"""How often a test set was looked at: every run once, whoever writes at the same time."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from study.results import ledger
from study.results.ledger import Looks


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def look(study: str, run: str, *, what: str = "test", started: str = "2026") -> None:
    ledger.note("abc", what=what, study=study, started=started, run=run)


def many(study: str) -> None:
    for i in range(50):
        look(study, f"test-seed{i}")


def test_a_test_set_that_nobody_looked_at_has_no_looks() -> None:
    assert ledger.looks("abc") == Looks()


def test_studies_are_counted_once_and_their_runs_each() -> None:
    look("vit", "test-seed1")
    look("vit", "test-seed2")
    look("vit", "test-seed2")  # it went on, and ran that again
    look("vit", "test-seed1", started="2027")  # another study of that name
    look("vit", "10-per-class", what="data efficiency")
    assert ledger.looks("abc") == Looks(frozenset({("vit", "2026"), ("vit", "2027")}), 1, 4)
    assert ledger.looks("another") == Looks()


def test_no_line_is_lost_where_several_processes_write() -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(many, ["a", "b", "c", "d"]))
    assert ledger.looks("abc").runs == 200


def test_a_line_that_a_power_cut_tore_spoils_no_other(cache: Path) -> None:
    look("vit", "test-seed1")
    with (cache / "test-sets" / "abc.jsonl").open("a") as lines:
        lines.write('{"what": "test", "stu')
    look("resnet", "test-seed1")
    assert {name for name, _ in ledger.looks("abc").studies} == {"vit", "resnet"}


def test_a_folder_that_cannot_be_written_ends_nothing(cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    look("vit", "test-seed1")
    assert ledger.looks("abc") == Looks()
