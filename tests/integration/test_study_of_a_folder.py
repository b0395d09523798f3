"""A study of a user's own folder of images: what it left out, and where each predicted image is, is in its record."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from study.results.record import TABLES, Record
from study.run import main
from tests.contract.photographs import CLASSES, encoded, folder_of, pixels_of, png, write


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 40, one image that is none, a copy, one of 12 bits, and a drawing."""
    place = folder_of(tmp_path_factory.mktemp("data") / "my photos", dict.fromkeys(CLASSES, 40))
    write(place / "one" / "page.jpg", b"<html>")
    write(place / "two" / "copy.png", png(2, 5))
    write(place / "one" / "000.png", encoded(pixels_of(1, 0).astype(np.uint16) * 16))
    write(place / "one" / "drawing.svg", b"")
    return place


@pytest.fixture(scope="module")
def record(ray_session: None, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    results = tmp_path_factory.mktemp("results")
    arguments = [
        *["--model", "resnet", "--pretraining", "none", "--dataset", str(place), "--images-per-class", "10"],
        *["--trials", "1", "--epochs", "2", "--top-k", "1", "--seeds", "2", "--max-concurrent", "1"],
        *["--wandb", "disabled", "--quiet", "--results", str(results)],
    ]
    assert main(arguments) == 0
    return Record(results / "resnet-none-my-photos")


def test_the_record_names_what_was_left_out_and_why(record: Record) -> None:
    written = json.loads((record.folder / "study.json").read_text())["data"]
    assert written["left_out"] == [["one/page.jpg", "not an image"], ["two/copy.png", "the same as two/005.png"]]
    assert written["classes"] == sorted(CLASSES)
    assert written["sizes"] == {"train": 30, "val": 24, "test": 24}


def test_the_record_says_how_deep_pixels_were_read_and_what_was_passed_over(record: Record) -> None:
    assert record.data.pixel_range == {"integers": (0, 4095)}
    assert record.data.aside == {"SVG": 1}
    assert any("1 SVG (one/drawing.svg)" in said for said in record.data.warnings)
    assert any("0 to 4095" in said for said in record.data.warnings)
    best = json.loads((record.folder / "best" / "config.json").read_text())
    assert best["preprocessing"]["pixel_range"] == {"integers": [0, 4095]}


def test_the_confusion_matrix_is_a_table_and_not_in_the_study_file(record: Record) -> None:
    table = pq.read_table(record.folder / "confusion.parquet").to_pydict()
    assert sum(table["count"]) == len(record.tables["predictions"])
    assert [*zip(table["label"], table["predicted"], table["count"], strict=True)] == [*map(tuple, record.confusion)]
    assert not json.loads((record.folder / "study.json").read_text())["test"].get("confusion")


def test_every_prediction_leads_to_its_image_and_its_folder_is_the_label(record: Record, place: Path) -> None:
    predictions = record.tables["predictions"]
    assert len(predictions) == 2 * 24
    for row in predictions:
        assert (place / row["image"]).is_file()
        assert row["image"].split("/")[0] == sorted(CLASSES)[row["label"]]
    assert len({row["image"] for row in predictions}) == 24


def test_the_samples_are_those_images(record: Record) -> None:
    where = {row["index"]: row["image"] for row in record.tables["predictions"]}
    samples = record.tables["samples"]
    assert samples
    assert all(row["image"] == where[row["index"]] for row in samples)


def test_each_place_is_written_once(record: Record) -> None:
    table = pq.read_table(record.folder / "predictions.parquet")
    assert table.schema.equals(TABLES["predictions"])
    assert len(np.unique(table["image"].combine_chunks().dictionary)) == 24


def test_the_same_study_goes_on_only_while_the_images_are_the_same(
    record: Record, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["--model", "resnet", "--pretraining", "none", "--dataset", str(place), "--images-per-class", "10"]
    budget = ["--trials", "1", "--epochs", "2", "--top-k", "1", "--seeds", "2", "--max-concurrent", "1"]
    arguments = [*again, *budget, "--wandb", "disabled", "--quiet", "--resume", "--results", str(record.folder.parent)]
    assert main(arguments) == 0
    write(place / "one" / "new.png", png(1, 90))
    try:
        assert main(arguments) == 2
    finally:
        (place / "one" / "new.png").unlink()
    assert "was recorded on other images" in capsys.readouterr().err
