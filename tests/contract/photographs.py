"""Datasets as users have them: folders of image files, Parquet, and what Hugging Face's `datasets` saves to disk.

The images are scikit-learn's digits, enlarged: real ones, of which no two are the same.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

CLASSES = ("zero", "one", "two")


@cache
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Unlike images (N, 16, 16) uint8, and their digits."""
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return pixels.repeat(2, axis=1).repeat(2, axis=2), digits.target


def pixels_of(digit: int, number: int) -> np.ndarray:
    images, labels = drawn()
    return images[np.flatnonzero(labels == digit)[number]]


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def png(digit: int, number: int) -> bytes:
    return encoded(pixels_of(digit, number))


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def folder_of(place: Path, counts: Mapping[str, int], first: int = 0) -> Path:
    """`class/number.png`: the class that is named n-th shows the digit n, from its image `first` on."""
    for digit, (name, count) in enumerate(counts.items()):
        for number in range(count):
            write(place / name / f"{number:03d}.png", png(digit % 10, first + number))
    return place


def in_parts(place: Path, train: int = 6, val: int = 2, test: int = 3, classes: Sequence[str] = CLASSES) -> Path:
    """`train/class/number.png`, and so on; a part of no images is not there."""
    first = 0
    for part, count in (("train", train), ("val", val), ("test", test)):
        if count:
            folder_of(place / part, dict.fromkeys(classes, count), first)
        first += count
    return place


def rows(each: int, first: int = 0, classes: int = len(CLASSES)) -> tuple[list[bytes], list[int]]:
    """Encoded images and their digits, one class after the other and over again."""
    places = [(digit, first + number) for number in range(each) for digit in range(classes)]
    return [png(*place) for place in places], [digit for digit, _ in places]


def plain(images: list[bytes], labels: Sequence[Any], image: str = "image", label: str = "label") -> pa.Table:
    """A column of bytes and one of labels."""
    return pa.table({image: pa.array(images, pa.binary()), label: labels})


def hugging_face(images: list[bytes], labels: Sequence[int], names: Sequence[str] = CLASSES) -> pa.Table:
    """as `datasets` writes it: a struct of bytes and path, and the names of the classes in the schema's metadata."""
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("image", cell), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    cells = [{"bytes": image, "path": None} for image in images]
    return pa.table([pa.array(cells, cell), pa.array(labels, pa.int64())], schema=schema)


def parquet(path: Path, table: pa.Table, rows_a_group: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_a_group)
    return path


def saved(place: Path, table: pa.Table, shards: int = 1) -> Path:
    """A `Dataset.save_to_disk`: Arrow streams of several batches, and two files that describe them."""
    place.mkdir(parents=True)
    size = -(-len(table) // shards)
    names = [f"data-{n:05d}-of-{shards:05d}.arrow" for n in range(shards)]
    for n, name in enumerate(names):
        with pa.OSFile(str(place / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table.slice(n * size, size), max_chunksize=4)
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        **{"_fingerprint": "eb4c97a02af1c893", "_format_columns": None, "_format_kwargs": {}, "_format_type": None},
        **{"_output_all_columns": False, "_split": None},
    }
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    (place / "state.json").write_text(json.dumps(state, indent=2))
    (place / "dataset_info.json").write_text(json.dumps({"citation": "", "features": features}, indent=2))
    return place


def saved_parts(place: Path, parts: Mapping[str, pa.Table], shards: int = 1) -> Path:
    """A `DatasetDict.save_to_disk`."""
    for name, table in parts.items():
        saved(place / name, table, shards)
    (place / "dataset_dict.json").write_text(json.dumps({"splits": list(parts)}))
    return place
