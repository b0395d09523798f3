"""A user's mistake costs one clear line and exit code 2, and writes nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from study.run import main

NONE = ["--pretraining", "none"]

MISTAKES = {
    "an unknown model": (
        ["--model", "coatnt"],
        ["unknown model 'coatnt'", "alexnet, coatnet, resnet, timm/NAME, vit", "mean coatnet?"],
    ),
    "an unknown dataset": (["--model", "vit", "--dataset", "digit"], ["unknown dataset 'digit'", "mean digits?"]),
    "an unknown pretraining": (["--model", "vit", "--pretraining", "fashion"], ["'fashion'", "fashion6k, none"]),
    "an unknown recipe": (["--model", "vit", *NONE, "--recipe", "far"], ["unknown recipe 'far'", "fair"]),
    "another model's recipe": (
        ["--model", "vit", *NONE, "--recipe", "paper_crop"],
        ["unknown recipe 'paper_crop'", "did you mean paper?"],
    ),
    "a recipe that is not there": (["--model", "vit", *NONE, "--recipe", "no.toml"], ["recipe no.toml cannot be read"]),
    "a size that the model cannot take": (
        ["--model", "vit", *NONE, "--preprocessing", "size=64"],
        ["vit_mini cannot take images of 64 px"],
    ),
    "parts of a batch that are no number": (
        ["--model", "vit", *NONE, "--grad-accum", "some"],
        ["grad-accum takes a whole number or auto, got 'some'"],
    ),
    "more parts than images": (
        ["--model", "vit", *NONE, "--grad-accum", "65"],
        ["grad-accum must be auto or 1 to the batch size 64, got 65"],
    ),
    "an unknown scale": (["--model", "vit", "--scale", "tiny"], ["unknown scale 'tiny'", "auto, mini, paper"]),
    "an unknown precision": (["--model", "vit", *NONE, "--precision", "fp8"], ["unknown precision 'fp8'"]),
    "no trials": (["--model", "vit", *NONE, "--trials", "0"], ["trials must be at least 1, got 0"]),
    "no epochs": (["--model", "vit", *NONE, "--epochs", "-3"], ["epochs must be at least 1, got -3"]),
    "no seeds": (["--model", "vit", *NONE, "--seeds", "0"], ["seeds must be at least 1, got 0"]),
    "no repeats": (["--model", "vit", *NONE, "--repeats", "0"], ["repeats must be 1 to", "got 0"]),
    "no concurrency": (
        ["--model", "vit", *NONE, "--max-concurrent", "0"],
        ["max-concurrent must be at least 1, got 0"],
    ),
    "a fraction of a trial": (
        ["--model", "vit", *NONE, "--trials-per-gpu", "0.3"],
        ["trials-per-gpu takes a whole number or auto, got '0.3'"],
    ),
    "words for a number": (["--model", "vit", "--trials", "many"], ["--trials", "'many'"]),
    "an unknown option": (["--model", "vit", "--trails", "3"], ["--trails"]),
    "no model": ([], ["--model"]),
    "a fixed value that is none": (
        ["--model", "vit", *NONE, "--fix", "lr=high"],
        ["--fix lr takes a number, got 'high'"],
    ),
    "a depth beyond the backbone": (
        ["--model", "vit", *NONE, "--fix", "freeze_depth=99"],
        ["--fix freeze_depth takes a whole number from 0 to 8"],
    ),
    "everything fixed": (
        ["--model", "vit", *NONE, "--fix", "lr=1e-3", "--fix", "weight_decay=0", "--fix", "freeze_depth=all"],
        ["nothing is left to search"],
    ),
    "a name that is a path": (["--model", "vit", *NONE, "--name", "../x"], ["name must be letters", "'../x'"]),
    "weights that are not there": (
        ["--model", "vit", "--weights", "/none.safetensors"],
        ["no weights at /none.safetensors"],
    ),
    "weights for none": (
        ["--model", "vit", *NONE, "--weights", "/w.safetensors"],
        ["pretraining none takes no weights"],
    ),
    "weights that only a network has": (
        ["--model", "resnet", "--scale", "paper", "--offline"],
        ["model.safetensors of huggingface.co/timm/resnet50.tv_in1k", "--offline", "--weights PATH"],
    ),
}


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def status_and_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        status = main(arguments)
    except SystemExit as exit:  # argparse's own mistakes
        status = int(str(exit.code))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return status, captured.err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_the_way_out(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = MISTAKES[mistake]
    results = tmp_path / "results"
    status, line = status_and_line([*arguments, "--results", str(results)], capsys)
    assert status == 2
    assert line.startswith("error: ")
    for word in words:
        assert word in line
    assert not results.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes in fp16")
def test_fp16_without_a_gpu_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "vit", *NONE, "--precision", "fp16", "--results", str(tmp_path / "results")]
    status, line = status_and_line(arguments, capsys)
    assert status == 2
    assert "fp16 needs a GPU" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to share")
def test_a_share_of_a_gpu_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "vit", *NONE, "--trials-per-gpu", "2", "--results", str(tmp_path / "results")]
    status, line = status_and_line(arguments, capsys)
    assert status == 2
    assert "trials-per-gpu is 2, but there is no GPU" in line


def test_a_study_that_exists_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep")
    status, line = status_and_line(["--model", "vit", *NONE, "--results", str(tmp_path), "--name", "mine"], capsys)
    assert status == 2
    assert "--resume" in line
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_results_below_a_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--model", "vit", *NONE, "--results", str(tmp_path / "file" / "results")]
    status, line = status_and_line(arguments, capsys)
    assert status == 2
    assert "cannot be written" in line


def test_weights_of_another_model_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"some.weight": torch.zeros(3)}, path)
    arguments = ["--model", "vit", "--weights", str(path), "--results", str(tmp_path / "results")]
    status, line = status_and_line(arguments, capsys)
    assert status == 2
    assert "do not fit vit_mini.fashion60k" in line
    assert "missing" in line


def test_a_cluster_that_does_not_answer_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    status, line = status_and_line(["--model", "vit", *NONE, "--scale", "mini", "--results", str(tmp_path)], capsys)
    assert status == 2
    assert "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:9" in line
