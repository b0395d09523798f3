"""A record of format 1 is read, gone on with and compared as one of today: tests/old_records says how it was made."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.comparison import compare
from study.report import study as report
from study.results import point
from study.results.record import TABLES, Record
from study.results.recorded import study_of
from study.results.resume import check_same
from study.results.study_file import FORMAT, upgraded
from trainables.hyperparameters import DECLARED, REQUIRED
from trainables.metrics import Metric

NAME = "alexnet-fashion60k-digits"
ORIGINAL = Path(__file__).parents[1] / "old_records" / NAME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ORIGINAL, tmp_path / NAME))


def content(folder: Path) -> Any:
    return json.loads((folder / "study.json").read_text())


def test_it_is_of_an_earlier_format(folder: Path) -> None:
    assert content(folder)["format"] < FORMAT


def test_what_it_does_not_say_is_what_was_always_so(folder: Path) -> None:
    record = Record(folder)
    assert record.configuration.metric is Metric.ACCURACY
    assert record.configuration.recipe["mixup"] == 0
    assert record.configuration.recipe["head_first_share"] == 0
    assert record.winner["score"] == record.winner["val_accuracy"] == content(folder)["winner"]["val_accuracy"]
    assert all(row["scores"] == row["val_accuracies"] for row in record.study.replicates)


def test_a_replicated_point_has_every_hyperparameter(folder: Path) -> None:
    record = Record(folder)
    before = content(folder)["winner"]
    assert {name: record.winner[name] for name in REQUIRED} == {name: before[name] for name in REQUIRED}
    assert {name: record.winner[name] for name in DECLARED if name not in REQUIRED} == {
        name: value for name, value in record.configuration.recipe.items() if name in DECLARED
    }


def test_a_column_that_a_table_is_too_old_to_have_is_empty(folder: Path) -> None:
    record = Record(folder)
    for name, schema in TABLES.items():
        assert all(set(row) >= set(schema.names) for row in record.tables[name])
    assert {row["mixup"] for row in record.trials} == {None}
    assert {row["val_macro_f1"] for row in record.curves} == {None}


def test_its_trials_are_points_of_the_study_that_it_is_of(folder: Path) -> None:
    record = Record(folder)
    study = study_of(record)
    for row in record.trials:
        trained = study.point_of(row)
        assert trained.lr == row["lr"]
        assert trained.label_smoothing == 0.1  # the recipe's, which every trial had


def test_a_head_first_phase_is_two_hyperparameters_now(folder: Path) -> None:
    before = content(folder)
    before["study"]["recipe"]["head_first"] = {"share": 0.25, "lr_scale": 0.1}
    recipe = upgraded(before)["study"]["recipe"]
    assert (recipe["head_first_share"], recipe["head_first_lr_scale"]) == (0.25, 0.1)
    assert "head_first" not in recipe


def test_it_is_gone_on_with_by_the_same_options(folder: Path) -> None:
    record = Record(folder)
    check_same(study_of(record), record.study, tested=True)


@pytest.mark.parametrize(("name", "value"), [("metric", Metric.LOSS), ("trials", 4), ("seed", 1)])
def test_it_is_not_gone_on_with_by_others(name: str, value: Any, folder: Path) -> None:
    record = Record(folder)
    with pytest.raises(ValueError, match=rf"has {name} \w+, not {value}"):
        check_same(replace(study_of(record), **{name: value}), record.study, tested=True)


def test_writing_to_it_makes_it_one_of_today(folder: Path) -> None:
    before = Record(folder)
    before.note(seconds={"search": 1.0})
    after = Record(folder)
    assert content(folder)["format"] == FORMAT
    assert after.configuration == before.configuration
    assert after.winner == before.winner


def test_it_is_compared_with_one_of_today(folder: Path) -> None:
    today = Path(shutil.copytree(folder, folder.parent / "today"))
    Record(today).note(study={**content(folder)["study"], **upgraded(content(folder))["study"], "name": "today"})
    comparison = compare([folder, today])
    assert len(comparison.rows) == 2
    assert comparison.unequal == ()


def test_its_page_shows_what_it_searched(folder: Path) -> None:
    assert point.shown(Record(folder)) == ["lr", "weight_decay", "freeze_depth"]
    assert "65.1" in report.render(Record(folder))
