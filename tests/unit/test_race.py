"""The race itself, on answers that are drawn: who is dropped and why, what the budget does, what a choice may cost."""

import numpy as np
import pytest

from study.baselines.left_out import left_out
from study.selection import regret
from study.selection.evidence import gaps, holm
from study.selection.race import Measured, Race, Rules
from study.selection.subsets import nested, sizes
from tests.races import SIZES, Drawn, ran

CLASSES = 5
FIELD = {"best": 0.9, "near": 0.89, "middle": 0.7, "low": 0.5, "lowest": 0.2}


def test_an_order_is_nested_and_every_prefix_is_stratified() -> None:
    labels = np.repeat(np.arange(CLASSES), [400, 300, 200, 80, 20])
    order = nested(labels, seed=1)
    assert sorted(order) == list(range(1000))
    for size in (50, 100, 333):
        counts = np.bincount(labels[order[:size]], minlength=CLASSES)
        assert np.abs(counts - size * np.array([0.4, 0.3, 0.2, 0.08, 0.02])).max() <= 1
    assert (nested(labels, seed=2) != order).any()


def test_sizes_double_up_to_all_images() -> None:
    assert sizes(1077, 10) == (33, 67, 134, 269, 538, 1077)
    assert sizes(1077, 100) == (538, 1077)
    assert sizes(50, 10) == (50,)


@pytest.mark.parametrize("width", [8, 60])  # fewer and more features than images
def test_an_image_left_out_in_closed_form_is_predicted_as_by_a_fit_without_it(width: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    features = rng.normal(size=(40, width)) + 0.8 * np.eye(3, width)[labels]
    groups = np.arange(40) // 2
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    y = np.eye(3)[labels]
    for together in (None, groups):
        for penalty in (1e-2, 1.0):
            right = []
            for i in range(40):
                others = np.arange(40) != i if together is None else together != together[i]
                mean = x[others].mean(axis=0)
                inner = (x[others] - mean).T @ (x[others] - mean) + 40 * penalty * np.eye(width)
                weights = np.linalg.solve(inner, (x[others] - mean).T @ (y[others] - y[others].mean(axis=0)))
                right.append(((x[i] - mean) @ weights + y[others].mean(axis=0)).argmax() == labels[i])
            found = left_out(features, labels, 3, groups=together, penalties=[penalty])
            assert found.correct.tolist() == right
            assert found.penalty == penalty


def test_the_penalty_is_the_one_whose_right_classes_are_furthest_ahead() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 80)
    features = rng.normal(size=(80, 200))
    features[:, 0] += 2.0 * labels
    each = {p: left_out(features, labels, 2, penalties=[p]).smoothed for p in (1e-6, 1e-1, 10.0)}
    found = left_out(features, labels, 2, penalties=list(each))
    assert found.smoothed == max(each.values()) == each[found.penalty]


def test_of_two_with_as_many_right_images_the_surer_one_is_ahead() -> None:
    labels = np.arange(60) % 2
    noise = np.random.default_rng(3).normal(size=(60, 1))
    near, far = (left_out(2 * labels[:, None] - 1 + spread * noise, labels, 2) for spread in (0.3, 0.1))
    assert near.accuracy == far.accuracy == 1
    assert near.smoothed < far.smoothed
    close = [Measured(one.correct, 1.0, smoothed=one.smoothed) for one in (near, far)]
    begun = Race(["near", "far"], Rules((60,), 1e9), measured={"near": close[:1], "far": close[1:]})
    assert begun.leader == "far"


def test_images_of_a_group_do_not_predict_each_other() -> None:
    rng = np.random.default_rng(2)
    features = np.repeat(rng.normal(size=(40, 60)), 2, axis=0)  # copies of images without meaning
    labels = np.repeat(rng.integers(0, 2, 40), 2)
    groups = np.repeat(np.arange(40), 2)
    assert left_out(features, labels, 2).accuracy > 0.9
    assert left_out(features, labels, 2, groups=groups).accuracy < 0.75


def test_holm_multiplies_the_smallest_by_all_and_never_comes_down_again() -> None:
    assert holm(np.array([0.03, 0.01, 0.04, 0.6])) == pytest.approx([0.09, 0.04, 0.09, 0.6])


def test_the_interval_of_a_gap_is_that_of_the_paired_difference() -> None:
    from study.statistics.comparison import difference

    rng = np.random.default_rng(3)
    leader, other = rng.random(300) < 0.8, rng.random(300) < 0.7
    found = gaps(leader, {"other": other}, allowed=0.0)["other"]
    pair = difference(leader[None], other[None])
    assert found.mean == pytest.approx(pair.mean)
    assert found.interval == pytest.approx(pair.interval)
    assert 2 * found.p == pytest.approx(pair.p, rel=1e-4)  # one side


def test_who_is_clearly_behind_is_dropped_early_and_who_is_near_is_not() -> None:
    found = ran(Drawn(FIELD, SIZES, seed=1))
    assert found.leader in {"best", "near"}
    assert set(found.alive) == {"best", "near"}
    assert found.dropped["lowest"].round == 0
    assert found.dropped["low"].round <= found.dropped["middle"].round
    assert found.rounds("near") == len(SIZES)
    for dropped in found.dropped.values():
        assert dropped.gap.p < found.rules.level
        assert dropped.gap.mean > dropped.gap.allowed


def test_a_gap_within_the_margin_of_the_doublings_to_come_drops_nobody() -> None:
    closing = {"late": 0.07}  # as much more with each doubling
    field = {"early": 0.8, "late": 0.55}
    patient = ran(Drawn(field, SIZES, slopes=closing), margin=0.08)
    assert patient.leader == "late"
    hasty = ran(Drawn(field, SIZES, slopes=closing), margin=0.0)
    assert "late" in hasty.dropped


def test_equals_are_measured_on_all_images_and_kept_together() -> None:
    found = ran(Drawn(dict.fromkeys(("a", "b", "c"), 0.8), SIZES))
    assert {found.rounds(name) for name in "abc"} == {len(SIZES)}
    assert set(found.kept(5)) == {"a", "b", "c"}
    assert len(found.kept(2)) == 2


def test_who_is_left_alone_is_not_measured_further() -> None:
    found = ran(Drawn({"good": 0.95, "bad": 0.1}, SIZES))
    assert found.alive == ["good"]
    assert found.rounds("good") == 1


def test_a_budget_is_kept_and_whoever_it_did_not_suffice_for_waits() -> None:
    names = [f"m{i}" for i in range(40)]
    found = ran(Drawn(dict.fromkeys(names, 0.8), SIZES, per_image=dict.fromkeys(names, 0.01)), budget=10.0)
    assert found.seconds <= 10.0
    assert found.waiting
    assert found.furthest >= 2  # the first round has its share, and no more


def test_what_is_left_of_the_budget_is_for_those_who_wait() -> None:
    names = [f"m{i:02}" for i in range(30)]
    accuracies = dict.fromkeys(names, 0.2) | {"m00": 0.7, "m29": 0.9}
    found = ran(Drawn(accuracies, SIZES, per_image=dict.fromkeys(names, 0.001)), budget=3.0)
    assert not found.waiting
    assert found.leader == "m29"


def test_one_that_cannot_be_measured_is_named_with_the_reason_and_the_race_goes_on() -> None:
    found = ran(Drawn(FIELD, SIZES, broken=frozenset({"near"})))
    assert found.failed == {"near": "it does not fit"}
    assert found.leader == "best"


def test_a_candidate_without_an_answer_yet_is_expected_to_cost_what_its_hint_says() -> None:
    begun = Race(["a", "b"], Rules(SIZES, 10.0), hints={"a": 1.0, "b": 4.0})
    assert begun.expected("b", 0) == 0.0
    begun.measured["a"] = [Measured(np.ones(64, bool), 0.5)]
    assert begun.expected("b", 0) == pytest.approx(2.0)
    assert begun.expected("a", 2) == pytest.approx(0.5 / 64 * 128)


def test_the_best_is_seldom_dropped() -> None:
    """Twelve candidates within six points: of 100 races, the best is dropped in few."""
    field = {f"m{i}": 0.80 + 0.005 * i for i in range(12)}
    lost = sum("m11" in ran(Drawn(field, (64, 128, 256), seed=seed), margin=0.0).dropped for seed in range(100))
    assert lost <= 5


def test_regret_is_small_for_a_clear_winner_and_about_right_for_a_wrong_choice() -> None:
    found = ran(Drawn({"good": 0.9, "bad": 0.5, "worse": 0.3}, SIZES))
    sure = regret.expected(found, "good")
    assert sure.mean < 0.001
    assert sure.best > 0.99
    both = ran(Drawn({"good": 0.9, "fair": 0.885}, SIZES), margin=0.0)
    behind = next(name for name in both.measured if name != both.leader)
    wrong = regret.expected(both, behind)
    assert wrong.mean == pytest.approx(both.gap(behind).mean, abs=0.005)
    assert wrong.high > wrong.mean


def test_regret_grows_where_a_race_stopped_early() -> None:
    field = dict.fromkeys(("a", "b", "c", "d"), 0.8)
    whole, short = ran(Drawn(field, SIZES)), ran(Drawn(field, SIZES, per_image=dict.fromkeys(field, 0.01)), budget=7.0)
    assert short.furthest < whole.furthest
    at = [sum(regret.expected(one, name).mean for name in field) for one in (whole, short)]
    assert at[0] < at[1]
