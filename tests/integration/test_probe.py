"""The probe from the command line: real images, real features, what it writes, and what it says of a mistake."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from study.probe import main
from study.results.record import TABLES
from study.statistics import accuracy_interval

MISTAKES = {
    "an unknown model": (["--models", "vit", "resnt"], ["unknown model 'resnt'", "mean resnet?"]),
    "an unknown dataset": (["--model", "vit", "--dataset", "digit"], ["unknown dataset 'digit'", "mean digits?"]),
    "an unknown pretraining": (["--model", "vit", "--pretraining", "in1k"], ["'in1k'", "fashion6k, none"]),
    "an unknown precision": (["--model", "vit", "--precision", "fp8"], ["unknown precision 'fp8'"]),
    "an unknown scale": (["--model", "vit", "--scale", "tiny"], ["unknown scale 'tiny'"]),
    "no seeds": (["--model", "vit", "--seeds", "0"], ["seeds must be at least 1, got 0"]),
    "words for a number": (["--model", "vit", "--seeds", "few"], ["--seeds", "'few'", "study.probe --help"]),
    "no model": ([], ["--model"]),
    "a name that is a path": (["--model", "vit", "--name", "../x"], ["name must be letters", "'../x'"]),
    "a folder without a name": (["--model", "vit", "--results", "here"], ["--results here needs a --name"]),
    "one file of weights for two models": (
        ["--models", "vit", "resnet", "--weights", "/w.safetensors"],
        ["--weights is of one model, got 2"],
    ),
    "weights that are not there": (["--model", "vit", "--weights", "/none.safetensors"], ["no weights at"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_the_way_out(mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = MISTAKES[mistake]
    try:
        status = main([*arguments, "--offline"] if "--scale" in arguments else [*arguments, "--scale", "mini"])
    except SystemExit as exit:  # argparse's own mistakes
        status = int(str(exit.code))
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err
    for word in words:
        assert word in captured.err


def test_a_probe_that_exists_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "probe.json").write_text("keep")
    arguments = ["--model", "vit", "--scale", "mini", "--results", str(tmp_path), "--name", "mine"]
    assert main(arguments) == 2
    assert "choose another --name" in capsys.readouterr().err
    assert (tmp_path / "mine" / "probe.json").read_text() == "keep"


@pytest.mark.usefixtures("ray_session")
def test_a_probe_prints_a_line_a_model_and_keeps_every_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "store"))
    common = ["--scale", "mini", "--seeds", "2", "--results", str(tmp_path)]
    assert main(["--models", "resnet", "alexnet", *common, "--name", "pretrained"]) == 0
    assert main(["--model", "alexnet", "--pretraining", "none", *common, "--name", "random"]) == 0

    printed = capsys.readouterr().out.splitlines()
    found = json.loads((tmp_path / "pretrained" / "probe.json").read_text())
    table = pq.read_table(tmp_path / "pretrained" / "probe.parquet")
    assert table.column_names == ["variant", *TABLES["predictions"].names]
    rows = table.to_pylist()
    assert [row["variant"] for row in found["probes"]] == ["resnet_mini.fashion60k", "alexnet_mini.fashion60k"]
    for row, line in zip(found["probes"], printed[1:3], strict=True):
        of_seed = [[r for r in rows if (r["variant"], r["seed"]) == (row["variant"], seed)] for seed in row["seeds"]]
        correct = np.array([[r["label"] == r["predicted"] for r in run] for run in of_seed])
        assert correct.shape == (2, 360)
        assert row["accuracies"] == pytest.approx(correct.mean(axis=1))
        assert row["interval"] == pytest.approx(accuracy_interval(correct))
        assert row["accuracy"] > 0.8  # of ten classes
        assert line.startswith(f"{row['variant']} ")
        assert f"{row['accuracy']:.2%}" in line
    assert {row["index"] for row in rows} == {row["index"] for row in rows if row["seed"] == 1}
    assert found["probes"][0]["features"] == 256
    assert found["sizes"] == {"train": 1077, "val": 360, "test": 360}

    [random] = json.loads((tmp_path / "random" / "probe.json").read_text())["probes"]
    assert random["accuracies"][0] != random["accuracies"][1]  # two backbones
    assert random["accuracy"] > 0.5
