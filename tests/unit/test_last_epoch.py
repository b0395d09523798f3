"""After how many epochs a test run stops, by the curves of the winner's replicates."""

import pytest

from study.execution.last_epoch import best_of_smoothed, last_as_good, median_of_best, smoothed, whole_schedule

PLATEAU = [[0.5, 0.8, 0.9, 0.91, 0.9, 0.92, 0.9, 0.91], [0.5, 0.79, 0.91, 0.9, 0.92, 0.9, 0.91, 0.9]]
OVERFITS = [[0.5, 0.8, 0.9, 0.95, 0.9, 0.8, 0.7, 0.6], [0.5, 0.81, 0.9, 0.94, 0.89, 0.8, 0.71, 0.6]]


def test_on_a_plateau_the_last_epoch_is_as_good_as_any() -> None:
    assert last_as_good(PLATEAU) == whole_schedule(PLATEAU) == 8
    assert median_of_best(PLATEAU) == 5


def test_where_a_model_overfits_it_is_the_top() -> None:
    assert best_of_smoothed(OVERFITS) == last_as_good(OVERFITS) == 4
    assert whole_schedule(OVERFITS) == 8


def test_one_replicate_has_no_error_and_its_smoothed_top_is_taken() -> None:
    assert last_as_good([OVERFITS[0]]) == best_of_smoothed([OVERFITS[0]]) == 4


def test_a_value_is_the_mean_over_replicates_of_it_and_its_neighbours() -> None:
    assert smoothed([[0.0, 3.0, 6.0], [2.0, 5.0, 8.0]]).tolist() == pytest.approx([2.5, 4.0, 5.5])
    assert smoothed([[1.0]]).tolist() == [1.0]


def test_a_smaller_loss_is_a_larger_merit() -> None:
    assert last_as_good([[-3.0, -1.0, -2.0, -9.0]]) == 2
