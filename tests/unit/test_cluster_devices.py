"""What a command asks of GPUs that are not there is one line, before anything starts."""

import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from study import tracking
from study.cluster import devices, gpu
from study.results import provenance
from study.run import main


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one GPU of a generation before bf16 and TF32."""
    monkeypatch.setattr(devices, "cards", lambda: 1)
    monkeypatch.setattr(gpu, "count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("precision", "workers", "mistake"),
    [
        ("bf16", 1, "Tesla V100 has no arithmetic for bf16: choose fp16, fp32 or auto"),
        ("tf32", 1, "Tesla V100 has no arithmetic for tf32: choose fp16, fp32 or auto"),
        ("auto", 2, "workers-per-trial must be at most 1, the GPUs there are, got 2"),
    ],
)
def test_what_the_gpu_has_not_is_refused(card: None, precision: str, workers: int, mistake: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(mistake)}$"):
        devices.check(precision, workers)


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
def test_what_the_gpu_has_is_taken(card: None, precision: str) -> None:
    devices.check(precision, 1)


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ("", "CUDA_VISIBLE_DEVICES is empty, which hides this machine's GPUs: unset it, name some, or give -1"),
        ("0,7", "CUDA_VISIBLE_DEVICES=0,7 names 2, of which 1 can be used here: name GPUs that are there"),
    ],
)
def test_gpus_that_are_hidden_by_mistake_or_named_and_not_there_are_refused(
    card: None, monkeypatch: pytest.MonkeyPatch, given: str, mistake: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with pytest.raises(ValueError, match=f"^{re.escape(mistake)}"):
        devices.check("auto")


@pytest.mark.parametrize("given", ["0", "-1"])
def test_gpus_that_are_named_or_hidden_on_purpose_are_taken(
    card: None, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    devices.check("auto")


def test_a_driver_that_is_too_old_is_said(card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(ValueError, match=r"cannot use this machine's GPU: update its driver for CUDA 13\.0"):
        devices.check("auto")


def test_an_empty_variable_is_no_mistake_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cards", lambda: 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices.check_visible()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes in them")
@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_precision_that_needs_a_gpu_is_one_line_and_exit_2(
    precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "vit", "--precision", precision, "--results", str(tmp_path / "results")]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"precision {precision} needs a GPU" in line
    assert not (tmp_path / "results").exists()


def test_a_study_does_without_wandb_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    lines: list[str] = []
    for mode in (None, "offline"):
        assert isinstance(tracking.start(mode, tmp_path, "group", say=lines.append), tracking.Disabled)
    assert lines == ["W&B: it is not installed. The study goes on without it"]

    def missing(name: str) -> str:
        if name == "wandb":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(provenance, "version", missing)
    versions = provenance.versions()
    assert "wandb" not in versions
    assert versions["torch"] == "1.0"
