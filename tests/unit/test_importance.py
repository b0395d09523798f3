"""What mattered in a search, on synthetic searches of which that is known."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.results.edges import at_the_edge
from study.results.importance import LEAST_TRIALS, importance
from study.results.record import Record
from study.results.study_file import plain
from tests import records

Surface = Callable[[Mapping[str, float]], float]

SURFACES: dict[str, Surface] = {
    "lr": lambda p: 0.9 * float(np.exp(-((np.log10(p["lr"]) + 3) ** 2) / 3)),
    "weight_decay": lambda p: 0.9 - 0.1 * abs(float(np.log10(p["weight_decay"])) + 4),
    "freeze_depth": lambda p: 0.9 - 0.08 * p["freeze_depth"],
}


def searched(folder: Path, surface: Surface, trials: int, *, seed: int = 0, noise: float = 0.01) -> Record:
    """A search at random points; every third trial was pruned."""
    record = records.started(folder)
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(trials):
        point = {
            "lr": 10 ** draw.uniform(-5, -1),
            "weight_decay": 10 ** draw.uniform(-6, -1),
            "freeze_depth": int(draw.integers(0, 6)),
        }
        accuracy = surface(point) + draw.normal(0, noise)
        status = "pruned" if i % 3 == 2 else "completed"
        rows.append({"trial_id": f"trial-{i:03d}", "status": status, **point, "val_accuracy": accuracy})
    record.add(trials=rows)
    return record


@pytest.mark.parametrize("evaluator", LEAST_TRIALS)
@pytest.mark.parametrize("name", SURFACES)
def test_the_only_one_that_matters_is_the_most_important(name: str, evaluator: str, tmp_path: Path) -> None:
    record = searched(tmp_path, SURFACES[name], 40)
    found = importance(record, evaluator, shuffles=19 if evaluator == "ped-anova" else 0)
    assert found.shares is not None
    assert next(iter(found.shares)) == name
    assert found.shares[name] > 0.7
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.note == "40 trials with a validation accuracy, 13 of them pruned after fewer epochs"


def test_what_matters_is_told_from_what_does_not_by_chance(tmp_path: Path) -> None:
    """A search in which nothing matters has a most important hyperparameter too."""
    found = importance(searched(tmp_path / "lr", SURFACES["lr"], 40), shuffles=49)
    assert found.by_chance is not None
    assert found.by_chance["lr"] == 1 / 50
    assert min(found.by_chance["weight_decay"], found.by_chance["freeze_depth"]) > 0.1
    nothing = [
        importance(searched(tmp_path / str(seed), lambda p: 0.9, 40, seed=seed), shuffles=19) for seed in range(8)
    ]
    chances = [min(found.by_chance.values()) for found in nothing if found.by_chance]
    assert len(chances) == 8
    assert np.median(chances) > 0.05


@pytest.mark.parametrize(("evaluator", "least"), LEAST_TRIALS.items())
def test_too_few_trials_say_nothing_and_that_they_do(evaluator: str, least: int, tmp_path: Path) -> None:
    few = importance(searched(tmp_path / "few", SURFACES["lr"], least - 1), evaluator, shuffles=0)
    assert few.shares is None
    assert few.by_chance is None
    assert few.note.startswith(f"{least - 1} trials")
    assert few.note.endswith(f"{evaluator} needs at least {least}")
    enough = importance(searched(tmp_path / "enough", SURFACES["lr"], least), evaluator, shuffles=0)
    assert enough.shares is not None


@pytest.mark.parametrize("evaluator", LEAST_TRIALS)
def test_equal_accuracies_say_nothing(evaluator: str, tmp_path: Path) -> None:
    found = importance(searched(tmp_path, lambda p: 0.5, 30, noise=0), evaluator)
    assert found.shares is None
    assert "all have the same" in found.note


def test_failed_trials_points_outside_the_space_and_what_was_fixed_are_left_out(tmp_path: Path) -> None:
    record = searched(tmp_path, SURFACES["lr"], 30)
    record.add(
        trials=[
            {"trial_id": "trial-030", "status": "failed", "lr": 1.0, "weight_decay": 1e-3, "freeze_depth": 1},
            {**record.trials[0], "trial_id": "trial-031", "lr": 0.5},
        ]
    )
    space = {name: range for name, range in record.study.space.items() if name != "freeze_depth"}
    record.note(space=space)
    found = importance(record, shuffles=0)
    assert found.shares is not None
    assert set(found.shares) == {"lr", "weight_decay"}
    assert found.note.startswith("30 trials")


def test_an_unknown_evaluator_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown evaluator 'anova': choose one of fanova, ped-anova"):
        importance(searched(tmp_path, SURFACES["lr"], 3), "anova")


def test_a_choice_among_several_can_be_the_most_important(tmp_path: Path) -> None:
    record = records.started(tmp_path, records.Shape(space=records.EIGHT))
    draw = np.random.default_rng(0)
    record.replace(
        "trials",
        [
            {
                "trial_id": f"trial-{i:03d}",
                "status": "completed",
                **(point := {name: records.drawn(domain, draw) for name, domain in records.EIGHT.items()}),
                "val_accuracy": 0.5 + 0.3 * (point["schedule"] == "onecycle") + draw.normal(0, 0.01),
            }
            for i in range(60)
        ],
    )
    found = importance(record, shuffles=0)
    assert found.shares is not None
    assert next(iter(found.shares)) == "schedule"
    assert set(found.shares) == set(records.EIGHT)


def test_importance_is_by_the_metric_of_the_study(tmp_path: Path) -> None:
    """Validation loss depends on weight decay here, accuracy on the learning rate."""
    record = searched(tmp_path, SURFACES["lr"], 40)
    record.note(study=plain(record.configuration) | {"metric": "loss"})
    record.replace("trials", [{**row, "val_loss": 1 - SURFACES["weight_decay"](row)} for row in record.trials])
    found = importance(record, shuffles=0)
    assert found.shares is not None
    assert next(iter(found.shares)) == "weight_decay"
    assert found.note.startswith("40 trials with a validation loss")


SPACE: dict[str, dict[str, Any]] = {
    "lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "weight_decay": {"low": 0.0, "high": 0.2, "log": False},
    "freeze_depth": {"low": 0, "high": 8, "log": False},
}


@pytest.mark.parametrize(
    ("lr", "weight_decay", "freeze_depth", "edges"),
    [
        (1e-3, 0.1, 4, []),
        (0.07, 0.1, 4, ["learning rate 7.0e-02 is at the upper edge"]),  # log10 0.07 = -1.15: 4 % of four decades
        (0.06, 0.1, 4, []),  # log10 0.06 = -1.22: 5.5 %
        (1.5e-5, 0.1, 4, ["learning rate 1.5e-05 is at the lower edge"]),
        (1e-3, 0.195, 4, ["weight decay 2.0e-01 is at the upper edge"]),
        (1e-3, 0.0, 4, []),  # nothing is below 0
        (1e-3, 0.1, 0, []),
        (1e-3, 0.1, 8, []),  # all of it
        (1e-1, 0.2, 8, ["learning rate 1.0e-01 is", "weight decay 2.0e-01 is"]),
    ],
)
def test_a_winner_at_the_edge_of_its_range_is_said_to_be(
    lr: float, weight_decay: float, freeze_depth: int, edges: list[str]
) -> None:
    winner = {"lr": lr, "weight_decay": weight_decay, "freeze_depth": freeze_depth}
    found = at_the_edge(winner, SPACE, backbone_stages=8)
    assert len(found) == len(edges)
    for sentence, words in zip(found, edges, strict=True):
        assert words in sentence
        assert "widen that range" in sentence


def test_a_depth_that_was_not_searched_to_its_end_has_an_edge() -> None:
    winner = {"lr": 1e-3, "weight_decay": 0.1, "freeze_depth": 8}
    [sentence] = at_the_edge(winner, SPACE, backbone_stages=12)
    assert "freeze depth 8 is at the upper edge of what was searched, 0 to 8" in sentence


def test_a_choice_has_no_edge() -> None:
    space: dict[str, dict[str, Any]] = {
        "schedule": {"choices": ["cosine", "step"]},
        "label_smoothing": {"low": 0.0, "high": 0.2, "log": False},
    }
    winner = {"schedule": "step", "label_smoothing": 0.199}
    [sentence] = at_the_edge(winner, space, backbone_stages=8)
    assert "label smoothing 0.199 is at the upper edge of what was searched, 0 to 0.2" in sentence
