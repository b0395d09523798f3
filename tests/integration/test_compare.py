"""A comparison from the command line: interrupted, gone on with, finished, read again; and mistakes in it."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from study.compare import main
from study.options import comparison
from study.results import corruptions
from study.results.record import Record, read_table
from tests.rows import answers, study

ROWS = ["--models", "resnet", "alexnet", "--pretraining", "none", "in1k", "--scale", "mini", "--datasets", "digits"]
BUDGET = ["--trials", "2", "--epochs", "1", "--top-k", "1", "--seeds", "2", "--fix", "freeze_depth=all"]
BUDGET += ["--fix", "batch_size=256"]  # few steps, and so few epochs of a few images
COMPARISON = [*ROWS, *BUDGET, "--max-concurrent", "1", "--wandb", "disabled"]
FILES = ("study.json", "trials.parquet", "runs.parquet", "curves.parquet", "predictions.parquet")

Captured = pytest.CaptureFixture[str]


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """A thread that acts once, as soon as something is so."""

    def watch() -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if condition():
                act()
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def test_a_comparison_that_is_interrupted_goes_on_skips_what_is_done_and_is_read_again(
    ray_session: None, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "compare-digits"
    first, second = folder / "resnet-none-digits", folder / "alexnet-none-digits"
    command = [*COMPARISON, "--results", str(tmp_path)]

    watcher = when((second / "trials.parquet").exists, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(command) == 130
    watcher.join()
    told = capsys.readouterr()
    assert "row 1 of 2: ResNet from scratch on digits" in told.out
    assert "row 2 of 2: AlexNet from scratch on digits, about" in told.out
    assert "interrupted; go on with: python -m study.compare --models resnet alexnet" in told.err
    assert Record(second).study.status == "interrupted"
    done, kept = content(first), Record(second).trials

    assert main([*command, "--quiet", "--data-efficiency", "1", "4", "--corruptions"]) == 0
    said = capsys.readouterr().out
    assert content(first) == done
    for row in (first, second):
        assert {one["images_per_class"] for one in read_table(row, "data_efficiency")} == {1, 4}
    assert "resnet-none-digits and alexnet-none-digits" in said or "is better than" in said
    assert [row for row in Record(second).trials if row["trial_id"] in {one["trial_id"] for one in kept}] == kept
    assert Record(second).study.status == "finished"
    for name in ("ResNet from scratch", "AlexNet from scratch", "on digits, 360 test images"):
        assert name in said
    assert "left out: ResNet in1k on digits: there are no in1k weights of it at scale mini" in said
    assert "UNEQUAL" not in said
    found = json.loads((folder / "comparison.json").read_text())
    assert {row["name"] for row in found["groups"][0]["rows"]} == {first.name, second.name}
    assert found["unequal"] == []
    assert all("under-trained" in note or "looked at" in note for note in found["notes"])
    page = (folder / "report.html").read_text()
    assert "ridge regression on the frozen features" in page
    assert "Who is ahead with how many images per class" in page
    for place in (first, second):
        [probed] = json.loads((place / "probe.json").read_text())["probes"]
        assert 0.5 < probed["accuracy"] < 1
        bare, *others = corruptions.read(place).values()
        assert bare[0] == pytest.approx(Record(place).test.accuracies[0])
        assert [[*one] for one in others] == [[1, 2, 3]] * 7
    assert found["command"].startswith("python -m study.compare --models resnet alexnet")

    both = content(first), content(second)
    assert main(command) == 0
    assert (content(first), content(second)) == both
    assert "row 1" not in capsys.readouterr().out

    fitted = [json.loads((place / "probe.json").read_text())["probes"][0]["accuracy"] for place in (first, second)]
    (first / "probe.json").write_text("{")
    (second / "probe.parquet").unlink()
    assert main([*command, "--quiet"]) == 0
    assert [json.loads((place / "probe.json").read_text())["probes"][0]["accuracy"] for place in (first, second)] == (
        fitted
    )
    assert (second / "probe.parquet").exists()
    found = json.loads((folder / "comparison.json").read_text())

    assert main(["--from", str(folder), "--results", str(tmp_path), "--name", "again"]) == 0
    again = json.loads((tmp_path / "again" / "comparison.json").read_text())
    assert again["groups"] == found["groups"]

    other = [word if word != "2" else "3" for word in command]
    assert main(other) == 2
    assert "has trials 2, not 3, and its test set has been seen" in capsys.readouterr().err


def test_a_row_that_cannot_be_run_ends_nothing_but_itself(
    ray_session: None, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that only a network has, and none is allowed: the row that is done already is reported."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    study(tmp_path / "mine", "vit", answers(0.9, 0.9))
    command = ["--models", "resnet", "--pretraining", "in1k", "--scale", "paper", "--offline", "--name", "mine"]
    assert main([*command, "--results", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "ViT from scratch is the only row on insects" in told.out
    assert "left out: resnet-in1k-digits: " in told.out
    assert "model.safetensors of huggingface.co/timm/resnet50.tv_in1k" in told.out
    assert told.err.startswith("resnet-in1k-digits failed: ")
    assert not (tmp_path / "mine" / "resnet-in1k-digits").exists()


def test_a_disk_that_is_full_costs_the_row_and_not_the_comparison(
    ray_session: None, tmp_path: Path, capsys: Captured
) -> None:
    row = study(tmp_path / "mine", "vit", answers(0.9, 0.9)).parent / "resnet-none-digits"
    row.mkdir()
    (row / ".record.journal.part").symlink_to("/dev/full")
    what = ["--models", "resnet", "--pretraining", "none", "--scale", "mini", "--name", "mine"]
    assert main([*what, *BUDGET, "--wandb", "disabled", "--results", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "ViT from scratch is the only row on insects" in told.out
    assert (
        f"left out: resnet-none-digits: {row / 'record.journal'} cannot be written (No space left on device" in told.out
    )
    assert Record(row).study.test is None


# Reading only


def test_records_are_read_and_compared_without_ray(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    made = study(tmp_path / "a", "vit", answers(0.9, 0.9)), study(tmp_path / "b", "resnet", answers(0.8, 0.8))
    before = [content(folder) for folder in made]
    assert main(["--from", *map(str, made), "--results", str(tmp_path / "out")]) == 0
    assert "ViT from scratch ranks first alone on insects" in capsys.readouterr().out
    assert (tmp_path / "out" / "comparison" / "comparison.tex").exists()
    assert [content(folder) for folder in made] == before


def test_records_none_of_which_is_finished_are_each_given_with_the_reason(tmp_path: Path, capsys: Captured) -> None:
    folder = study(tmp_path / "a", "vit", answers(0.9, 0.9))
    Record(folder).note(status="running")
    assert main(["--from", str(folder), "--results", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert said.startswith(
        "No study is finished: there is nothing to compare.\n\nleft out: vit-none-insects: it is not"
    )
    assert "comparison.csv" not in said
    assert not (tmp_path / "out").exists()


# Mistakes

MISTAKES = {
    "an unknown model": (["--models", "resnet", "vti"], ["unknown model 'vti'", "vit"]),
    "an unknown dataset": (["--datasets", "digits", "cifar"], ["unknown dataset 'cifar'", "cifar10"]),
    "a pretraining that no model has": (
        ["--models", "resnet", "--pretraining", "in1k"],
        ["no row is left: ResNet in1k on digits: there are no in1k weights", "fashion60k, fashion6k, none"],
    ),
    "no trials": (["--trials", "0"], ["trials must be at least 1, got 0"]),
    "a name that is a path": (["--name", "../x"], ["name must be letters", "'../x'"]),
    "an unknown option": (["--model-names", "vit"], ["--model-names", "python -m study.compare --help"]),
    "one folder for two datasets": (
        ["--datasets", "digits", "fashion_mnist", "--data-dir", "somewhere"],
        ["--data-dir and --data-option are of one dataset", "once a dataset, with the same --name"],
    ),
    "words for amounts of data": (["--data-efficiency", "2", "many"], ["--data-efficiency", "'many'"]),
    "no images of a class": (["--data-efficiency", "0"], ["--data-efficiency", "'0'"]),
    "amounts of a part of train": (
        ["--data-efficiency", "2", "--images-per-class", "5"],
        ["--data-efficiency is measured with all of train", "leave out"],
    ),
    "no hours": (["--hours", "0"], ["hours must be above 0, got 0"]),
    "hours of rows side by side": (
        ["--hours", "1", "--parallel-rows", "2"],
        ["hours are of wall clock, which 2 rows at a time would share", "leave out --parallel-rows, or --hours"],
    ),
    "training while only reading": (["--from", ".", "--trials", "3"], ["--from only reads records", "--trials"]),
    "nowhere to read from": (["--from", "nowhere"], ["nowhere is no folder"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_the_way_out(mistake: str, tmp_path: Path, capsys: Captured) -> None:
    arguments, words = MISTAKES[mistake]
    scale = [] if "--from" in arguments else ["--scale", "mini"]
    try:
        status = main([*arguments, *scale, "--results", str(tmp_path / "results")])
    except SystemExit as exit:  # argparse's own mistakes
        status = int(str(exit.code))
    told = capsys.readouterr()
    assert status == 2
    assert told.out == ""
    assert told.err.count("\n") == 1, told.err
    for word in words:
        assert word in told.err
    assert not (tmp_path / "results").exists()


def test_two_datasets_of_one_name_are_refused_before_anything_is_written(tmp_path: Path, capsys: Captured) -> None:
    for where in ("a", "b"):
        (tmp_path / where / "pets").mkdir(parents=True)
    datasets = [str(tmp_path / where / "pets") for where in ("a", "b")]
    assert (
        main(["--models", "vit", "--datasets", *datasets, "--scale", "mini", "--results", str(tmp_path / "out")]) == 2
    )
    assert "have one name: compare them one at a time" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_of_several_rows_a_damaged_one_is_left_out_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    folder = study(tmp_path / "compare-digits", "vit", answers(0.9, 0.9), dataset="digits")
    (folder / "study.json").write_text("{")
    words = ["--models", "vit", "resnet", "--pretraining", "none", "--scale", "mini", "--results", str(tmp_path)]
    [plan] = comparison.possible(comparison.parse(words)[0])
    assert [one.name for one in plan.studies] == ["resnet-none-digits"]
    assert f"{folder / 'study.json'} cannot be read" in plan.broken["vit-none-digits"]
    assert plan.folders(without=plan.broken) == []


def test_a_damaged_row_is_named_before_anything_is_run(tmp_path: Path, capsys: Captured) -> None:
    folder = study(tmp_path / "compare-digits", "vit", answers(0.9, 0.9), dataset="digits")
    (folder / "study.json").write_text("{")
    command = ["--models", "vit", "--pretraining", "none", "--scale", "mini", "--results", str(tmp_path)]
    assert main(command) == 2
    assert f"{folder / 'study.json'} cannot be read" in capsys.readouterr().err
