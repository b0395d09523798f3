"""How accuracy depends on the amount of data: curves, crossings and sentences by hand; which runs that takes."""

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from study.data import named
from study.data.splits import DatasetSplits, split, subset
from study.data_efficiency import plan
from study.data_efficiency.plan import MOST_EPOCHS, Amount, Planned, epochs
from study.data_efficiency.summary import summary
from study.design.recipes import RECIPES
from study.design.study import Study
from study.results import data_efficiency as table
from study.results.data_efficiency import Measured
from study.results.record import write_table
from study.statistics import Curve, accuracy_interval, compared, crossings, curve, images_needed
from study.statistics.comparison import difference
from study.statistics.data_efficiency import Answers
from trainables.run import Model, Run

IMAGES = 400


def runs(accuracy: float, runs: int = 5) -> np.ndarray:
    """That share of right answers in every run, not on quite the same images."""
    return np.stack([np.roll(np.arange(IMAGES) < round(accuracy * IMAGES), 5 * run) for run in range(runs)])


def answers(accuracies: dict[float, float]) -> Answers:
    return {n: runs(accuracy) for n, accuracy in accuracies.items()}


def line(*accuracies: float) -> Curve:
    """A curve over 1, 10, 100... images per class, with a band of 5 points on either side."""
    values = np.array(accuracies)
    amounts = 10.0 ** np.arange(len(values))
    return Curve(amounts, values, values - 0.05, values + 0.05, np.full(len(values), 3))


# Curves


def test_a_curve_has_the_interval_of_its_runs_at_every_amount_the_fewest_images_first() -> None:
    points = curve({50: runs(0.9, 3), 1: runs(0.4, 2)})
    assert points.images_per_class.tolist() == [1, 50]
    assert points.accuracy.tolist() == pytest.approx([0.4, 0.9])
    assert points.runs.tolist() == [2, 3]
    assert (points.low[1], points.high[1]) == accuracy_interval(runs(0.9, 3))


@pytest.mark.parametrize(
    ("accuracy", "images"),
    [(0.6, 10**0.5), (0.7, 10), (0.8, 10**1.5), (0.9, 100), (0.91, None), (0.5, 1), (0.3, 1)],
)
def test_images_needed_are_interpolated_in_their_logarithm(accuracy: float, images: float | None) -> None:
    assert images_needed(line(0.5, 0.7, 0.9), accuracy).images_per_class == pytest.approx(images)


def test_an_accuracy_that_is_lost_again_is_not_reached_before_it_is_kept() -> None:
    assert images_needed(line(0.5, 0.8, 0.6, 0.8), 0.7).images_per_class == pytest.approx(10**2.5)
    assert images_needed(line(0.5, 0.8, 0.6), 0.7).images_per_class is None


def test_the_band_of_images_needed_is_where_the_curves_band_reaches_the_accuracy() -> None:
    needed = images_needed(line(0.5, 0.7, 0.9), 0.8)
    assert needed.fewest == pytest.approx(10**1.25)
    assert needed.most == pytest.approx(10**1.75)
    assert images_needed(line(0.5, 0.7, 0.9), 0.88).most is None


# Crossings


def test_a_crossing_lies_where_the_means_meet_between_amounts_where_the_order_is_found() -> None:
    resnet = answers({1: 0.7, 10: 0.8, 100: 0.8})
    vit = answers({1: 0.4, 10: 0.7, 100: 0.95})
    (one,) = crossings(compared({"vit": vit, "resnet": resnet}))
    assert (one.before, one.after, one.low, one.high) == ("resnet", "vit", 10, 100)
    assert one.images_per_class == pytest.approx(10 ** (1 + 0.1 / (0.1 + 0.15)))


def test_means_that_meet_where_no_order_is_found_do_not_cross() -> None:
    resnet = answers({1: 0.7, 10: 0.8, 100: 0.8})
    vit = answers({1: 0.4, 10: 0.7, 100: 0.805})
    compared_at = compared({"vit": vit, "resnet": resnet})
    assert compared_at["vit", "resnet", 100].mean > 0
    assert crossings(compared_at) == []


def test_single_runs_show_no_crossing() -> None:
    first: Answers = {1: runs(0.2, 1), 9: runs(0.9, 1)}
    second: Answers = {1: runs(0.9, 1), 9: runs(0.2, 1)}
    assert crossings(compared({"a": first, "b": second})) == []


def test_where_curves_meet_several_times_between_two_amounts_that_differ_it_is_in_the_middle() -> None:
    a = answers({1: 0.4, 2: 0.805, 4: 0.8, 8: 0.9})
    b = answers({1: 0.7, 2: 0.8, 4: 0.805, 8: 0.7})
    (one,) = crossings(compared({"a": a, "b": b}))
    assert (one.low, one.high) == (1, 8)
    assert one.images_per_class == pytest.approx(2**1.5)


def test_p_is_adjusted_by_holm_over_all_pairs_and_common_amounts() -> None:
    curves = {
        "a": answers({1: 0.5, 10: 0.8}),
        "b": answers({1: 0.52, 10: 0.85, 100: 0.9}),
        "c": answers({10: 0.83, 100: 0.93}),
    }
    seen = compared(curves)
    assert list(seen) == [("a", "b", 1), ("a", "b", 10), ("a", "c", 10), ("b", "c", 10), ("b", "c", 100)]
    alone = [difference(curves[a][n], curves[b][n]).p for a, b, n in seen]
    assert [one.p_adjusted for one in seen.values()] == pytest.approx(multipletests(alone, method="holm")[1].tolist())


# The runs


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return split(named.load("digits"))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study("resnet", "mini", "resnet_mini", "digits", "a", tmp_path, RECIPES["fair"], seeds=2)


WINNER = {"lr": 1e-3, "weight_decay": 1e-2, "freeze_depth": 3, "last_epoch": 5}


def test_the_amounts_are_a_ladder_up_to_the_smallest_class_and_everything(splits: DatasetSplits) -> None:
    smallest = np.bincount(splits.source.labels[splits.train]).min()
    assert 100 <= smallest < 200
    seen = plan.amounts(splits, None)
    assert [one.images_per_class for one in seen] == [1, 2, 5, 10, 20, 50, 100, None]
    assert [one.images for one in seen] == [10, 20, 50, 100, 200, 500, 1000, len(splits.train)]


def test_amounts_that_are_asked_for_come_once_and_in_order(splits: DatasetSplits) -> None:
    assert plan.amounts(splits, [None, 7, 3, 7]) == [Amount(3, 30), Amount(7, 70), Amount(None, len(splits.train))]


def test_all_images_of_equal_classes_are_everything(splits: DatasetSplits) -> None:
    equal = subset(splits, images_per_class=50)
    assert equal.chosen is not None
    balanced = DatasetSplits(splits.source, splits.train[equal.chosen], splits.val, splits.test)
    assert [one.images_per_class for one in plan.amounts(balanced, None)] == [1, 2, 5, 10, 20, None]


def test_a_larger_part_holds_every_smaller_one_and_another_seed_draws_another(
    splits: DatasetSplits, study: Study
) -> None:
    parts = splits.digests()
    hyperparameters = study.point({})
    model = Model("resnet", "mini", "resnet_mini", 10)
    template = Run("", model, hyperparameters, study.recipe, 0, parts)
    drawn: dict[tuple[int | None, int], Any] = {}
    for one in plan.plan(study, plan.amounts(splits, [2, 5, None]), [0]):
        run = plan.run(one, study, splits, WINNER, template)
        assert run.split_digests["train"].content == parts["train"].content
        assert run.split_digests["val"].chosen is run.split_digests["test"].chosen is None
        drawn[one.amount.images_per_class, one.seed] = run.split_digests["train"].chosen
    for seed in study.test_seeds:
        small, large = drawn[2, seed], drawn[5, seed]
        assert set(small) < set(large)
        assert np.bincount(splits.source.labels[splits.train[large]]).tolist() == [5] * 10
        assert drawn[None, seed] is None
    first, second = study.test_seeds
    assert drawn[2, first].tolist() != drawn[2, second].tolist()


@pytest.mark.parametrize("images", [10, 50, 64, 65, 200, 1000, 1077])
def test_a_part_takes_as_many_steps_as_all_images_unless_that_is_too_many_epochs(images: int) -> None:
    schedule, last = epochs(10, 5, batch_size=64, images=images, of=1077)
    steps = schedule * ceil(images / 64)
    assert schedule == MOST_EPOCHS or abs(steps - 170) <= ceil(images / 64) / 2
    assert (schedule == MOST_EPOCHS) == (images <= 64)
    assert abs(last - schedule / 2) <= 0.5


def test_no_part_gets_fewer_epochs_than_the_study() -> None:
    assert epochs(300, 20, batch_size=64, images=10, of=1077) == (300, 20)
    assert epochs(4, 3, batch_size=64, images=1077, of=1077) == (4, 3)


def test_freeze_depths_are_numbers_or_named(study: Study) -> None:
    assert plan.depths(["winner"], study, WINNER) == [3]
    assert plan.depths(["all", "0", "winner", "5"], study, WINNER) == [0, 3, 5]
    for wrong in ("6", "-1", "half"):
        with pytest.raises(ValueError, match=f"winner, all, or 0 to 5, got '{wrong}'"):
            plan.depths([wrong], study, WINNER)


def test_a_runs_name_says_what_it_is() -> None:
    assert Planned(Amount(5, 50), 2, 1).run_id == "data_efficiency-5-depth2-seed1"
    assert Planned(Amount(None, 1077), 2, 1).run_id == "data_efficiency-all-depth2-seed1"


# The table


ROW = {"run_id": "data_efficiency-5-depth2-seed1", "images_per_class": 5, "status": "completed", "correct": [True]}


def test_a_table_of_the_former_name_is_read_and_replaced_by_one_of_the_new_name(tmp_path: Path) -> None:
    former = {**ROW, "run_id": "requirements-5-depth2-seed1"}
    write_table(tmp_path, "requirements", table.SCHEMA, [former])
    (row,) = table.read(tmp_path)
    assert row["run_id"] == Planned(Amount(5, 50), 2, 1).run_id
    assert row["correct"] == [True]
    table.write(tmp_path, [row, {**ROW, "run_id": "another"}])
    assert [path.name for path in tmp_path.iterdir()] == ["data_efficiency.parquet"]
    assert [one["run_id"] for one in table.read(tmp_path)] == [row["run_id"], "another"]


def test_a_study_without_a_table_has_no_rows(tmp_path: Path) -> None:
    assert table.read(tmp_path) == []


# Sentences


def measured(
    name: str, by_depth: dict[int, dict[float, float]], *, images: str = "same", runs_each: int = 5
) -> Measured:
    """Of 10 classes; the winner's depth is 0."""
    rows = [
        {
            "images_per_class": n,
            "images": int(n * 10),
            "freeze_depth": depth,
            "seed": seed,
            "epochs": 10,
            "correct": correct.tolist(),
        }
        for depth, accuracies in by_depth.items()
        for n, accuracy in accuracies.items()
        for seed, correct in enumerate(runs(accuracy, runs_each))
    ]
    return Measured(name, images, 10, 0, 5, rows, [])


RESNET = measured("resnet", {0: {1: 0.7, 10: 0.8, 100: 0.8}})
VIT = measured("vit", {0: {1: 0.4, 10: 0.7, 100: 0.95}})


def test_the_summary_names_who_overtakes_whom_and_where() -> None:
    text = summary([RESNET, VIT])
    assert "vit overtakes resnet at about 25 images per class (found to be worse at 10, better at 100)" in text
    assert "resnet is better than vit at 1 and 10 images per class" in text
    assert "vit is better than resnet at 100 images per class" in text


def test_the_summary_says_how_many_images_an_accuracy_takes() -> None:
    text = summary([VIT])
    assert "vit reaches 50% with 2.15 images per class" in text
    assert "vit does not stay at 98% with these images; its best is 95.00%" in text
    assert "overtakes" not in text


def test_studies_of_other_images_are_not_compared() -> None:
    assert "Compared" not in summary([RESNET, replace(VIT, images="others")])


def test_equal_curves_are_said_to_be_no_different() -> None:
    text = summary([RESNET, replace(RESNET, name="twin")])
    assert "resnet and twin: no difference is found at 1, 10 and 100 images per class" in text
    assert "overtakes" not in text


def test_the_summary_names_the_best_freeze_depth_at_every_amount() -> None:
    text = summary([measured("vit", {0: {1: 0.3, 100: 0.95}, 3: {1: 0.5, 100: 0.9}, 5: {1: 0.495, 100: 0.6}})])
    assert "     1  freeze depth 3 has the best mean, 50.00%; 5 is not found to be worse" in text
    assert "   100  freeze depth 0 has the best mean, 95.00%\n" in text
    assert "freeze depth 0 overtakes 3 at about" in text
    assert "freeze depth 3 overtakes" not in text


def test_the_band_of_single_runs_is_said_to_cover_images_only() -> None:
    assert "covers the test images" in summary([measured("vit", {0: {1: 0.5}}, runs_each=1)])
    assert "covers the test images" not in summary([VIT])


def test_failed_runs_are_in_the_summary_with_their_reason() -> None:
    failed = [{"reason": "the training loss is nan in epoch 1"}]
    said = "vit: 1 run failed: the training loss is nan in epoch 1"
    assert said in summary([replace(VIT, failed=failed)])
    assert summary([replace(VIT, completed=[], failed=failed)]) == said
