"""A study that searches every hyperparameter, from a file: what is recorded is what was trained."""

import json
from collections import Counter
from typing import Any

import pyarrow.parquet as pq
import pytest

from study.results.record import Record
from study.run import main
from tests import wandb_stand_in
from trainables import architecture
from trainables.hyperparameters import DECLARED, Hyperparameter
from trainables.metrics import COLUMNS

MODEL = "vit"  # it has dropout and stochastic depth
STAGES = architecture.get(MODEL).variant("mini").backbone_stages


def line(declared: Hyperparameter) -> str:
    """A line of a space for any hyperparameter, with values that a run of one epoch can be trained with."""
    if declared.choices:
        return f"{declared.name} = {{ choices = {json.dumps(declared.choices[:2])} }}"
    if declared.kind is int:
        return f"{declared.name} = {{ low = 1, high = {STAGES} }}"
    return f"{declared.name} = {{ low = 0.25, high = 0.75, log = false }}"


@pytest.fixture(scope="module")
def record(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Record:
    results = tmp_path_factory.mktemp("results")
    space = results / "every.toml"
    lines = [line(declared) for declared in DECLARED.values() if declared.name != "batch_size"]
    space.write_text("\n".join([*lines, "batch_size = { choices = [48, 64] }", ""]))
    budget = ["--trials", "3", "--epochs", "2", "--top-k", "2", "--seeds", "1", "--train-fraction", "0.3"]
    given = ["--model", MODEL, "--space", str(space), "--name", "every", "--results", str(results)]
    given += ["--early-stopping", "none"]
    assert main([*given, *budget, "--wandb", "offline", "--metric", "mean_class_accuracy"]) == 0
    return Record(results / "every")


def values_of(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in DECLARED}


@pytest.mark.parametrize("table", ["trials", "runs"])
def test_every_hyperparameter_and_metric_is_a_column_with_a_value(record: Record, table: str) -> None:
    rows = pq.read_table(record.folder / f"{table}.parquet").to_pylist()
    drawn = [row for row in rows if row["trial_id"] != "trial-000"]
    assert drawn
    for name in DECLARED:
        assert all(row[name] is not None for row in drawn), name
    for name in COLUMNS:
        assert all(row[name] is not None for row in rows if row.get("phase") not in ("test", "start")), name


def test_replicates_and_tests_train_with_the_values_of_their_trial(record: Record) -> None:
    trials = {row["trial_id"]: values_of(row) for row in record.trials}
    assert {row["phase"] for row in record.runs} - {"start"} == {"replicate", "test"}
    for row in record.runs:
        assert values_of(row) == trials[row["trial_id"]]


def test_the_best_models_config_has_the_winners_values(record: Record) -> None:
    winner = json.loads((record.folder / "study.json").read_text())["winner"]["trial_id"]
    config = json.loads((record.folder / "best" / "config.json").read_text())
    [trial] = [row for row in record.trials if row["trial_id"] == winner]
    assert config["hyperparameters"] == values_of(trial)


def test_wandb_is_told_every_value_of_every_run(record: Record) -> None:
    written = [wandb_stand_in.read(path) for path in record.folder.glob("wandb/offline-run-*/run-*.wandb")]
    written = [one for one in written if one.run.job_type != "result"]
    rows = [*record.trials, *record.runs]
    assert len(written) == len(rows)
    told = [tuple(one.config.get(name) for name in DECLARED) for one in written]
    assert Counter(told) == Counter(tuple(values_of(row).values()) for row in rows)


def test_what_was_searched_is_recorded_whole(record: Record) -> None:
    facts = json.loads((record.folder / "study.json").read_text())
    assert facts["space"].keys() == DECLARED.keys()
    assert facts["space"]["batch_size"] == {"choices": [48, 64]}
    assert facts["space"]["mixup"] == {"low": 0.25, "high": 0.75, "log": False}
    assert facts["study"]["metric"] == "mean_class_accuracy"


def test_the_page_shows_what_was_searched(record: Record) -> None:
    page = (record.folder / "report.html").read_text(encoding="utf-8")
    for declared in DECLARED.values():
        assert declared.title in page.lower().replace("&#39;", "'") or declared.title in page, declared.name
