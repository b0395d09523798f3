"""What is printed while a study runs and at its end names what was searched and fixed, and shows the study's metric."""

import io
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from study.design.states import Phase
from study.results.pace import Pace
from study.results.record import Record
from study.terminal import live
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


def running(*, rows: int = 24) -> tuple[Terminal, list[str]]:
    """A terminal in the middle of a search, and the lines that it draws."""
    terminal = Terminal(quiet=False)
    pace = Pace(epochs=4, at_a_time=2)
    terminal.begin(Metric.ACCURACY)
    terminal.expect(pace, lambda: {Phase.SEARCH: 9, Phase.REPLICATE: 2, Phase.TEST: 2})
    with terminal.phase(Phase.SEARCH, 5):
        for name in ("trial-000", "trial-001", "trial-002"):
            terminal.began(name)
        pace.add(Phase.SEARCH, {"status": "completed", "total_seconds": 8.0}, [])
        terminal.finished("trial-000", "a run", 0.9, completed=True)
        epoch = {"epoch": 1, "train_loss": 0.5, "val_accuracy": 0.8, "seconds": 2.0, "train_seconds": 1.0}
        terminal.epoch("trial-001", epoch, epochs=4, images=1000)
        gpu = {"id": "a", "busy": 0.5, "used": 1e9, "total": 8e9}
        terminal.told({"run_id": "trial-001", "epoch": 0, "training": 1, "resident": 5e8, "gpu": gpu})  # from before
        terminal.told({"run_id": "trial-002", "storing": "100 images after stem", "resident": 1e9})
        terminal.told({"run_id": "trial-000", "epoch": 4})  # which has ended
        lines = [line.plain for line in terminal.scene.lines(rows)]
    return terminal, lines


def test_a_terminal_shows_what_each_run_does_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    terminal, (step, first, second, times, memory) = running()
    assert step == f"search 1/5 {'━' * 24} best 90.00% trial-000"
    assert first.startswith("trial-001  epoch 1/4  loss 0.5000  accuracy 80.00%  1,000 images/s  ")
    assert second.startswith("trial-002  stores 100 images after stem  ")
    # a trial takes 8 s: 4 are left but for a quarter of one, two at a time; then 2 replicates and 2 tests
    assert times.endswith("left: 15 s of the search, 31 s of the study")
    assert "GB (1.0 GB of runs), GPU 50% busy, 1.0 of 8.0 GB" in memory
    assert not terminal.scene.running
    assert capsys.readouterr().out == "search 1/5, best 90.00%, 16 s left  trial-000: a run\n"


def test_no_more_lines_are_drawn_than_a_low_terminal_has() -> None:
    _, lines = running(rows=6)
    assert len(lines) == 5
    assert lines[2] == "and 1 more"


def test_before_the_first_run_it_says_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=False)
    terminal.about("row 1 of 2: ViT", after=None)
    terminal.doing("starting Ray")
    title, doing, *_ = (line.plain for line in terminal.scene.lines(24))
    assert title == "row 1 of 2: ViT"
    assert doing.startswith("starting Ray  ")
    assert capsys.readouterr().out == ""  # where nothing is drawn, as in a pipe


@pytest.mark.parametrize(("width", "rows"), [(40, 3), (20, 5), (19, 7), (10, 9)])
def test_lines_are_found_again_after_a_terminal_has_become_narrower(width: int, rows: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=40, height=24)
    drawn = live.Redrawn(Text("x" * 40 + "\n" + "y" * 5 + "\n" + "z" * 40), console)
    console.print(drawn)
    console.width = width
    drawn.position_cursor()
    assert drawn.last_render_height == rows


def test_a_simple_terminal_gets_lines_as_a_file_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal(quiet=False)
    terminal.console = Console(force_terminal=True)
    with terminal.shown("starting Ray"):
        assert not terminal.draws
        terminal.say("a line")
    assert capsys.readouterr().out == "a line\n"


IN_A_TERMINAL = """
import os, sys
from study.cluster import noise
from study.terminal.opening import opened

noise.may_hush = True
with opened(quiet=False) as terminal:
    terminal.doing("starting Ray")
    noise.hush()
    terminal.say("a line that stays")
    print("to the errors", file=sys.stderr)
    os.write(2, b"from a library in C")
print("said after it", file=sys.stderr)
"""


def test_what_is_drawn_is_gone_at_the_end_and_everything_said_is_there() -> None:
    there, here = pty.openpty()
    with (
        os.fdopen(there, "rb") as screen,
        subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL],
            stdin=here,
            stdout=here,
            stderr=here,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        ) as process,
    ):
        os.close(here)
        written = b""
        with suppress(OSError):  # as Linux says that nobody has the other end any more
            while some := screen.read1(1 << 16):
                written += some
    assert process.returncode == 0
    text = written.decode()
    for said in ("starting Ray", "a line that stays", "to the errors"):
        assert said in text
    assert "from a library in C" not in text
    hidden, shown = text.rindex("\x1b[?25l"), text.rindex("\x1b[?25h")
    assert hidden < shown
    assert text[shown:].endswith("said after it\r\n")
    erased = text[shown:].count("\x1b[2K")
    assert erased == text[:shown].rpartition("starting Ray")[2].count("\r\n") >= 2  # each line of the last frame
