"""How long the rest of a study will take."""

import pytest

from study.design.states import Phase
from study.results.pace import Pace
from study.results.record import Row

EPOCHS = 10


def ran(
    seconds: float, *, beside: float = 0.0, status: str = "completed", epochs: int = EPOCHS
) -> tuple[Row, list[Row]]:
    curve: list[Row] = [{"seconds": seconds / epochs}] * epochs
    return {"status": status, "total_seconds": seconds + beside}, curve


def pace(*runs: tuple[Row, list[Row]], at_a_time: int = 1) -> Pace:
    found = Pace(EPOCHS, at_a_time, more_images=1.5)
    for row, curve in runs:
        found.add(Phase.SEARCH, row, curve)
    return found


def test_nothing_is_known_before_an_epoch() -> None:
    found = pace()
    assert found.left({Phase.SEARCH: 3}) is None
    assert found.left({}) == 0
    found.epoch(2.0)
    assert found.left({Phase.SEARCH: 3}) == 60


def test_what_the_first_run_stores_for_all_others_is_no_part_of_the_pace() -> None:
    assert pace(ran(10, beside=300), ran(10, beside=1), ran(10, beside=1)).left({Phase.SEARCH: 2}) == pytest.approx(22)


def test_trials_may_be_stopped_and_replicates_are_not() -> None:
    found = pace(ran(10), ran(2, status="pruned", epochs=2), ran(0, status="failed"))
    assert found.left({Phase.SEARCH: 2}) == pytest.approx(12)
    assert found.left({Phase.REPLICATE: 2}) == pytest.approx(20)
    assert found.left({Phase.TEST: 2}) == pytest.approx(30)  # on validation, too


def test_a_step_is_known_by_its_own_runs() -> None:
    found = pace(ran(10))
    found.add(Phase.TEST, *ran(40))
    assert found.left({Phase.TEST: 1}) == found.left({Phase.START: 1}) == pytest.approx(40)


def test_runs_side_by_side_take_as_long_as_the_longest() -> None:
    found = pace(ran(10), at_a_time=4)
    assert found.left({Phase.SEARCH: 8, Phase.REPLICATE: 1}) == pytest.approx(20 + 10)
    assert found.left({Phase.SEARCH: 0.5}) == pytest.approx(5)  # the rest of one that is under way
    assert found.rounds(Phase.SEARCH, 5) == pytest.approx(20)
