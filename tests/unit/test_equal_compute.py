"""The comparison at equal compute: what a smaller search falls short of is taken off."""

from pathlib import Path

import numpy as np
import pytest

from study.comparison import compare
from study.comparison.by_budget import by_budget, spread_of_mean
from study.comparison.equal_compute import equal_compute, short_of, words
from study.comparison.groups import Group
from study.results.record import Record
from tests.rows import answers, study


def group(folder: Path, *, slow: float) -> Group:
    """Two rows whose validation accuracies are 0.7 and 0.8; each trial of the ViT takes `slow` times as long."""
    folders = [
        study(folder, "vit", answers(0.85, 0.86, 0.84, seed=1)),
        study(folder, "resnet", answers(0.80, 0.81, 0.79, seed=2)),
    ]
    record = Record(folders[0])
    record.replace("trials", [{**row, "total_seconds": slow * row["total_seconds"]} for row in record.trials])
    record.write_tables()
    return compare(folders).groups[0]


def test_equal_trials_of_equal_cost_change_nothing(tmp_path: Path) -> None:
    here = group(tmp_path, slow=1)
    found = equal_compute(here, "device_seconds")
    assert found is not None
    assert found.trials == {"vit-none-insects": 4.0, "resnet-none-insects": 4.0}
    assert found.accuracy["vit-none-insects"] == here.rows[0].accuracy.mean
    pair = "vit-none-insects", "resnet-none-insects"
    before = here.differences[pair].interval
    assert tuple(found.differences[pair].interval) == pytest.approx(tuple(before), abs=1e-3)  # two images less


def test_a_model_whose_trials_take_longer_has_fewer_and_falls_short_by_what_they_would_have_missed(
    tmp_path: Path,
) -> None:
    found = equal_compute(here := group(tmp_path, slow=4), "device_seconds")
    assert found is not None
    assert found.budget == 20
    assert found.trials["vit-none-insects"] == 1
    # of validation accuracies 0.5, 0.7 and 0.8 the best of three draws is 0.7556 expected, and one draw is 0.6667
    best, one = (0.5 + 0.7 * 7 + 0.8 * 19) / 27, 2 / 3
    assert found.accuracy["vit-none-insects"] == pytest.approx(0.85 - (best - one), abs=1e-4)
    assert found.order() == ["resnet-none-insects", "vit-none-insects"]
    assert "with 20 device-seconds of search for each: ResNet" in words(here)


def test_what_trials_cost_is_not_known_of_every_record(tmp_path: Path) -> None:
    assert equal_compute(group(tmp_path, slow=1), "training_flops") is None  # these records have no cost


def test_test_accuracy_by_budget_ends_at_what_was_tested_and_begins_with_one_trial(tmp_path: Path) -> None:
    here = group(tmp_path, slow=4)
    slow, fast = (by_budget(row, "device_seconds") for row in here.rows)
    assert slow is not None
    assert fast is not None
    assert slow.accuracy[-1] == here.rows[0].accuracy.mean
    assert (slow.low[-1], slow.high[-1]) == pytest.approx(tuple(here.rows[0].accuracy.interval))
    assert (np.diff(slow.accuracy) >= 0).all()
    assert (slow.trials[0], slow.trials[-1]) == pytest.approx((1, 4))
    assert np.allclose(slow.budget, 4 * fast.budget)
    # at what both searches can have, the slow one falls short by what `equal_compute` says
    found = equal_compute(here, "device_seconds")
    assert found is not None
    at = np.interp(np.log(found.budget), np.log(slow.budget), slow.accuracy)
    assert at == pytest.approx(found.accuracy["vit-none-insects"], abs=0.01)
    assert by_budget(here.rows[0], "training_flops") is None


def test_what_is_taken_off_widens_the_interval_where_it_varies_between_repeats() -> None:
    assert spread_of_mean(np.array([[0.1], [0.2]])).tolist() == [0, 0]  # one repeat tells nothing of it
    alike, apart = spread_of_mean(np.array([[0.1, 0.1, 0.1], [0.0, 0.1, 0.2]]))
    assert alike == pytest.approx(0)
    assert apart == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)


def test_a_budget_for_all_trials_leaves_nothing_short(tmp_path: Path) -> None:
    row = group(tmp_path, slow=1).rows[0]
    assert short_of(row, [5.0] * 4, 20.0) == (4.0, 0.0)
    assert 0 < short_of(row, [5.0] * 4, 10.0)[1] < short_of(row, [5.0] * 4, 5.0)[1]
    assert np.isfinite(short_of(row, [5.0] * 4, 0.1)[1])
