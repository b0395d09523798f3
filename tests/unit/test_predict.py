"""`study.predict` and `load_best`: the same rows wherever images come from and go to, and every mistake in one line."""

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from study.api import load_best
from study.data.decoding import Unreadable
from study.predict import main
from study.prediction import loading, predicting, tables
from study.prediction.images import Item, items
from study.results import best
from trainables import architecture, building

CLASSES = ("round", "straight", "other")


def encoded(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    content = BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return content.getvalue()


def make_model(folder: Path, *, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Path:
    """A model folder as a study leaves it: pretrained, with a head that is drawn."""
    family = architecture.get("resnet")
    variant = family.variant("mini", "fashion60k")
    torch.manual_seed(seed)
    model = building.assemble(family, variant, len(classes))
    assert variant.weights is not None
    model.load(building.pretrained(family, variant) or {}, head=False)
    folder.mkdir(exist_ok=True)
    best.write_weights(folder / best.WEIGHTS, model.library_state_dict())
    given = variant.preprocessing
    config = {
        **{"model": "resnet", "scale": "mini", "variant": variant.name, "classes": classes},
        "preprocessing": {"size": given.size, "mean": given.mean, "std": given.std, "crop": 1.0}
        | {"interpolation": given.interpolation},
    }
    (folder / best.CONFIG).write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images in two folders, and a file that only looks like one."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for i in range(5):
        (folder / ("more" if i > 2 else ".") / f"{i}, of five.png").write_bytes(encoded(i))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".json":
        return json.loads(path.read_text())
    read = list(csv.DictReader(StringIO(path.read_text())))
    return [{k: float(v) if k.startswith("conf") and v else v or None for k, v in row.items()} for row in read]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_every_format_has_the_same_rows_and_the_reason_of_what_is_unreadable(
    suffix: str, model: Path, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"rows{suffix}"
    assert main([str(model), str(photos), "--output", str(output), "--top-k", "2", "--batch-size", "4"]) == 0
    rows = rows_of(output)
    names = ["0, of five.png", "1, of five.png", "2, of five.png", "broken.jpg", "more/3, of five.png"]
    assert [row["path"] for row in rows] == [str(photos / name) for name in [*names, "more/4, of five.png"]]
    assert [row["problem"] for row in rows if row["predicted"] is None] == ["not an image"]
    seen = load_best(model)
    for row in rows:
        if row["problem"] is None:
            [said] = seen.predict([row["path"]])
            found = ((row["predicted"], row["confidence"]), (row["predicted_2"], row["confidence_2"]))
            assert [name for name, _ in found] == [name for name, _ in said.top[:2]]
            assert [p for _, p in found] == pytest.approx([p for _, p in said.top[:2]], abs=1e-6)


def test_files_patterns_tables_and_lists_of_paths_name_the_same_images(photos: Path, tmp_path: Path) -> None:
    whole = [path.read_bytes() for path in sorted(photos.rglob("*of five.png"))]
    table = tmp_path / "images.parquet"
    pq.write_table(pa.table({"number": range(5), "picture": [{"bytes": each, "path": None} for each in whole]}), table)
    listed = StringIO("".join(f"{path}\n" for path in sorted(photos.rglob("*of five.png"))))
    for given in ([str(photos / "**" / "*five.png")], [str(table)], ["-"], sorted(map(str, photos.rglob("*five.png")))):
        found = [item.read() for item in items(given, listed)]
        assert sorted(found) == sorted(whole)


def test_paths_bytes_pictures_and_arrays_become_the_same_pixels(model: Path, photos: Path) -> None:
    seen, path = load_best(model), photos / "0, of five.png"
    expected = seen.pixels(path)
    for same in (path.read_bytes(), Image.open(path), np.asarray(Image.open(path)), str(path)):
        assert torch.equal(seen.pixels(same), expected)
    with pytest.raises(Unreadable, match="not an image"):
        seen.predict([photos / "broken.jpg"])


def test_an_ensemble_averages_probabilities_and_says_where_its_models_disagree(tmp_path: Path) -> None:
    folders = [make_model(tmp_path / str(seed), seed=seed) for seed in range(2)]
    several = loading.load(folders[0])
    each = [loading.load(folder).models[0] for folder in folders]
    several = replace(several, models=tuple(each))
    images = [Item(str(i), lambda i=i: encoded(i)) for i in range(20)]  # type: ignore[misc]
    [rows] = predicting.rows(several, images)
    pixels = torch.stack([several.pixels(encoded(i)) for i in range(20)])
    apart = torch.stack([model(pixels).softmax(dim=1) for model in each])
    votes = apart.argmax(dim=2)
    mean = apart.mean(dim=0)
    assert [row["predicted"] for row in rows] == [CLASSES[i] for i in mean.argmax(dim=1)]
    assert [row["confidence"] for row in rows] == pytest.approx(mean.amax(dim=1).tolist(), abs=1e-5)
    differ = (votes != mean.argmax(dim=1)).float().mean(dim=0)
    assert [row["disagreement"] for row in rows] == differ.tolist()
    assert sum(row["disagreement"] for row in rows) > 0
    assert all(row["spread"] > 0 for row in rows)


def test_no_more_images_are_read_than_two_batches_ahead(model: Path) -> None:
    read = 0

    def endless() -> Iterator[Item]:
        nonlocal read
        while True:
            read += 1
            yield Item("one", lambda: encoded(0))

    rows = predicting.rows(load_best(model), endless(), batch=4)
    for seen in range(1, 4):
        assert len(next(rows)) == 4
        assert read <= 4 * (seen + 1)
    rows.close()  # type: ignore[attr-defined]


MISTAKES = {
    "no such study": (["nowhere", "."], "nowhere is no folder"),
    "a folder without a model": ([".", "a.png"], "holds neither a study nor a model"),
    "no such image": (["MODEL", "missing.png"], "missing.png: no such file or folder"),
    "a pattern that fits nothing": (["MODEL", "*.tiff"], "no file fits *.tiff"),
    "no known format": (["MODEL", "notes.txt"], "notes.txt is of no known format"),
    "a folder without images": (["MODEL", "empty"], "empty has no image of a known format"),
    "no table": (["MODEL", "bad.parquet"], "bad.parquet is no Parquet file"),
    "an output that exists": (["MODEL", "a.png", "--output", "there.csv"], "there.csv exists"),
    "an output of another kind": (["MODEL", "a.png", "--output", "new.xls"], "written as .csv, .json, .parquet"),
    "an output in no folder": (["MODEL", "a.png", "--output", "no/new.csv"], "no is no folder"),
    "a number of classes below one": (["MODEL", "a.png", "--top-k", "0"], "top-k must be at least 1, got 0"),
    "an ensemble of one model": (["MODEL", "a.png", "--seeds", "all"], "is one model"),
    "nothing that can be read": (["MODEL", "broken.png"], "none of 1 image could be read (broken.png: not an image)"),
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_lost(
    words: tuple[list[str], str],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(encoded(0))
    for name in ("notes.txt", "bad.parquet", "there.csv", "broken.png"):
        (tmp_path / name).write_text("as it was")
    (tmp_path / "empty").mkdir()
    given, says = words
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main([str(model) if word == "MODEL" else word for word in given]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "there.csv").read_text() == "as it was"


def damage(folder: Path, what: str) -> None:
    if what == "another number of classes":
        config = json.loads((folder / best.CONFIG).read_text())
        (folder / best.CONFIG).write_text(json.dumps(config | {"classes": [*CLASSES, "one more"]}))
    elif what == "another model":
        config = json.loads((folder / best.CONFIG).read_text())
        (folder / best.CONFIG).write_text(json.dumps(config | {"model": "vit", "variant": "vit_mini"}))
    elif what == "damaged weights":
        (folder / best.WEIGHTS).write_bytes(b"\0" * 100)
    else:
        (folder / best.WEIGHTS).unlink()


DAMAGE = {
    "another number of classes": "has a head for 3 classes, and config.json names 4",
    "another model": "is of another model: it lacks",
    "damaged weights": "cannot be read",
    "no weights": "is missing: this record has no model",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_model_that_is_not_whole_is_said_in_one_line(what: str, model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "copy")
    damage(folder, what)
    with pytest.raises(ValueError, match=DAMAGE[what]):
        loading.load(folder)


def test_a_study_that_is_not_finished_has_no_model_yet(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "old_records" / "alexnet-fashion60k-digits"
    folder = shutil.copytree(old, tmp_path / old.name)
    with pytest.raises(ValueError, match="this record has no model"):  # finished, and best/ was not kept
        loading.load(folder)
    written = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(written | {"status": "interrupted"}))
    with pytest.raises(ValueError, match=r"is interrupted, and has no model before it is finished: .* --resume"):
        loading.load(folder)


def fill(path: Path) -> None:
    """Writes rows until it is refused."""
    numbers = np.random.default_rng(0)
    with tables.written(path, COLUMNS) as file:
        while True:
            names = [numbers.bytes(40).hex() for _ in range(256)]
            file.add([{"path": name, "predicted": "cat", "confidence": 0.5} for name in names])


COLUMNS = {"path": str, "predicted": str, "confidence": float, "problem": str}


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_on_a_full_disk_the_file_has_whole_rows_and_says_how_many(suffix: str, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    path = tmp_path / f"rows{suffix}"
    try:
        with pytest.raises(tables.DiskFull, match="all of them whole") as full:
            fill(path)
        rows = rows_of(path)
        assert f"it has {len(rows):,} rows" in str(full.value)
        assert all(len(row["path"]) == 80 and row["confidence"] == 0.5 for row in rows)
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_weights_have_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    best.write_weights(tmp_path / "best" / "model.safetensors", {"a": torch.ones(2)})
    assert (tmp_path / "best" / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
