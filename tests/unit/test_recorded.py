"""A study comes back from its record whole."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.data.source import DatasetRequest
from study.design.recipes import RECIPES
from study.design.space import Choices, Range, Space
from study.design.study import Study
from study.results.record import Record
from study.results.recorded import study_of
from study.results.resume import check_same
from trainables.architecture import MINI_INPUT
from trainables.metrics import Metric

SPACE: Space = {
    "lr": Range(1e-4, 1e-2, log=True),
    "batch_size": Choices((32, 64)),
    "augmentation": Choices(("none", "flip")),
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study("resnet", "mini", "resnet_mini", "digits", "a", tmp_path, RECIPES["fair"])


def recorded(study: Study) -> Record:
    """A record as a study of it begins."""
    study.folder.mkdir()
    record = Record(study.folder)
    record.note(study=study.facts(), space={name: domain.facts() for name, domain in study.space.items()})
    return Record(study.folder)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"trials": 3, "seeds": 2, "top_k": 1, "seed": 7, "early_stopping": "none", "precision": "fp32"},
        {"fixed": {"freeze_depth": 2, "mixup": 0.2}},
        {"table": SPACE, "metric": Metric.MACRO_F1},
        {"table": SPACE, "fixed": {"lr": 1e-3}},
        {"grad_accum": 4},
        {"compile": True},
        {"workers_per_trial": 2, "sync_batchnorm": True},
        {"preprocessing": replace(MINI_INPUT, interpolation="bicubic", mean=(0.3, 0.3, 0.3))},
        {"recipe": replace(RECIPES["fair"].with_settings(schedule="step"), name="own", milestones=(0.4,), epochs=3)},
        {"train_fraction": 0.5},
        {"images_per_class": 20},
        {"request": DatasetRequest(duplicates="keep", settings={"image": "picture"})},
    ],
)
def test_a_study_is_what_it_was(given: dict[str, Any], study: Study) -> None:
    one = replace(study, **given)
    again = study_of(recorded(one))
    assert again.facts() == one.facts()
    assert again.space == one.space
    assert again.folder == one.folder.resolve()
    assert (again.preprocessing, again.grad_accum, again.request) == (one.preprocessing, one.grad_accum, one.request)
    check_same(again, Record(one.folder).study, tested=True)


def test_a_folder_that_was_renamed_is_said_to_be(study: Study) -> None:
    recorded(study).folder.rename(study.results / "b")
    with pytest.raises(ValueError, match="was recorded as 'a': give the folder that name again"):
        study_of(Record(study.results / "b"))


def test_a_folder_without_a_study_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no study"):
        study_of(Record(tmp_path))


def test_another_space_is_another_study(study: Study) -> None:
    record = recorded(study)
    with pytest.raises(ValueError, match=r"has space\."):
        check_same(replace(study, table=SPACE), record.study, tested=False)
    with pytest.raises(ValueError, match=r"has space\.lr\.high 0\.03, not 0\.1"):
        check_same(replace(study, table={**study.space, "lr": Range(1e-5, 0.1, log=True)}), record.study, tested=False)


def test_more_trials_are_welcome_until_the_test_set_was_seen(study: Study) -> None:
    record = recorded(study)
    more = replace(study, trials=study.trials + 1)
    check_same(more, record.study, tested=False)
    with pytest.raises(ValueError, match="and its test set has been seen"):
        check_same(more, record.study, tested=True)
