"""Repeats of a whole procedure: their seeds, how their rows become one, and what their intervals hold."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.repeats import rates
from study.comparison import compare, tables
from study.comparison.repeats import each
from study.design.recipes import RECIPES
from study.design.study import LARGEST_SEED, Study
from study.options import command_line, comparison
from study.options.keywords import ComparisonKeywords
from study.statistics.repeats import Design, difference_of_repeats
from tests.rows import answers, study

A_STUDY = Study("resnet", "mini", "resnet_mini", "digits", "a", Path("results"), RECIPES["fair"], seeds=5)


def run_seeds(one: Study) -> set[int]:
    return {one.search_seed, *one.replicate_seeds, *one.test_seeds}


# Their seeds


def test_the_first_repeat_is_the_study_itself_and_the_others_have_names_searches_and_splits_of_their_own() -> None:
    assert A_STUDY.repeat(0) is A_STUDY
    second = A_STUDY.repeat(1)
    assert (second.name, second.seed, second.split_seed) == ("a-repeat2", 1, 1)


@pytest.mark.parametrize("seed", [0, 7, LARGEST_SEED - 5])
def test_no_two_runs_of_repeats_have_a_seed_in_common(seed: int) -> None:
    repeats = [replace(A_STUDY, seed=seed + number) for number in range(3 if seed < 10 else 1)]
    seeds = [run_seeds(one) for one in repeats]
    assert sum(map(len, seeds)) == len(set().union(*seeds)) == len(repeats) * 11
    assert max(set().union(*seeds)) <= LARGEST_SEED


def test_a_record_of_the_first_protocol_keeps_its_seeds() -> None:
    old = replace(A_STUDY, protocol=1, seed=3)
    assert old.search_seed == 3
    assert old.replicate_seeds == old.test_seeds == [4, 5, 6, 7, 8]


def test_a_number_of_repeats_that_there_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="repeats must be 1 to 1000, got 0"):
        command_line.repeats(A_STUDY, 0)


def test_a_comparison_has_all_rows_of_a_repeat_before_the_next(tmp_path: Path) -> None:
    options = ComparisonKeywords(models=["resnet", "vit"], repeats=2, results=tmp_path, seed=4)
    plan = comparison.running(options, "mini")
    assert [(one.model, one.seed, one.split_seed) for one in plan.studies] == [
        ("resnet", 4, 0),
        ("vit", 4, 0),
        ("resnet", 5, 1),
        ("vit", 5, 1),
    ]
    assert len({one.name for one in plan.studies}) == 4


# Rows that become one


def rows(tmp_path: Path, model: str, accuracies: list[float], **data: object) -> list[Path]:
    return [
        study(
            tmp_path / str(seed),
            model,
            answers(accuracy, accuracy + 0.01, seed=10 * seed + len(model)),
            facts={"seed": seed, "split_seed": seed},
            **data,  # type: ignore[arg-type]
        )
        for seed, accuracy in enumerate(accuracies)
    ]


def test_rows_of_one_study_under_several_seeds_are_one_row_and_are_compared_over_them(tmp_path: Path) -> None:
    folders = [*rows(tmp_path, "vit", [0.70, 0.72, 0.74]), *rows(tmp_path, "resnet", [0.80, 0.90, 0.85])]
    compared = compare(folders)
    (group,) = compared.groups
    tables.write(compared, tmp_path, command="")
    (told,) = json.loads((tmp_path / "comparison.json").read_text())["groups"]
    assert [one["seed"] for one in told["rows"][0]["repeats"]] == [0, 1, 2]
    assert [row.name for row in group.rows] == ["resnet-none-insects", "vit-none-insects"]
    assert [(row.model, len(each(row)), len(row.seeds)) for row in group.rows] == [("resnet", 3, 6), ("vit", 3, 6)]
    assert group.rows[0].accuracy.mean == pytest.approx(0.855)
    (difference,) = group.differences.values()
    assert difference.repeats == 3
    assert difference.mean == pytest.approx(0.13)
    assert difference.again
    assert difference.again.low < 0.13 < difference.again.high
    # the repeats of resnet are further apart than its seeds: one of them alone is too sure
    alone = next(iter(compare([folders[0], folders[3]]).groups[0].differences.values()))
    assert alone.repeats == 1
    assert np.ptp(alone.interval) < np.ptp(difference.interval)


def test_the_same_study_twice_is_no_repeat(tmp_path: Path) -> None:
    copies = [study(tmp_path / name, "vit", answers(0.7, 0.72)) for name in "ab"]
    assert len(compare(copies).rows) == 2


def test_repeats_that_share_run_seeds_are_said(tmp_path: Path) -> None:
    notes = compare(rows(tmp_path, "vit", [0.7, 0.8])).notes
    assert any("repeats share run seeds (1, 2)" in note for note in notes)  # the records say seeds 1 and 2 of each


def test_rows_with_other_numbers_of_repeats_are_compared_by_the_fewer(tmp_path: Path) -> None:
    found = compare([*rows(tmp_path, "vit", [0.7]), *rows(tmp_path, "resnet", [0.8, 0.82])])
    (difference,) = found.groups[0].differences.values()
    assert difference.repeats == 1
    assert any("different numbers of repeats" in note for note in found.notes)


# What intervals over repeats hold


def test_a_repeat_that_is_far_from_the_others_is_named_and_more_repeats_are_asked_for(tmp_path: Path) -> None:
    steady = rows(tmp_path, "vit", [0.90, 0.90, 0.905, 0.90])
    [note] = [
        note
        for note in compare([*steady, *rows(tmp_path, "resnet", [0.80, 0.80, 0.60, 0.805])]).notes
        if "unstable" in note
    ]
    assert "a repeat with 60.5% among repeats from 60.5% to 81.0%" in note
    assert note.endswith("run it with more repeats (--repeats 10)")


def test_test_sets_that_overlap_count_as_often_as_they_do() -> None:
    same = Design.of([np.arange(100)] * 4, trained=400)
    apart = Design.of([np.arange(100) + 100 * i for i in range(4)], trained=400)
    assert same.same_images
    assert same.images_counted == pytest.approx(1.0)
    assert not apart.same_images
    assert apart.images_counted == pytest.approx(apart.test_over_train) == 0.25


@pytest.mark.parametrize("same_images", [True, False], ids=["one test set", "a test set for each"])
def test_of_equal_models_few_are_told_apart_and_intervals_hold_the_truth(same_images: bool) -> None:
    """The quick part of `python -m benchmarks.repeats`: docs/decisions.md has what all of it gives."""
    told_apart, covered, held = rates(360, 5, 0.003, same_images=same_images, studies=150)
    assert told_apart <= 0.08
    assert covered >= 0.9
    assert held >= 0.9


def test_repeats_without_any_spread_leave_the_images_part() -> None:
    a = [np.tile(np.arange(400) < 360, (2, 1))] * 3
    b = [np.tile(np.arange(400) < 300, (2, 1))] * 3
    found = difference_of_repeats(a, b, Design(True))
    assert found.established
    assert found.mean == pytest.approx(0.15)
    assert 0.1 < found.interval.low < 0.15 < found.interval.high < 0.2
