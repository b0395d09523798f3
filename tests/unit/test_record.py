"""The record on disk: whole at any moment, as docs/record.md says, and read back when a study goes on."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study.design.states import RunStatus, StudyStatus
from study.results import saliency
from study.results.record import TABLES, Record, prediction_rows
from study.results.study_file import (
    ENTRIES,
    Configuration,
    Data,
    Inference,
    MeasuredCost,
    ModelFacts,
    StudyFile,
    TestResult,
)
from trainables.architecture import Preprocessing
from trainables.hyperparameters import DECLARED
from trainables.loop import Predictions
from trainables.resources import Resources

DOCUMENT = Path(__file__).parents[2] / "docs" / "record.md"
CONTRACT = {
    "trials": "trial_id status reason lr weight_decay freeze_depth val_accuracy epochs train_seconds total_seconds "
    "peak_memory_bytes",
    "curves": "run_id phase seed epoch train_loss val_loss val_accuracy lr seconds",
    "predictions": "seed index label predicted confidence",
}


def trial(number: int, **others: Any) -> dict[str, Any]:
    return {"trial_id": f"trial-{number:03}", "status": "completed", "lr": 1e-3, "freeze_depth": 2, **others}


def curve_row(run_id: str, epoch: int) -> dict[str, Any]:
    return {"run_id": run_id, "phase": "search", "seed": 0, "epoch": epoch, "train_loss": 1 / epoch}


def seen(n: int, predicted: int = 1) -> Predictions:
    numbers = np.arange(n)
    return Predictions(numbers + 100, numbers % 3, np.full(n, predicted), np.linspace(0.1, 0.9, n), loss=0.5)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path)


# Writing and reading again


def test_an_empty_folder_is_an_empty_record_and_gets_no_file_by_being_read(tmp_path: Path) -> None:
    record = Record(tmp_path)
    assert record.tables == {name: [] for name in TABLES}
    assert record.study == StudyFile()
    assert not record.begun
    assert list(tmp_path.iterdir()) == []


def test_rows_are_on_disk_as_soon_as_they_are_added(record: Record) -> None:
    for number in range(3):
        record.add(trials=[trial(number)], curves=[curve_row(f"trial-{number:03}", epoch) for epoch in (1, 2)])
        again = Record(record.folder)
        assert (len(again.trials), len(again.curves)) == (number + 1, 2 * (number + 1))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_columns_and_types_on_disk_whatever_its_rows_hold(name: str, record: Record) -> None:
    record.add(**{name: [{}]})
    assert pq.read_schema(record.folder / f"{name}.parquet").equals(TABLES[name])
    record.replace(name, [])
    assert pq.read_schema(record.folder / f"{name}.parquet").equals(TABLES[name])


def test_a_study_that_goes_on_finds_every_row_and_every_fact(record: Record) -> None:
    record.add(trials=[trial(0, val_accuracy=0.5), trial(1, status="failed", reason="the loss is nan")])
    record.add(curves=[curve_row("trial-000", 1), curve_row("trial-001", 1), curve_row("trial-000", 2)])
    data = {"name": "insects", "classes": ["ant", "bée"], "fingerprint": "f", "sizes": {"train": 3}}
    record.note(status="running", data=data)
    again = Record(record.folder)
    assert [row["trial_id"] for row in again.trials] == ["trial-000", "trial-001"]
    assert again.trials[0]["val_accuracy"] == 0.5
    assert again.trials[1]["reason"] == "the loss is nan"
    assert again.trials[1]["val_accuracy"] is None
    assert [row["epoch"] for row in again.curve("trial-000")] == [1, 2]
    assert again.study.status is StudyStatus.RUNNING
    assert again.data == Data(name="insects", classes=("ant", "bée"), fingerprint="f", sizes={"train": 3})
    assert again.study == record.study
    again.add(trials=[trial(2)])
    assert [row["trial_id"] for row in Record(record.folder).trials] == ["trial-000", "trial-001", "trial-002"]


def test_facts_are_replaced_by_name_and_the_others_stay(record: Record) -> None:
    record.note(status="running", started="today")
    record.note(status="finished")
    assert json.loads((record.folder / "study.json").read_text()) == {"status": "finished", "started": "today"}


def test_columns_that_a_table_does_not_have_are_not_written(record: Record) -> None:
    record.add(trials=[trial(0, unheard_of=3)])
    assert pq.read_schema(record.folder / "trials.parquet").equals(TABLES["trials"])


def place(index: int) -> str:
    return f"cat/{index}.png"


def test_predictions_of_a_seed_take_the_place_of_what_an_interrupted_session_left(record: Record) -> None:
    record.keep_predictions(1, seen(6, predicted=0), place)
    record.keep_predictions(2, seen(6, predicted=1), place)
    record.keep_predictions(1, seen(5, predicted=2), place)
    rows = Record(record.folder).tables["predictions"]
    assert [(row["seed"], row["predicted"]) for row in rows] == [(2, 1)] * 6 + [(1, 2)] * 5


def test_a_prediction_is_a_row_of_plain_values() -> None:
    rows = prediction_rows(7, seen(2), place)
    first = {"seed": 7, "index": 100, "label": 0, "predicted": 1, "confidence": pytest.approx(0.1)}
    second = {"seed": 7, "index": 101, "label": 1, "predicted": 1, "confidence": pytest.approx(0.9)}
    assert rows == [first | {"image": "cat/100.png"}, second | {"image": "cat/101.png"}]
    assert all(type(value) in (int, float, str) for row in rows for value in row.values())


def test_an_image_that_is_in_no_file_has_no_place(record: Record) -> None:
    record.keep_predictions(1, seen(3), lambda index: None)
    assert [row["image"] for row in Record(record.folder).tables["predictions"]] == [None] * 3


# Whole at any moment


def test_nothing_but_the_files_of_the_record_is_left_behind(record: Record) -> None:
    record.add(**{name: [{}] for name in TABLES})
    record.note(status="running")
    written = {path.name for path in record.folder.iterdir()}
    assert written == {f"{name}.parquet" for name in TABLES} | {"study.json", "record.journal"}


def test_who_has_a_file_open_keeps_reading_what_was_there(record: Record) -> None:
    record.add(trials=[trial(0)])
    record.note(status="running")
    with (record.folder / "trials.parquet").open("rb") as table, (record.folder / "study.json").open() as facts:
        record.add(trials=[trial(1)])
        record.note(status="finished")
        assert pq.read_table(table).num_rows == 1
        assert json.load(facts) == {"status": "running"}


def rows_and_facts(folder: Path) -> tuple[int, int]:
    """How many rows there are, read in one go from each file, and how many `study.json` says there are."""
    table = pq.read_table(pa.BufferReader((folder / "trials.parquet").read_bytes()))
    return table.num_rows, int(json.loads((folder / "study.json").read_text())["seconds"]["search"])


def rows_and_facts_of_a_record(folder: Path) -> tuple[int, int]:
    record = Record(folder)
    return len(record.trials), int(record.study.seconds["search"])


@pytest.mark.parametrize("look", [rows_and_facts, rows_and_facts_of_a_record])
def test_a_reader_sees_a_whole_record_while_it_is_being_written(
    record: Record, look: Callable[[Path], tuple[int, int]]
) -> None:
    writes = 200
    record.add(trials=[trial(0)])
    record.note(seconds={"search": 1})
    done = Event()

    def read() -> set[int]:
        sizes: set[int] = set()
        while not done.is_set():
            sizes |= set(look(record.folder))
        return sizes

    with ThreadPoolExecutor() as threads:
        reader = threads.submit(read)
        try:
            for number in range(1, writes):
                record.add(trials=[trial(number)])
                record.note(seconds={"search": number + 1})
        finally:
            done.set()
        assert reader.result() <= set(range(1, writes + 1))


def test_a_write_that_fails_leaves_the_file_as_it_was(record: Record) -> None:
    record.add(trials=[trial(0)])
    record.note(status="running")
    with pytest.raises(pa.ArrowException):
        record.add(trials=[trial(1, lr="fast")])
    with pytest.raises(ValueError, match="Invalid enum value 'almost finished'"):
        record.note(status="almost finished")
    again = Record(record.folder)
    assert [row["trial_id"] for row in again.trials] == ["trial-000"]
    assert again.study.status is StudyStatus.RUNNING


@pytest.mark.parametrize("name", ["trials.parquet", "study.json"])
def test_a_file_that_was_cut_off_is_named_in_one_line(name: str, record: Record) -> None:
    record.add(trials=[trial(0)])
    record.note(status="running")
    (record.folder / "record.journal").unlink()
    path = record.folder / name
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} cannot be read \(.*\): bring it back") as reason:
        Record(record.folder)
    assert "\n" not in str(reason.value)


def test_facts_that_are_no_object_are_no_record(record: Record) -> None:
    (record.folder / "study.json").write_text("[]")
    with pytest.raises(ValueError, match="is not an object"):
        Record(record.folder)


# As it is documented


def words(text: str) -> list[str]:
    """What is in backquotes, but not in brackets; several names in one pair are several."""
    quoted = re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", text))
    return [name for names in quoted for name in names.split(", ") if name.isidentifier()]


def documented(name: str) -> list[str]:
    """The columns of a table in docs/record.md, the hyperparameters among them, each by its name."""
    row = re.search(rf"^\| `{name}\.parquet` \|.*?\| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert row is not None, f"docs/record.md has no row for {name}.parquet"
    return words(row[1].replace("every hyperparameter", ", ".join(f"`{one}`" for one in DECLARED)))


@pytest.mark.parametrize("name", ["trials", "curves", "predictions"])
def test_the_columns_of_a_table_are_those_of_its_documentation(name: str) -> None:
    assert documented(name) == TABLES[name].names


def test_the_columns_of_runs_are_documented_by_those_of_a_trial() -> None:
    trials = documented("trials")
    cost = [column for column in trials[trials.index("epochs") :] if column != "seed"]
    assert TABLES["runs"].names == [*documented("runs"), *cost]


def test_the_hyperparameters_of_the_documentation_are_those_that_are_declared() -> None:
    sentence = re.search(r"^The hyperparameters are (.*?):", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == list(DECLARED)


def entries() -> dict[str, str]:
    """The table of study.json in docs/record.md: each entry, and what it is said to hold."""
    text = DOCUMENT.read_text()
    table = text[text.index("`study.json` holds one object") : text.index("Before the study is finished")]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.MULTILINE)
    return {name: holds for names, holds in rows for name in re.findall(r"`(\w+)`", names)}


def names(kind: type[Any]) -> set[str]:
    return {one.name for one in (fields(kind) if is_dataclass(kind) else msgspec.structs.fields(kind))}


def test_the_entries_of_study_json_are_those_of_its_documentation() -> None:
    assert set(entries()) == ENTRIES


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("study", Configuration),
        ("data", Data),
        ("preprocessing", Preprocessing),
        ("model", ModelFacts),
        ("resources", Resources),
        ("test", TestResult),
        ("cost", MeasuredCost),
    ],
)
def test_what_an_entry_of_study_json_holds_is_documented(entry: str, kind: type[Any]) -> None:
    assert set(words(entries()[entry])) == names(kind)


@pytest.mark.parametrize(("entry", "states"), [("status", StudyStatus), ("search", RunStatus)])
def test_every_status_is_documented(entry: str, states: type[StrEnum]) -> None:
    assert set(words(entries()[entry])) == set(states)


def test_what_is_measured_of_inference_is_documented() -> None:
    assert names(Inference) <= set(re.findall(r"\w+", entries()["cost"]))


def test_the_columns_of_samples_are_those_of_predictions_and_a_picture() -> None:
    assert documented("samples") == ["png"]
    assert TABLES["samples"].names == [*TABLES["predictions"].names, "png"]


def test_every_table_is_documented_and_every_documented_table_exists() -> None:
    found = re.findall(r"^\| `(\w+)\.parquet`", DOCUMENT.read_text(), re.MULTILINE)
    assert [name for name in found if name != saliency.NAME] == list(TABLES)  # that one is made with a model
    assert saliency.NAME in found


@pytest.mark.parametrize("name", CONTRACT)
def test_the_columns_that_others_rely_on_are_there(name: str) -> None:
    assert set(CONTRACT[name].split()) <= set(TABLES[name].names)
