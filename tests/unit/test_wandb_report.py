"""The W&B report, built over runs that the real client wrote, and saved on a server that the client takes for W&B's."""

import json
import os
import shlex
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from wandb.sdk import wandb_setup

from study import tracking
from study.execution.told import summary_of
from study.results import samples
from study.results.point import shown
from study.results.record import Record
from study.results.study_file import plain
from study.tracking import service
from study.wandb_report.__main__ import main
from tests import records
from tests.wandb_stand_in import KEY, Server, Written, read
from trainables.loop import Predictions
from trainables.metrics import Metric

SHAPE = records.Shape(classes=("ant", "bee", "cat"), trials=4, epochs=3, seeds=2, images_per_class=8, samples=4)
Block = dict[str, Any]


# Studies with W&B runs.


def logged(record: Record) -> Record:
    """Logs the runs of a record to W&B, offline, as the session of its study would."""
    facts = plain(record.configuration)
    tracker = tracking.start("offline", record.folder, facts["name"])
    for run in [*record.trials, *record.runs]:
        run_id = run.get("run_id", run["trial_id"])
        point = {name: run[name] for name in shown(record)}
        whose = {"seed": run["seed"], "point": f"{facts['name']} {run['trial_id']}"}
        tracker.begin(run_id, run.get("phase", "search"), point | facts | whose)
        for row in record.tables["curves"]:
            if row["run_id"] == run_id:
                tracker.log(run_id, row)
        test = None
        if run.get("phase") == "test":
            seen = [row for row in record.tables["predictions"] if row["seed"] == run["seed"]]
            index, label, predicted, confidence = (
                np.array([row[name] for row in seen]) for name in ("index", "label", "predicted", "confidence")
            )
            test = samples.for_tracking(record, Predictions(index, label, predicted, confidence, 0.0), SHAPE.classes)
        tracker.finish(run_id, summary_of(run), run["status"], test=test)
    tracker.close(60)
    return record


def named(record: Record, model: str) -> Record:
    record.note(study=plain(record.configuration) | {"name": f"{model}-digits", "model": model})
    return record


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished studies and one that was interrupted, all with W&B runs."""
    with pytest.MonkeyPatch.context() as patch:
        alone(patch, tmp_path_factory.mktemp("home"))
        folder = tmp_path_factory.mktemp("made") / "compare digits"
        for model in ("resnet", "vit"):
            logged(named(records.finished(folder / f"{model}-digits", SHAPE), model))
        logged(named(records.searched(folder / "coatnet-digits", SHAPE), "coatnet"))
    return folder


def alone(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Nobody is logged in, and nothing is configured."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        patch.delenv(name)
    patch.delenv("NETRC", raising=False)
    patch.setenv("HOME", str(home))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    alone(monkeypatch, home)
    return home


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, as a user names it from where he works."""
    shutil.copytree(made, tmp_path / made.name)
    monkeypatch.chdir(tmp_path)
    return Path(made.name)


# Reading a specification.


def specified(folder: Path) -> list[Block]:
    assert main([str(folder)]) == 0
    return json.loads((folder / "wandb" / "report.json").read_text())["spec"]["blocks"]


def text(blocks: list[Block]) -> list[str]:
    """What a reader reads, a string a block."""
    return [block.get("content") or block.get("text") or "".join(text(block.get("children", []))) for block in blocks]


def grids(blocks: list[Block]) -> list[tuple[list[Block], list[Block]]]:
    """Run sets and panels of every grid."""
    found = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    return [(grid["runSets"], grid["panelBankSectionConfig"]["panels"]) for grid in found]


def chosen(runset: Block, runs: list[Written]) -> list[Written]:
    """The runs that meet the filters of a run set."""

    def value(run: Written, key: dict[str, str]) -> object:
        return run.run.job_type if key == {"section": "run", "name": "jobType"} else run.config[key["name"]]

    filters = runset["filters"]["filters"]
    assert all(one["op"] == "=" and one.get("connector", "AND") == "AND" for one in filters)
    return [run for run in runs if all(value(run, one["key"]) == one["value"] for one in filters)]


def written(folder: Path) -> list[Written]:
    return [read(path) for path in folder.glob("*/wandb/offline-run-*/run-*.wandb")]


# What is in it.


def test_without_a_login_the_specification_lies_beside_the_runs_and_two_commands_publish_both(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([str(folder)]) == 0
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()[1:]] == [
        "python -m study.sync 'compare digits'",
        "python -m study.wandb_report 'compare digits' --publish",
    ]
    assert err == ""
    assert json.loads((folder / "wandb" / "report.json").read_text())["project"]["name"] == "study"


def test_the_report_tells_the_answer_the_rows_and_their_commands(folder: Path):
    said = text(specified(folder))
    assert "Which architecture is the most accurate?" in said
    assert any("are not distinguishable on digits" in line for line in said)
    assert any(line.startswith("| rank | letters | model |") and "ResNet fashion6k" in line for line in said)
    assert any("coatnet-digits is left out: it is not finished" in line for line in said)
    assert any(f"python -m study.sync {shlex.quote(str(folder))}" in line for line in said)


def test_every_run_set_holds_runs_of_one_study_and_one_step(folder: Path):
    runs = written(folder)
    sets = [runset for runsets, _ in grids(specified(folder)) for runset in runsets]
    for runset in sets:
        here = chosen(runset, runs)
        assert len({(run.config["record"], run.run.job_type) for run in here}) == 1
    told = {(run.run.run_group, run.run.job_type) for runset in sets for run in chosen(runset, runs)}
    assert told == {(run.run.run_group, run.run.job_type) for run in runs}


def test_whatever_a_panel_shows_is_in_the_runs_of_its_grid(folder: Path):
    runs = written(folder)
    shown = set()
    for runsets, panels in grids(specified(folder)):
        here = [run for runset in runsets for run in chosen(runset, runs) if run.summary["status"] == "completed"]
        for panel in panels:
            shown.add(panel["viewType"])
            config = panel["config"]
            names = [config.get("xAxis"), config.get("yAxis"), *(one["accessor"] for one in config.get("columns", ()))]
            for section, _, name in (name.partition(":") for name in names if name and ":" in name):
                there = [run.config if section == "config" else run.summary for run in here]
                assert all(name.removesuffix(".value") in keys for keys in there), name
            for name in [*config.get("metrics", ()), *([config["targetKey"]] if "targetKey" in config else [])]:
                assert all(any(name in row for row in run.history) for run in here), name
            for table in ("confusion_matrix_table", "classification_report", "samples"):
                if f'"{table}"' in json.dumps(config):
                    shown.add(table)
                    assert all(any(key.split("/")[0] == table for key in run.summary) for run in here)
    assert shown == {
        *("Parallel Coordinates Plot", "Parameter Importance", "Scatter Plot", "Run Comparer", "Run History Line Plot"),
        *("Vega2", "Weave", "Media Browser", "confusion_matrix_table", "classification_report", "samples"),
    }


def test_parallel_coordinates_have_the_searched_hyperparameters_on_their_scales(folder: Path):
    space = Record(folder / "vit-digits").study.space
    Record(folder / "vit-digits").note(space={"lr": space["lr"], "freeze_depth": space["freeze_depth"]})
    panels = [panel for _, panels in grids(specified(folder)) for panel in panels]
    plots = [panel["config"]["columns"] for panel in panels if panel["viewType"] == "Parallel Coordinates Plot"]
    axes = [[(axis["displayName"], axis.get("log")) for axis in columns] for columns in plots]
    every = [("lr", True), ("weight_decay", True), ("freeze_depth", False), ("val_accuracy", None)]
    assert sorted(map(len, axes)) == [3, 4, 4]
    assert every in axes
    assert [axis for axis in every if axis[0] != "weight_decay"] in axes


def test_a_search_by_another_metric_is_drawn_by_it_with_everything_that_was_searched_and_fixed(tmp_path: Path):
    shape = replace(SHAPE, space=records.EIGHT, metric=Metric.LOSS)
    record = records.searched(tmp_path / "study", shape)
    record.note(study=plain(record.configuration) | {"fixed": {"schedule": "cosine"}})
    [(runsets, panels)] = grids(specified(logged(record).folder))
    [axes] = [panel["config"]["columns"] for panel in panels if panel["viewType"] == "Parallel Coordinates Plot"]
    searched = [name for name in records.EIGHT if name != "schedule"]
    assert [axis["displayName"] for axis in axes] == [*searched, "val_loss"]
    [importance] = [panel["config"] for panel in panels if panel["viewType"] == "Parameter Importance"]
    assert importance["targetKey"] == "val_loss"
    text = json.dumps(runsets)
    assert all(f"{name}.value" in text for name in [*searched, "schedule"])
    assert [key["ascending"] for key in runsets[0]["sort"]["keys"]] == [True]


def test_replicates_are_averaged_over_the_seeds_of_a_point_and_not_over_points(folder: Path):
    [(runsets, panels)] = [
        (runsets, panels)
        for runsets, panels in grids(specified(folder))
        if any(panel["config"].get("groupBy") for panel in panels)
    ]
    assert {panel["config"]["groupBy"] for panel in panels} == {"point.value"}
    assert [runset["grouping"] for runset in runsets] == [[{"section": "config", "name": "point.value"}]] * 2
    points = {run.config["point"] for runset in runsets for run in chosen(runset, written(folder))}
    assert len(points) > len(runsets)


def test_a_test_run_has_a_run_set_and_the_winner_of_a_study_a_confusion_matrix(folder: Path):
    runs = written(folder)
    matrices = [
        runsets for runsets, panels in grids(specified(folder)) if any(one["viewType"] == "Vega2" for one in panels)
    ]
    assert [[runset["name"] for runset in runsets] for runsets in matrices] == [["seed 0", "seed 1"]] * 2
    assert [len(chosen(runset, runs)) for runsets in matrices for runset in runsets] == [1] * 4


def test_one_study_has_a_report_too(folder: Path, capsys: pytest.CaptureFixture[str]):
    said = text(specified(folder / "vit-digits"))
    assert any("is the only row on digits" in line for line in said)
    assert "python -m study.sync 'compare digits/vit-digits'" in capsys.readouterr().out


def test_a_comparison_of_records_elsewhere_is_reported_from_them(folder: Path, tmp_path: Path):
    other = tmp_path / "comparison"
    other.mkdir()
    rows = [{"record": str(folder / name)} for name in ("resnet-digits", "vit-digits")]
    (other / "comparison.json").write_text(json.dumps({"groups": [{"rows": rows}]}))
    assert len(grids(specified(other))) == len(grids(specified(folder))) - 1  # the search that is not in it


def test_a_study_without_runs_is_named_and_keeps_its_row(folder: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(folder / "vit-digits" / "wandb")
    said = text(specified(folder))
    assert any("ViT" in line for line in said if line.startswith("| rank"))
    assert capsys.readouterr().err == "note: vit-digits has no W&B runs, so it has no panels\n"


def test_a_search_that_was_interrupted_has_a_report_of_its_trials_alone(folder: Path):
    [(runsets, panels)] = grids(specified(folder / "coatnet-digits"))
    assert [runset["name"] for runset in runsets] == ["coatnet-digits"]
    assert "Parallel Coordinates Plot" in {panel["viewType"] for panel in panels}


# Saved in W&B.


def test_with_a_login_the_report_is_saved_in_the_project_of_the_runs_and_takes_its_own_place_when_saved_again(
    folder: Path, server: Server, home: Path, capsys: pytest.CaptureFixture[str]
):
    server.projects.add("study")
    before = dict(os.environ), sys.exit, sys.excepthook
    assert [main([str(folder)]), main([str(folder), "--publish"])] == [0, 0]
    out, err = capsys.readouterr()
    [(name, report)] = server.reports.items()
    assert (report["entityName"], report["projectName"], report["type"]) == ("me", "study", "runs")
    assert out.splitlines() == [f"saved: {json.loads((folder / 'wandb/published.json').read_text())['url']}"] * 2
    assert name in out
    assert set(err.splitlines()) == {
        "note: W&B shows the runs that are on disk only after: python -m study.sync 'compare digits'"
    }
    sets = [runset for runsets, _ in grids(json.loads(report["spec"])["blocks"]) for runset in runsets]
    assert {(one["project"]["entityName"], one["project"]["name"]) for one in sets} == {("me", "study")}
    assert not (folder / "wandb" / "report.json").exists()
    assert (dict(os.environ), sys.exit, sys.excepthook) == before
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_project_that_is_not_there_yet_is_one_line_after_the_one_that_says_how_to_upload(
    folder: Path, server: Server, capsys: pytest.CaptureFixture[str]
):
    assert main([str(folder)]) == 1
    upload, refused = capsys.readouterr().err.splitlines()
    assert "study.sync" in upload
    assert "'me/study' not found" in refused
    assert server.reports == {}


def test_a_server_that_cannot_be_reached_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb.Api, "_HTTP_TIMEOUT", 1)
    assert main([str(folder)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("W&B: http://127.0.0.1:9 does not answer")


def test_a_client_that_never_ends_holds_nobody_up_and_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch):
    never = threading.Event()
    try:
        with monkeypatch.context() as first:
            first.setattr(wandb_setup._WandbSetup, "_teardown", lambda *given, **named: never.wait())
            first.setattr(service, "EXIT_SECONDS", 0.1)
            first.setattr(wandb.Api, "_HTTP_TIMEOUT", 1)
            first.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
            first.setenv("WANDB_API_KEY", KEY)
            assert main([str(folder)]) == 1
        assert specified(folder)  # by a user who is not logged in
    finally:
        never.set()


def test_a_user_whom_the_environment_keeps_offline_gets_the_specification(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert specified(folder)
    assert server.reports == {}


def test_publishing_without_a_login_says_how_to_log_in(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder), "--publish"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "wandb login" in line
    assert not (folder / "wandb" / "report.json").exists()


# Mistakes.


def test_a_folder_that_cannot_have_a_report_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    records.finished(tmp_path / "disabled", SHAPE)
    for name, why in {"nowhere": "is no folder", "empty": "holds no study", "disabled": "has no W&B runs"}.items():
        assert main([str(tmp_path / name)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {tmp_path / name} {why}")


def test_a_package_that_is_missing_is_one_line_with_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    import study.wandb_report.blocks

    monkeypatch.delattr(study.wandb_report, "blocks")
    monkeypatch.delitem(sys.modules, "study.wandb_report.blocks")
    for name in [name for name in sys.modules if name.partition(".")[0] == "wandb_workspaces"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main([str(folder)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "pip install 'wandb-workspaces" in line
