"""Which trials are replicated: by value where both have been, those that were stopped early included."""

from dataclasses import replace
from pathlib import Path

import pytest

from study.design.recipes import RECIPES
from study.design.study import Study
from study.execution.candidates import candidates, eligible, wins
from study.execution.search import Rungs
from study.results.record import Record

A_STUDY = Study("resnet", "mini", "resnet_mini", "digits", "a", Path("unused"), RECIPES["fair"], top_k=2)


def record(folder: Path, *curves: list[float], epochs: int = 4) -> Record:
    """Of trials with these validation accuracies; those of fewer epochs were stopped."""
    made = Record(folder)
    for number, curve in enumerate(curves):
        name = f"trial-{number:03d}"
        status = "completed" if len(curve) == epochs else "pruned"
        rows = [{"run_id": name, "epoch": i + 1, "val_accuracy": value} for i, value in enumerate(curve)]
        point = {"lr": 1e-3 * (number + 1), "weight_decay": 0.01, "freeze_depth": 1}
        made.add(trials=[{"trial_id": name, "status": status, "val_accuracy": max(curve), **point}], curves=rows)
    return made


def test_a_stopped_trial_that_was_ahead_where_both_have_been_comes_first(tmp_path: Path) -> None:
    made = record(tmp_path, [0.2, 0.3, 0.7, 0.786], [0.5, 0.903], [0.1, 0.2], [0.4, 0.6, 0.8, 0.95])
    names = [row["trial_id"] for row in eligible(A_STUDY, made)]
    assert names == ["trial-001", "trial-003", "trial-000", "trial-002"]
    old = replace(A_STUDY, protocol=1)
    assert [row["trial_id"] for row in eligible(old, made)] == ["trial-003", "trial-000"]


def test_the_starting_point_is_a_candidate_wherever_it_stands(tmp_path: Path) -> None:
    made = record(tmp_path, [0.1], [0.5, 0.6, 0.7, 0.8], [0.4, 0.6, 0.8, 0.9])
    assert [row["trial_id"] for row in candidates(A_STUDY, made)] == ["trial-002", "trial-001", "trial-000"]


def test_wins_are_counted_at_the_last_epoch_that_both_have_reached() -> None:
    assert wins({"a": [0.1, 0.9], "b": [0.2], "c": [0.1]}) == {"a": 0.5, "b": 2.0, "c": 0.5}


@pytest.mark.parametrize("fewest", [1, 3])
def test_no_trial_is_stopped_before_enough_others_have_reached_the_rung(fewest: int) -> None:
    rungs = Rungs(2, 10, 3, fewest=fewest)

    class Trial:
        def __init__(self, name: str) -> None:
            self.trial_id = name

    said = [rungs.on_result(Trial(str(n)), 2, 1.0 - 0.1 * n) for n in range(5)]  # type: ignore[arg-type]
    assert said == ["CONTINUE"] * fewest + ["STOP"] * (5 - fewest)
