"""study.status: how far studies are, by their records; and what is known of one run."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from study.cluster import logs
from study.results import progress, together
from study.results.record import Record
from study.status import main
from tests import records
from trainables.log import BEGINS

SHAPE = records.Shape(trials=8, seeds=2)
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    return tmp_path


def row(record: Record, number: int, **values: object) -> None:
    record.add(trials=[{"trial_id": f"trial-{number:03d}", "status": "completed", **values}])


def test_a_running_study_says_how_far_it_is_what_it_cost_and_what_is_left(results: Path) -> None:
    record = records.started(results / "mine", SHAPE)
    record.note(resources={"workers": 0, "cpus": 1, "threads": 1, "gpus": 0.5})
    for number, accuracy in enumerate([0.5, 0.9]):
        row(record, number, val_accuracy=accuracy, total_seconds=1800.0, node=f"gpu-{number}")
    now = progress.of(results / "mine")
    assert (now.status, now.phase, now.done, now.total) == ("running", "search", 2, 8)
    assert now.best == 0.9
    assert (now.device, now.device_hours) == ("GPU", 0.5)
    assert now.nodes == ("gpu-0", "gpu-1")
    # 6 trials, 4 points with 2 seeds each: half an hour each, two at a time; 2 tests, on a third more images
    assert now.seconds_left == pytest.approx(14 * 1800 / 2 + 2 * 2400 / 2)


def test_studies_are_listed_with_those_of_comparisons_and_what_cannot_be_read(results: Path, capsys: Captured) -> None:
    records.started(results / "a", SHAPE)
    records.searched(results / "compare-b" / "b", SHAPE)
    (results / "c").mkdir()
    (results / "c" / "study.json").write_text("{")
    assert main([str(results)]) == 0
    out = capsys.readouterr().out
    assert "search 0/8" in out
    assert "interrupted" in out
    assert "c/study.json cannot be read" in out.replace("\n", "")
    assert main([str(results), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in told["studies"]] == ["running", "unreadable", "interrupted"]
    assert told["jobs"] == []


def test_a_finished_study_has_its_test_and_nothing_left(results: Path) -> None:
    records.finished(results / "mine", SHAPE)
    now = progress.of(results / "mine")
    assert (now.status, now.phase, now.done, now.total) == ("finished", "test", 2, 2)
    assert now.test_accuracy
    assert now.seconds_left is None


def test_a_study_is_found_by_its_name_in_results_and_a_run_by_its_id(
    results: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    row(records.started(results / "results" / "mine", SHAPE), 7, val_accuracy=0.75, node="gpu-1", process=3)
    monkeypatch.chdir(results)
    assert main(["mine", "trial-007"]) == 0
    out = capsys.readouterr().out
    assert "0.75" in out
    assert "gpu-1" in out
    assert main(["mine", "trial-007", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["process"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is no folder, and no study in results"),
        (["mine", "trial-9"], "mine has no finished run trial-9: the last ones are trial-007"),
        (["mine", "--log"], "--log is of a run"),
        (["mine", "trial-007", "--log"], "trial-007 ran on node elsewhere: ask for its log there"),
        (["--address", "http://127.0.0.1:9"], "no Ray cluster takes jobs at http://127.0.0.1:9"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, results: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    row(records.started(results / "mine", SHAPE), 7, node="elsewhere", process=1)
    monkeypatch.chdir(results)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_runs_part_of_what_its_process_wrote_is_that_of_its_last_beginning() -> None:
    text = "\n".join(
        ["start", f"trial-1{BEGINS}a", "old", f"trial-10{BEGINS}a", "other", f"trial-1{BEGINS}a", "new", "more"]
    )
    assert logs.section(text, "trial-1") == f"trial-1{BEGINS}a\nnew\nmore"
    assert logs.section(text, "trial-10") == f"trial-10{BEGINS}a\nother"
    assert logs.section(text, "trial-2") is None


def test_rows_and_repeats_stand_together_with_those_that_have_not_begun(results: Path, capsys: Captured) -> None:
    folder = results / "compare-digits"
    records.finished(folder / "alexnet-digits", replace(SHAPE, model="alexnet")).note(
        seconds={"search": 100.0, "test": 20.0}
    )
    record = records.started(folder / "vit-digits", replace(SHAPE, model="vit"))
    row(record, 0, val_accuracy=0.5, total_seconds=10.0)
    together.write(folder, ["alexnet-digits", "vit-digits", "resnet-digits", "coatnet-digits"], "the command")
    first = records.finished(results / "mine", SHAPE)
    first.note(
        command="python -m study.run --repeats 3", study={**msgspec.to_builtins(first.configuration), "name": "mine"}
    )
    assert main([str(results), "--json"]) == 0
    rows, repeats = json.loads(capsys.readouterr().out)["together"]
    assert (rows["kind"], rows["status"], rows["finished"], rows["total"]) == ("rows", "running", 1, 4)
    assert rows["waiting"] == ["resnet-digits", "coatnet-digits"]
    # 7 trials and 8 replicates of 10 s and 2 tests on a third more, two at a time; then twice what the first row took
    assert rows["seconds_left"] == pytest.approx(15 * 5 + 40 / 3 + 2 * 120)
    assert (repeats["kind"], repeats["status"], repeats["waiting"]) == (
        "repeats",
        "interrupted",
        ["mine-repeat2", "mine-repeat3"],
    )
    assert main([str(results)]) == 0
    told = capsys.readouterr().out
    assert "1/4 rows" in told
    assert "1/3 repeats" in told
    assert told.count("not begun") == 4
