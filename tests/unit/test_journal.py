"""A result is in the journal as a whole, or not at all; the tables follow, and what they lack is read from it."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from study.results import resume
from study.results.record import Record
from study.results.study_file import StudyFile

EPOCHS = 3


def add(record: Record, number: int) -> None:
    """A trial and its curve."""
    run = f"trial-{number:03}"
    curve = [{"run_id": run, "phase": "search", "seed": 0, "epoch": e, "train_loss": 0.1 / e} for e in (1, 2, 3)]
    record.add(trials=[{"trial_id": run, "status": "completed", "lr": 1 / 3, "val_loss": float("nan")}], curves=curve)


def rows(folder: Path, name: str) -> int:
    """How many are in the file of a table, whatever the journal has."""
    path = folder / f"{name}.parquet"
    return pq.read_table(path).num_rows if path.exists() else 0


def seen(folder: Path) -> list[tuple[str, int]]:
    """Each trial, and the epochs of its curve."""
    record = Record(folder)
    return [(row["trial_id"], len(record.curve(row["trial_id"]))) for row in record.trials]


def expected(trials: int) -> list[tuple[str, int]]:
    return [(f"trial-{number:03}", EPOCHS) for number in range(trials)]


@pytest.fixture
def behind(tmp_path: Path) -> Path:
    """The folder of a record of five trials whose tables hold the first two."""
    record = Record(tmp_path)
    for number in range(2):
        add(record, number)
    record.write_tables()
    record._took = 1e9  # no table is written again before somebody asks for it
    for number in range(2, 5):
        add(record, number)
    return tmp_path


def test_a_reader_sees_what_the_tables_do_not_have_yet(behind: Path) -> None:
    assert rows(behind, "trials") == 2
    assert seen(behind) == expected(5)


def test_values_from_the_journal_are_those_that_were_recorded(behind: Path) -> None:
    one, *_, last = Record(behind).trials  # of the table, and of the journal
    assert {**last, "trial_id": one["trial_id"]}.keys() == one.keys()
    assert last["lr"] == one["lr"] == 1 / 3
    assert np.isnan(last["val_loss"])
    assert last["reason"] is None


def test_the_tables_are_whole_when_the_study_notes_something(behind: Path) -> None:
    Record(behind).note(status="interrupted")
    assert (rows(behind, "trials"), rows(behind, "curves")) == (5, 15)
    assert seen(behind) == expected(5)


def test_a_study_goes_on_behind_what_was_there(behind: Path) -> None:
    record = Record(behind)
    add(record, 5)
    assert seen(behind) == expected(6)
    record.write_tables()
    assert seen(behind) == expected(6)
    assert rows(behind, "trials") == 6


@pytest.mark.parametrize("gone", ["trials", "curves"])
@pytest.mark.parametrize("how", ["removed", "cut off", "bits flipped", "on a bad disk"])
def test_a_table_that_is_lost_is_made_again_from_the_journal(gone: str, how: str, behind: Path) -> None:
    path = behind / f"{gone}.parquet"
    if how == "removed":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-9])
    elif how == "on a bad disk":  # reading it is Linux's EIO
        path.unlink()
        path.symlink_to("/proc/self/mem")
    else:
        content = bytearray(path.read_bytes())
        content[20] ^= 0x10
        path.write_bytes(content)
    record = Record(behind)
    assert len(record.notes) == (how != "removed")
    assert all(str(path) in note and "record.journal" in note for note in record.notes)
    assert seen(behind) == expected(5)
    record.note(status="running")
    assert rows(behind, gone) == 5 * (1 if gone == "trials" else EPOCHS)
    assert Record(behind).notes == []


def test_a_result_that_was_not_written_to_its_end_never_was(behind: Path) -> None:
    path = behind / "record.journal"
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for end in (1, len(last) // 2, len(last) - 1):
        path.write_bytes(whole[:-end])
        assert seen(behind) == expected(4)
    record = Record(behind)
    add(record, 4)
    assert path.read_bytes().startswith(whole)
    assert seen(behind) == expected(5)


def damage(folder: Path, line: int) -> None:
    path = folder / "record.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"', b"'", 1)
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("line", [1, 6])
def test_a_damaged_line_that_no_table_holds_is_named(line: int, behind: Path) -> None:
    damage(behind, line)
    with pytest.raises(ValueError, match=f"record.journal is damaged in line {line}: bring it back") as reason:
        Record(behind)
    assert "\n" not in str(reason.value)
    (behind / "record.journal").unlink()
    assert seen(behind) == expected(2)
    record = Record(behind)
    add(record, 2)
    assert seen(behind) == expected(3)


def test_a_damaged_line_that_the_tables_hold_costs_nothing(behind: Path) -> None:
    damage(behind, 2)
    assert seen(behind) == expected(5)


def test_no_bit_of_a_table_changes_what_is_read(behind: Path) -> None:
    record = Record(behind)
    record.add(predictions=[{"seed": 1, "index": 2, "label": 3, "predicted": 3, "confidence": 0.5, "image": "x.png"}])
    record.note(status="running")
    rng = np.random.default_rng(0)
    for name in ("trials", "curves", "predictions"):
        path = behind / f"{name}.parquet"
        whole = path.read_bytes()
        for _ in range(60):
            content = bytearray(whole)
            content[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
            path.write_bytes(content)
            if name == "predictions":  # which no journal has
                with pytest.raises(ValueError, match=r"predictions.parquet cannot be read \("):
                    Record(behind)
            else:
                again = Record(behind)
                assert again.notes
                assert repr(again.tables[name]) == repr(record.tables[name])
        path.write_bytes(whole)
    assert Record(behind).notes == []


def test_a_record_from_before_there_was_a_journal_goes_on(behind: Path) -> None:
    for name in ("trials", "curves"):
        path = behind / f"{name}.parquet"
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    (behind / "record.journal").unlink()
    record = Record(behind)
    assert len(record.trials) == 2
    add(record, 2)
    assert seen(behind) == expected(3)
    (behind / "trials.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"trials.parquet cannot be read"):
        Record(behind)


def test_a_journal_that_lost_lines_which_the_tables_have_gives_way_to_a_new_one(behind: Path) -> None:
    Record(behind).note(status="running")
    path = behind / "record.journal"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))
    record = Record(behind)
    add(record, 5)
    assert seen(behind) == expected(6)
    record.write_tables()
    assert seen(behind) == expected(6)


KILLED = """
import sys
from pathlib import Path
from study.results.record import Record
from tests.unit.test_journal import add

record = Record(Path(sys.argv[1]))
for number in range(len(record.trials), 100_000):
    add(record, number)
    print(number, flush=True)
"""


def test_what_was_said_to_be_finished_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    finished = 0
    for turn in range(4):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout
            for _ in range(20 + 7 * turn):
                finished = int(process.stdout.readline()) + 1
            os.kill(process.pid, signal.SIGKILL)
            finished = max([finished, *(int(line) + 1 for line in process.stdout if line.endswith(b"\n"))])
        there = seen(tmp_path)
        assert finished <= len(there) <= finished + 1
        assert there == expected(len(there))


def test_tables_are_written_seldom_where_that_takes_long(tmp_path: Path) -> None:
    record = Record(tmp_path)
    add(record, 0)
    record._took = 1e9
    before = (tmp_path / "trials.parquet").stat().st_mtime_ns
    add(record, 1)
    assert (tmp_path / "trials.parquet").stat().st_mtime_ns == before
    record._took = 0.0
    add(record, 2)
    assert rows(tmp_path, "trials") == 3


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Inside, no file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_journal_that_cannot_be_written_is_named_and_nothing_is_half_recorded(behind: Path) -> None:
    record = Record(behind)
    size = (behind / "record.journal").stat().st_size
    for more in (0, 50):
        with full_after(size + more), pytest.raises(OSError, match=r"record.journal cannot be written \("):
            add(record, 5)
        assert len(record.trials) == 5
        assert seen(behind) == expected(5)
    add(record, 5)
    assert seen(behind) == expected(6)


def test_a_journal_that_was_removed_takes_no_line_that_would_be_its_first(behind: Path) -> None:
    record = Record(behind)
    (behind / "record.journal").unlink()
    with pytest.raises(OSError, match=r"record.journal cannot be written \(No such file or directory\)"):
        add(record, 5)
    assert not (behind / "record.journal").exists()


# A study that goes on


def study_json(folder: Path, content: str | None) -> None:
    path = folder / "study.json"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)


@pytest.mark.parametrize("content", [None, "{}", '{"status": "running"}'])
def test_runs_without_their_study_are_not_taken_for_a_new_one(content: str | None, behind: Path) -> None:
    study_json(behind, content)
    with pytest.raises(ValueError, match=r"has trials.parquet, curves.parquet and record.journal, and no study.json"):
        resume.check_begun(behind, StudyFile.read(behind))


@pytest.mark.parametrize("content", ["[]", '{"study": 3}', '{"status": []}', '{"study": {"name": 1}}', "{", "\x00"])
def test_a_study_file_of_a_wrong_shape_is_one_line(content: str, tmp_path: Path) -> None:
    study_json(tmp_path, content)
    with pytest.raises(ValueError, match=r"study.json") as reason:
        StudyFile.read(tmp_path)
    assert "\n" not in str(reason.value)
