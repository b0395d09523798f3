"""What reads files that others wrote: small valid ones of each kind, and what is read of them."""

import contextlib
import gzip
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from study.data import decoding, resolve
from study.data.download import extract
from study.data.named import cifar10, fashion_mnist
from study.data.source import DatasetRequest, ExampleSource
from study.design import recipes, space
from study.options import config_file
from study.options.command_line import parser
from study.prediction import loading
from study.report import study as report
from study.result import StudyResult
from study.results import best, progress
from study.results.record import Record
from study.results.study_file import StudyFile
from tests import records
from tests.contract import layouts, photographs
from tests.fuzz.mutations import mutated, mutated_json
from trainables import architecture, building
from trainables.weights import Weights, reading

FORMATS = {
    **{"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM"},
    **{"avif": "AVIF", "jp2": "JPEG2000"},
}


@dataclass(frozen=True)
class Reader:
    """One kind of files.

    Attributes:
        write: small valid files, into a folder.
        read: what they hold, as text that differs where the content does. Raises ValueError.
        files: a pattern of those that are damaged.
        checked: they have checksums, so what is read is what was written.
        stands: what is to be there while they are read.
        change: what damages the bytes of a file.
    """

    write: Callable[[Path], object]
    read: Callable[[Path], str]
    files: str = "**/*"
    checked: bool = False
    stands: Callable[[Path], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    change: Callable[[bytes, Random], bytes] = mutated


def digest(*parts: Any) -> str:
    content = sha256()
    for part in parts:
        content.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode("utf-8", "replace"))
    return content.hexdigest()


def read_all(source: ExampleSource) -> str:
    """All of a dataset."""
    pixels = list(source.images.decoded(np.arange(len(source.labels))))
    return digest(source.classes, source.labels, source.left_out, *pixels)


# Images


def picture() -> Image.Image:
    y, x = np.mgrid[:23, :31]
    return Image.fromarray(np.stack([x * 8, y * 9, x * 3 + y * 4], axis=-1).astype(np.uint8))


def write_images(folder: Path) -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    for suffix, form in FORMATS.items():
        picture().save(folder / f"plain.{suffix}", form)
    picture().save(folder / "rotated.jpg", "JPEG", exif=exif)
    picture().convert("CMYK").save(folder / "print.jpg", "JPEG")
    picture().save(folder / "slowly.jpg", "JPEG", progressive=True)
    picture().convert("P").save(folder / "palette.png", "PNG", transparency=0)
    picture().convert("I;16").save(folder / "deep.png", "PNG")
    picture().save(folder / "packed.tif", "TIFF", compression="tiff_lzw")
    picture().save(folder / "moving.gif", "GIF", save_all=True, append_images=[picture().rotate(90)])


def read_images(folder: Path) -> str:
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        found.append((path.name, asdict(decoding.read_header(data)), decoding.decode(data).tobytes()))
    return digest(found)


def write_folder(folder: Path) -> None:
    place = folder / "images"
    photographs.in_parts(place, train=3, val=1, test=1)
    for name in photographs.CLASSES:
        picture().rotate(len(name) * 20).save(place / "train" / name / "photo.jpg")


def read_dataset(place: str) -> Callable[[Path], str]:
    return lambda folder: read_all(resolve.load(str(folder / place), DatasetRequest()))


# Tables


def write_parquet(folder: Path) -> None:
    photographs.parquet(folder / "images.parquet", photographs.hugging_face(*photographs.rows(4)))


def write_text_labels(folder: Path) -> None:
    images, labels = photographs.rows(4)
    names = pa.array([photographs.CLASSES[label] for label in labels]).dictionary_encode()
    photographs.parquet(folder / "images.parquet", pa.table({"image": pa.array(images, pa.binary()), "label": names}))


def write_saved(folder: Path) -> None:
    photographs.saved(folder / "saved", photographs.hugging_face(*photographs.rows(4)), shards=2)


# Named datasets


def write_idx(folder: Path) -> None:
    head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (5, 4, 3))
    (folder / "images").write_bytes(head + bytes(range(60)))


def read_idx_within(folder: Path) -> str:
    """As it was damaged before it was compressed."""
    path = folder / "images.gz"
    path.write_bytes(gzip.compress((folder / "images").read_bytes(), 1))
    found = fashion_mnist.read_idx(path)
    return digest(found.shape, found)


def read_fashion(folder: Path) -> str:
    return read_all(fashion_mnist.load(DatasetRequest(data_dir=folder, offline=True)))


def read_cifar(folder: Path) -> str:
    return read_all(cifar10.load(DatasetRequest(data_dir=folder, offline=True)))


@contextlib.contextmanager
def published(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        layouts.publish_cifar10(folder / cifar10.ARCHIVE.folder, patch)
        yield


def write_archive(folder: Path) -> None:
    with tarfile.open(folder / "pictures.tar.gz", "w:gz") as tar:
        for name in ("pictures/one/a.png", "pictures/two/b.png"):
            entry = tarfile.TarInfo(name)
            entry.size = 400
            tar.addfile(entry, BytesIO(bytes(400)))
        empty = tarfile.TarInfo("pictures/three")
        empty.type = tarfile.DIRTYPE
        tar.addfile(empty)


def read_archive(folder: Path) -> str:
    apart = folder / "apart"
    place = apart / "within" / "within"
    place.mkdir(parents=True)
    try:
        with contextlib.redirect_stderr(StringIO()):
            extract(folder / "pictures.tar.gz", place / "pictures")
        there = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix != ".lock")
        return digest([(path.relative_to(place).as_posix(), path.read_bytes()) for path in there])
    finally:
        outside = {path for path in apart.rglob("*") if not path.is_relative_to(place)} - {place.parent}
        shutil.rmtree(apart, ignore_errors=True)
        assert not outside, "it left its folder"


# Records


def write_record(folder: Path) -> None:
    shape = records.Shape(classes=("ant", "bee"), trials=4, epochs=2, seeds=2, images_per_class=4, samples=2)
    records.finished(folder, shape)


def read_record(folder: Path) -> str:
    record = Record(folder)
    return digest(record.tables)


def read_study_file(folder: Path) -> str:
    found = StudyFile.read(folder)
    again = json.dumps(found.content(), sort_keys=True, default=str)
    return digest(again)


def read_progress(folder: Path) -> str:
    """What is shown of a study, here and in a list."""
    found = progress.of(folder)
    if found.problem:
        raise ValueError(found.problem)
    return digest({name: value for name, value in asdict(found).items() if name != "folder"})


def read_page(folder: Path) -> str:
    """All that is shown of a finished study."""
    said = str(StudyResult.of(Record(folder)))
    page = report.write(folder)
    try:
        return digest(said, page.read_text(encoding="utf-8"))
    finally:
        page.unlink()


# Text that a user writes


def write_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


SPACE = """
lr = { low = 1e-5, high = 3e-2, log = true }
weight_decay = { low = 1e-6, high = 1e-1, log = true }
freeze_depth = { low = 0, high = "all" }
batch_size = { choices = [16, 32, 64] }
augmentation = { choices = ["none", "flip"] }
"""
RECIPE = """
name = "mine"
epochs = 12
milestones = [0.5, 0.75]
label_smoothing = 0.1
schedule = "cosine"
batch_size = 64
[head_first]
share = 0.25
"""
CONFIG = """
model = "vit"
trials = 16
fix = ["lr=1e-3", "label_smoothing=0.1"]
offline = true
train_fraction = 0.5
"""


def read_space(folder: Path) -> str:
    found = space.read(folder / "space.toml", 6)
    facts = {name: one.facts() for name, one in found.items()}
    assert space.from_facts(facts) == found
    return digest(facts)


def read_recipe(folder: Path) -> str:
    found = recipes.read(folder / "recipe.toml")
    assert recipes.from_facts(found.facts()).facts() == found.facts()
    return digest(found.facts())


def read_config(folder: Path) -> str:
    return digest(config_file.words(str(folder / "config.toml"), parser().by_name()))


# Weights


def write_weights(folder: Path) -> None:
    state = {"one.weight": torch.arange(12.0).reshape(3, 4), "one.bias": torch.ones(3)}
    save_file(state, folder / "weights.safetensors")
    torch.save(state, folder / "weights.pth")


def read_weights(folder: Path) -> str:
    nowhere = Weights("weights", lambda offline: folder)
    states = [reading.read(nowhere, path=folder / f"weights.{end}") for end in ("safetensors", "pth")]
    return digest(*(reading.digest(state) for state in states))


def write_model(folder: Path) -> None:
    family = architecture.get("alexnet")
    variant = family.variant("mini", "none")
    best.write_weights(folder / best.WEIGHTS, building.assemble(family, variant, 3).library_state_dict())
    preprocessing = asdict(variant.preprocessing) | {"pixel_range": {"integers": [0, 4095]}}
    known = {"model": "alexnet", "scale": "mini", "variant": variant.name, "classes": ["a", "b", "c"]}
    (folder / best.CONFIG).write_text(json.dumps(known | {"preprocessing": preprocessing, "precision": "auto"}))


def read_model(folder: Path) -> str:
    model = loading.load(folder, device="cpu")
    said = model.probabilities(torch.zeros(1, 3, *2 * [model.preprocessing.size], dtype=torch.uint8)[:, :, :512, :512])
    return digest(model.classes, model.preprocessing, said.shape)


READERS = {
    "images": Reader(write_images, read_images),
    "folder": Reader(write_folder, read_dataset("images"), "images/**/*"),
    "parquet": Reader(write_parquet, read_dataset("images.parquet")),
    "parquet with text": Reader(write_text_labels, read_dataset("images.parquet")),
    "saved to disk": Reader(write_saved, read_dataset("saved")),
    "saved to disk, its names": Reader(write_saved, read_dataset("saved"), "saved/*.json", change=mutated_json),
    "idx": Reader(write_idx, read_idx_within, "images"),
    "fashion-mnist": Reader(lambda folder: layouts.fashion_mnist(folder, 20), read_fashion, checked=True),
    "cifar-10": Reader(layouts.cifar10, read_cifar, f"{cifar10.ARCHIVE.folder}/*_*", checked=True, stands=published),
    "archive": Reader(write_archive, read_archive, "*.tar.gz"),
    "record": Reader(write_record, read_record, "*[!n]", checked=True),
    "study.json": Reader(write_record, read_study_file, "study.json"),
    "study.json's entries": Reader(write_record, read_study_file, "study.json", change=mutated_json),
    "progress": Reader(write_record, read_progress, "study.json", change=mutated_json),
    "page": Reader(write_record, read_page, "study.json", change=mutated_json),
    "space": Reader(write_text("space.toml", SPACE), read_space),
    "recipe": Reader(write_text("recipe.toml", RECIPE), read_recipe),
    "config": Reader(write_text("config.toml", CONFIG), read_config),
    "weights": Reader(write_weights, read_weights),
    "model": Reader(write_model, read_model, best.CONFIG, change=mutated_json),
}
