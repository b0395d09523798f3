"""What is printed while a study runs and at its end names what was searched and fixed, and shows the study's metric."""

from pathlib import Path

import pytest

from study.results.record import Record
from study.terminal.progress import Terminal
from study.terminal.runs import format_run
from study.terminal.summary import summary
from tests.records import EIGHT, Shape, as_format_1, finished
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

SEEDS = 2


def line(record: Record, label: str) -> str:
    return next(text for text in summary(record).splitlines() if text.strip().startswith(label))


def test_a_run_is_told_by_what_was_searched_and_fixed() -> None:
    row = {"lr": 1e-3, "schedule": "step", "trained_share": 0.25, "val_accuracy": 0.9, "status": "completed"}
    assert format_run(row, ["lr", "schedule"], Metric.ACCURACY) == (
        "learning rate 1.0e-03  schedule step  trains 25.0%  90.00% validation accuracy"
    )


@pytest.mark.parametrize(
    ("row", "end"),
    [
        ({"status": "pruned", "epochs": 2, "val_loss": 0.25}, "0.2500 validation loss, pruned at epoch 2"),
        ({"status": "failed", "reason": "NotFinite: nan"}, "failed: NotFinite: nan"),
        ({"status": "completed", "val_loss": None, "test_accuracy": 0.5}, "50.00% test accuracy"),
    ],
)
def test_a_run_is_told_how_it_ended(row: dict[str, object], end: str) -> None:
    assert format_run({"lr": 1e-3, **row}, ["lr"], Metric.LOSS).endswith(end)


def test_the_best_so_far_by_loss_is_the_smallest(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=False, metric=Metric.LOSS)
    with terminal.phase("search", 3):
        for score, completed in ((0.5, True), (0.7, True), (0.1, False)):
            terminal.finished("trial", "a run", score, completed=completed)
    assert "3/3, best 0.5000" in capsys.readouterr().out


def test_the_screen_at_the_end_names_everything_that_was_searched(tmp_path: Path) -> None:
    record = finished(tmp_path, Shape(space=EIGHT, seeds=SEEDS))
    winner = line(record, "winner")
    for name in EIGHT:
        assert f"{DECLARED[name].title} {DECLARED[name].format(record.winner[name])}" in winner


@pytest.mark.parametrize("metric", list(Metric))
def test_the_screen_at_the_end_compares_the_winner_and_the_papers_recipe_by_the_metric(
    metric: Metric, tmp_path: Path
) -> None:
    record = finished(tmp_path, Shape(seeds=SEEDS, metric=metric))
    winner, paper = record.winner, record.study.paper or {}
    validation = line(record, "validation")
    assert f"{metric.words} {metric.show(winner['score'])} the winner (mean of 2 seeds)" in validation
    assert f"{metric.show(paper['score'])} the start" in validation
    headline = summary(record).splitlines()[0]
    assert f"test accuracy {record.test.accuracy:.2%}" in headline
    others = {Metric.MACRO_F1: record.test.macro_f1, Metric.MEAN_CLASS_ACCURACY: record.test.mean_class_accuracy}
    told = [other.words for other, value in others.items() if f"test {other.words} {value:.2%}" in headline]
    assert told == ([metric.words] if metric in others else [])


def test_a_record_from_before_there_was_a_metric_is_summed_up_by_accuracy(tmp_path: Path) -> None:
    record = as_format_1(finished(tmp_path, Shape(seeds=SEEDS)))
    assert f"accuracy {record.winner['val_accuracy']:.2%} the winner" in line(record, "validation")
