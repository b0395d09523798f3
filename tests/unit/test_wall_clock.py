"""A budget of wall clock: what fits is run, the result comes in any case, and what was left out is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.design.recipes import FAIR
from study.design.states import Phase
from study.design.study import Study
from study.execution import wall_clock
from study.execution.wall_clock import WallClock
from study.results import left_out
from study.results.pace import Pace
from study.results.record import Record
from tests import records

RUN = 10.0  # seconds of every run of these tests, one at a time
EPOCHS = 10
SEEDS = 3


class Run:
    """Of a planned run, what the clock looks at."""

    def __init__(self, seed: int) -> None:
        self.seed = seed


def planned(phase: str, points: int, seeds: int = SEEDS) -> dict[str, tuple[Any, Any]]:
    return {
        f"{phase}-{point}-seed{seed}": ({"trial_id": f"trial-{point:03d}"}, Run(seed))
        for point in range(points)
        for seed in range(1, seeds + 1)
    }


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(wall_clock, "monotonic", lambda: now[0])
    return now


def clock(folder: Path, time: list[float], *, seconds: float, spent: float = 0.0, trials: int = 1) -> WallClock:
    """Of a study whose trials so far took RUN seconds each."""
    time[0] = 0.0
    study = Study(
        model="resnet",
        scale="mini",
        variant="resnet_mini",
        dataset="digits",
        name="mine",
        results=folder,
        recipe=replace(FAIR, epochs=EPOCHS),
        seeds=SEEDS,
        hours=seconds / 3600,
    )
    record = records.started(study.folder, records.Shape(seeds=SEEDS))
    pace = Pace(EPOCHS)
    for number in range(trials):
        row = {"trial_id": f"trial-{number:03d}", "status": "completed", "total_seconds": RUN}
        pace.add(Phase.SEARCH, row, [])
        record.add(trials=[row])
    found = WallClock.of(study, record, pace)
    found.before = 0.0
    time[0] = spent
    return found


def test_the_search_leaves_time_for_replicates_and_tests(tmp_path: Path, time: list[float]) -> None:
    # 4 points with 3 seeds, 3 tests of the winner and of the start: 180 s, and a tenth more
    one = clock(tmp_path, time, seconds=1000)
    assert one.for_the_search == pytest.approx(1000 - 198)
    time[0] = 791
    assert one.another_trial_fits()
    time[0] = 793
    assert not one.another_trial_fits()
    assert one.another_epoch_fits()
    time[0] = 802
    assert not one.another_epoch_fits()


def test_the_search_has_half_of_a_budget_that_is_too_small_for_all(tmp_path: Path, time: list[float]) -> None:
    one = clock(tmp_path, time, seconds=100, spent=30)
    assert one.for_the_search == 20
    assert clock(tmp_path, time, seconds=100, trials=0).another_trial_fits()  # of which nothing is known yet


@pytest.mark.parametrize(
    ("left", "done"),
    [
        (250, [4, 8, 12]),  # all
        (95, [4]),  # 40 s of replicates, then 20 s of tests with one seed; not as much again with two
        (58, [3]),  # the starting point is left out first
        (1, [1]),  # one in any case
    ],
)
def test_replicates_come_a_seed_at_a_time_while_the_tests_fit(
    left: float, done: list[int], tmp_path: Path, time: list[float]
) -> None:
    one = clock(tmp_path, time, seconds=1000, spent=1000 - left)
    all_of_them = planned("replicate", 4)
    numbers = []
    for runs in one.replicates(all_of_them):
        numbers.append(len(runs))
        fresh = [name for name in runs if name not in one.done]
        one.record.add(runs=[{"run_id": name, "phase": "replicate", "status": "completed"} for name in fresh])
        time[0] += RUN * len(fresh)
    assert numbers == done
    assert one.left_out.get(Phase.REPLICATE, 0) == 12 - done[-1]
    assert one.record.study.budget is not None
    assert one.record.study.budget.left_out == one.left_out


def test_the_winner_is_tested_before_the_start_and_once_in_any_case(tmp_path: Path, time: list[float]) -> None:
    tests, start = planned("test", 1), planned("start", 1)
    assert len(clock(tmp_path / "a", time, seconds=100, spent=69).tests(tests)) == 3
    assert len(clock(tmp_path / "b", time, seconds=100, spent=75).tests(tests)) == 2
    late = clock(tmp_path / "c", time, seconds=100, spent=170)
    assert len(late.tests(tests)) == 1
    late.record.add(runs=[{"run_id": "test-0-seed1", "phase": "test", "seed": 1, "status": "completed"}])
    assert late.start_tests(start) == {}
    assert left_out.sentence(late.record) == (
        "0.0277778 h of wall clock, and 1 min 10 s more than that: what a result takes at least; "
        "left out: 2 test runs and the tests of the starting point"
    )
    late.limit = 1000
    assert [run.seed for _, run in late.start_tests(start).values()] == [1]  # as many as the winner has


def test_after_a_test_nothing_before_it_becomes_another(tmp_path: Path, time: list[float]) -> None:
    one = clock(tmp_path, time, seconds=1000)
    one.record.add(
        runs=[
            {"run_id": "replicate-0-seed1", "phase": "replicate", "status": "completed"},
            {"run_id": "test-0-seed1", "phase": "test", "status": "completed"},
        ]
    )
    assert one.searched
    assert list(one.replicates(planned("replicate", 2))) == []
    assert one.left_out[Phase.REPLICATE] == 5


def test_another_session_goes_on_with_what_is_left(tmp_path: Path, time: list[float]) -> None:
    first = clock(tmp_path, time, seconds=1000, spent=400)
    first.end_search()
    first.record.note(seconds={"startup": 50.0, "search": 400.0})
    again = WallClock.of(first.study, Record(first.record.folder), Pace(EPOCHS))
    assert again.left == pytest.approx(600)  # starting is no part of it
    assert again.searched
    more = WallClock.of(replace(first.study, hours=1.0), Record(first.record.folder), Pace(EPOCHS))
    assert not more.searched


def test_without_a_budget_everything_fits_and_nothing_is_noted(tmp_path: Path, time: list[float]) -> None:
    one = clock(tmp_path, time, seconds=1)
    free = WallClock.of(replace(one.study, hours=None), Record(one.record.folder), one.pace)
    time[0] = 1e9
    assert free.another_trial_fits()
    assert list(free.replicates(all_of_them := planned("replicate", 4))) == [all_of_them]
    assert free.tests(all_of_them) == free.start_tests(all_of_them) == all_of_them
    free.end_search()
    assert free.record.study.budget is None
    assert left_out.sentence(free.record) == ""


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf")])
def test_a_budget_is_a_number_of_hours(hours: float, tmp_path: Path, time: list[float]) -> None:
    with pytest.raises(ValueError, match="hours must be above 0, got"):
        clock(tmp_path, time, seconds=3600 * hours)
