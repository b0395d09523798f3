"""What options mean before torch and Ray are imported."""

from pathlib import Path

import pytest

from study.cluster import environment, gpu
from study.options import command_line, comparison, scale
from study.options.command_line import parse, studies
from study.run import main


@pytest.fixture
def unknown_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the driver of a GPU: whether that can be used, torch alone can say."""
    monkeypatch.setattr(gpu, "known", lambda: None)


# The scale


def test_without_a_driver_there_is_no_gpu_and_the_scale_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_driver", lambda: False)
    monkeypatch.setattr(environment, "address", lambda: None)
    assert gpu.known() is False
    assert gpu.count.__wrapped__() == 0
    assert scale.possible("auto") == ("mini",)


def test_with_a_driver_or_on_a_cluster_both_scales_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "check", lambda: None)
    for driver, address in ((True, None), (False, "10.0.0.1:6379")):
        monkeypatch.setattr(gpu, "has_driver", lambda driver=driver: driver)
        monkeypatch.setattr(environment, "address", lambda address=address: address)
        assert gpu.known() is None
        assert scale.possible("auto") == ("mini", "paper")
    assert scale.possible("paper") == ("paper",)


def test_a_study_that_only_one_scale_has_is_no_mistake_yet(unknown_gpu: None, tmp_path: Path) -> None:
    options, _ = parse(["--model", "vit", "--pretraining", "in21k", "--results", str(tmp_path)])
    assert [study.scale for study in studies(options)] == ["paper"]
    options, _ = parse(["--model", "vit", "--results", str(tmp_path)])
    assert [study.scale for study in studies(options)] == ["mini", "paper"]


def test_a_pretraining_that_no_scale_has_is_refused_with_those_of_both(unknown_gpu: None, tmp_path: Path) -> None:
    options, _ = parse(["--model", "vit", "--pretraining", "nope", "--results", str(tmp_path)])
    with pytest.raises(ValueError, match=r"fashion60k, fashion6k, none.*; .*in1k, in21k, none"):
        studies(options)


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_precision_that_needs_a_gpu_is_refused_where_there_is_none_and_not_where_that_is_unknown(
    precision: str,
) -> None:
    command_line.check_precision(precision, None)
    command_line.check_precision(precision, True)
    with pytest.raises(ValueError, match=f"precision {precision} needs a GPU"):
        command_line.check_precision(precision, False)


# Paths


def test_a_tilde_that_the_shell_left_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    options, _ = parse(["--model", "vit", "--results=~/studies", "--dataset=~/photos", "--weights=~/w.safetensors"])
    assert options.results == Path("/home/someone/studies")
    assert options.dataset == "/home/someone/photos"
    assert options.weights == Path("/home/someone/w.safetensors")
    assert parse(["--model", "vit", "--dataset", "s3://bucket/~x"])[0].dataset == "s3://bucket/~x"


# What a record says


def test_the_command_of_a_record_has_the_options_of_the_file_written_out(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('model = "vit"\ntrials = 4\nfix = ["lr=1e-3"]\n')
    _, words = parse(["--config", str(tmp_path / "study.toml"), "--trials", "2"])
    assert words == ["--model=vit", "--fix", "lr=1e-3", "--trials", "2"]


def test_a_study_of_other_options_is_refused_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Path(__file__).parents[1] / "old_records" / "alexnet-fashion60k-digits" / "study.json"
    (tmp_path / "alexnet-fashion60k-digits").mkdir()
    (tmp_path / "alexnet-fashion60k-digits" / "study.json").write_bytes(old.read_bytes())
    words = ["--model", "alexnet", "--scale", "mini", "--resume", "--seed", "77", "--results", str(tmp_path)]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not 77" in line or "give the same options" in line


# Comparisons


def test_the_former_name_of_data_efficiency_works_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert comparison.parse(["--requirements", "2", "all"])[0].data_efficiency == [2, None]
    assert capsys.readouterr().err == "note: --requirements is called --data-efficiency now\n"
    assert comparison.parse([])[0].data_efficiency is None
    assert comparison.parse(["--data-efficiency"])[0].data_efficiency == []


def test_reading_records_takes_the_options_of_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'from = ["{tmp_path}"]\nname = "read"\n')
    options, _ = comparison.parse(["--config", str(tmp_path / "c.toml")])
    assert (options.records, options.name) == ([tmp_path], "read")
