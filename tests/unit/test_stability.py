"""Models whose seeds differ too much for few of them are named, and no others."""

import numpy as np

from study.statistics.stability import Seeds, unstable


def test_a_bad_seed_is_named() -> None:
    models = {"good": Seeds((0.901, 0.903, 0.899), 2000), "bad": Seeds((0.902, 0.900, 0.85), 2000)}
    assert unstable(models) == {"bad": "a seed with 85.0% among seeds from 85.0% to 90.2%"}


def test_seeds_that_few_images_drive_apart_are_no_instability() -> None:
    assert unstable({"a": Seeds((0.90, 0.93, 0.93), 100), "b": Seeds((0.91, 0.92, 0.90), 100)}) == {}


def test_a_spread_unlike_the_others_is_named() -> None:
    still = {f"still{i}": Seeds((0.900, 0.901, 0.902), 10_000) for i in range(4)}
    found = unstable({**still, "wild": Seeds((0.88, 0.90, 0.92), 10_000)})
    assert found == {"wild": "seeds from 88.0% to 92.0%, further apart than the other rows'"}


def test_seeds_alike_one_seed_and_a_spread_that_is_small_are_no_instability() -> None:
    assert unstable({"a": Seeds((0.9, 0.9, 0.9), 1000), "b": Seeds((0.9, 0.901, 0.902), 1000)}) == {}
    assert unstable({"a": Seeds((0.5,), 1000), "b": Seeds((0.9, 0.901), 1000)}) == {}


def test_stable_models_are_rarely_flagged_and_a_model_with_many_bad_seeds_mostly_is() -> None:
    draw = np.random.default_rng(0)
    flagged = {"stable": 0, "bad": 0}
    for _ in range(300):
        models = {name: Seeds(tuple(draw.normal(0.9, 0.003, 5)), 6000) for name in ("a", "b", "c")}
        flagged["stable"] += bool(unstable(models))
        models["c"] = Seeds(tuple(np.where([True, False, False, False, False], 0.86, models["c"].accuracies)), 6000)
        flagged["bad"] += "c" in unstable(models)
    assert flagged["stable"] < 15
    assert flagged["bad"] > 270
