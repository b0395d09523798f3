"""`study.export`: what is not the model is not written. That what is written is the model: the script of docs/."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from study.prediction import exporting
from study.terminal.mistake import Failed

WHOLE = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5)).eval()
IMAGES = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def answers(given: np.ndarray) -> np.ndarray:
    return exporting.answered(WHOLE, torch.from_numpy(given))


def test_a_file_that_answers_as_the_model_passes() -> None:
    assert exporting.compared(WHOLE, answers, IMAGES, Path("model.onnx")) < 1e-6


@pytest.mark.parametrize(
    "other",
    [lambda given: answers(given)[:, ::-1], lambda given: 1.1 * answers(given), lambda given: answers(given) * np.nan],
    ids=["other classes", "other logits", "no numbers"],
)
def test_a_file_that_answers_otherwise_is_refused(other: exporting.Answer) -> None:
    with pytest.raises(Failed, match=r"model.onnx was not written: as exported the model's logits differ by up to"):
        exporting.compared(WHOLE, other, IMAGES, Path("model.onnx"))


def test_a_file_that_exists_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    exporting.check("torch", path, overwrite=False)
    path.touch()
    with pytest.raises(ValueError, match="exists: choose another --output"):
        exporting.check("torch", path, overwrite=False)
    exporting.check("torch", path, overwrite=True)
    with pytest.raises(ValueError, match="is no folder"):
        exporting.check("torch", tmp_path / "no" / "model.pt2", overwrite=False)


def test_the_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "EXTRA", ("onnx", "no_such_library"))
    with pytest.raises(ValueError, match="--to onnx needs no_such_library: pip install"):
        exporting.check("onnx", tmp_path / "model.onnx", overwrite=False)
