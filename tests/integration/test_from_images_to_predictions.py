"""docs/from_images_to_predictions.py is run as it stands; what it leaves is opened with the tools that it is for."""

import csv
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image
from sklearn.datasets import load_digits

from study.predict import main as predict
from study.prediction import loading
from study.report.study import looked_at
from study.results import saliency
from study.results.record import Record
from trainables import timm_models

SCRIPT = Path(__file__).parents[2] / "docs" / "from_images_to_predictions.py"
CLASSES = ("four", "seven", "zero & more")
DIGITS = {"zero & more": 0, "four": 4, "seven": 7}
OF_EACH, NEW = 40, 4


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script was run, on digits as photos."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "new").mkdir()
    digits = load_digits()
    for name, digit in DIGITS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for i, pixels in enumerate(digits.images[digits.target == digit][: OF_EACH + NEW]):
            image = Image.fromarray((pixels * 255 / 16).astype(np.uint8))
            image.save(folder / (f"photos/{name}/{i}.png" if i < OF_EACH else f"new/{digit}-{i}.png"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(SCRIPT.parents[1]))
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return folder


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    return Record(folder / "results" / "photos")


def test_new_images_have_a_row_each_alone_and_by_all_models(folder: Path, record: Record) -> None:
    rows = list(csv.DictReader((folder / "new.csv").open()))
    assert [row["path"] for row in rows] == sorted(f"new/{path.name}" for path in (folder / "new").iterdir())
    assert {row["predicted"] for row in rows} <= set(CLASSES)
    output = folder / "ensemble.parquet"
    assert predict([str(record.folder), str(folder / "new"), "--output", str(output), "--seeds", "all"]) == 0
    several = pq.read_table(output).to_pylist()
    assert [Path(row["path"]).name for row in several] == [Path(row["path"]).name for row in rows]
    assert {row["disagreement"] for row in several} <= {0.0, 0.5, 1.0}
    kept = [path.name for path in sorted((record.folder / "models").iterdir())]
    assert kept == [f"test-seed{seed}.safetensors" for seed in record.test.seeds]


def test_test_images_get_the_predictions_that_the_record_has(folder: Path, record: Record) -> None:
    best = loading.load(record.folder)
    rows = [row for row in record.tables["predictions"] if row["seed"] == record.test.seeds[0]]
    said = best.predict([folder / "photos" / str(row["image"]) for row in rows])
    assert [one.predicted for one in said] == [best.classes[row["predicted"]] for row in rows]
    assert [one.confidence for one in said] == pytest.approx([row["confidence"] for row in rows], abs=1e-4)


def test_the_onnx_file_gives_the_models_logits(folder: Path, record: Record) -> None:
    best = loading.load(record.folder)
    images = torch.stack([best.pixels(path) for path in sorted((folder / "new").iterdir())])
    session = onnxruntime.InferenceSession(record.folder / "best" / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)
    [logits] = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(logits, best.model(images), atol=1e-3)


def test_the_folder_is_a_checkpoint_of_timm_and_a_page_of_the_hub(record: Record) -> None:
    assert timm_models.__all__
    model = timm.create_model(f"local-dir:{record.folder / 'best'}", pretrained=True)
    state = loading.load(record.folder).model.library_state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    card: Any = ModelCard.load(record.folder / "best" / "README.md")
    assert card.data.library_name == "timm"
    [result] = card.data.eval_results
    assert result.metric_value == record.test.accuracies[0]
    low, high = record.test.interval
    assert f"95 % interval {low:.2%} to {high:.2%}, given this search, split and draw" in card.text
    assert "| zero & more |" in card.text
    assert str(record.study.command) in card.text
    assert str(record.folder) not in card.text.replace(str(record.study.command), "")


def test_the_page_shows_what_the_model_looked_at(record: Record) -> None:
    rows = saliency.read(record.folder)
    assert rows
    assert all(row["convolution"] and row["attention"] is None for row in rows)
    page = (record.folder / "report.html").read_text()
    assert page.count('class="map"') == len(rows)
    assert looked_at.section(record).title in page
