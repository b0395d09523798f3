"""Whether models are as often right as they say, and what none of them gets right."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from study.comparison import compare
from study.comparison.missed import missed
from study.statistics import confidence_of
from tests.rows import answers, study


def test_a_model_that_is_as_often_right_as_it_says_has_no_calibration_error() -> None:
    correct = np.arange(1000)[None] % 10 < 8
    assert confidence_of(correct, np.full((1, 1000), 0.8)).calibration_error == pytest.approx(0, abs=1e-9)
    assert confidence_of(correct, np.full((1, 1000), 0.95)).calibration_error == pytest.approx(0.15)


def test_bins_that_err_both_ways_do_not_cancel() -> None:
    confidence = np.repeat([0.5, 0.9], 500)[None]
    correct = np.repeat([True, False], 500)[None]
    assert confidence_of(correct, confidence).calibration_error == pytest.approx((0.5 + 0.9) / 2)


def test_the_likelihood_is_that_of_being_right_and_finite_where_a_model_was_sure_and_wrong() -> None:
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.2, 0.99, (2, 300))
    correct = draw.random((2, 300)) < confidence
    found = confidence_of(correct, confidence)
    assert found.log_likelihood == pytest.approx(log_loss(correct.ravel(), confidence.ravel()))
    assert np.isfinite(confidence_of(np.zeros((1, 5), bool), np.ones((1, 5))).log_likelihood)


def test_a_row_tells_how_sure_it_is(tmp_path: Path) -> None:
    (row,) = compare([study(tmp_path, "vit", answers(0.7, 0.7, 0.7))]).rows
    assert row.confidence is not None
    assert row.confidence.calibration_error == pytest.approx(0.2, abs=1e-6)  # all answers are 90 % sure


def test_images_that_no_row_gets_right_are_listed_by_how_much_the_rows_agree(tmp_path: Path) -> None:
    made = [study(tmp_path, model, answers(0.9, 0.9, 0.9, own=0.0)) for model in ("vit", "resnet")]
    comparison = compare(made)
    (group,) = comparison.groups
    found = missed(group)
    assert len(found) == 40
    assert all(one.share == 1 and one.answer != one.label for one in found)
    assert [one.index for one in found] == sorted(one.index for one in found)
    assert missed(compare(made[:1]).groups[0]) == []
