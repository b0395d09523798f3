"""What is in a dataset, all that is wrong with it, and what a study would do about that."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

from study.data import findings, look, named, near_copies, resolve
from study.data.duplicates import equal_images
from study.data.files import Examined, examine
from study.data.image_index import ImageIndex, Nothing
from study.data.scan import SCHEMA, ImageMetadata
from study.data.source import Arrays, DatasetRequest, ExampleSource
from study.data.splits import split

__all__ = ["HANDLED", "Contents", "Nothing", "contents", "nothing", "report"]

HANDLED = {
    "L": "grey, repeated into three channels",
    "RGB": "as they are",
    "1": "read as grey",
    "LA": "laid on white",
    "RGBA": "laid on white",
    "P": "converted to RGB",
    "CMYK": "converted to RGB",
    "RGB;16": "the upper 8 of 16 bits",
}


@dataclass(frozen=True)
class Contents:
    """Every image of a dataset, whether a study takes it or not.

    Attributes:
        labels: (N,) int64.
        splits: (N,) `train`, `val` or `test`, where the dataset comes with that.
        metadata: a row an image: see `study.data.scan`.
        name: where a user finds an image, by its row.
        source: what a study would use of it.
        problems: why no study takes it.
        index: where the images are, unless they are in memory.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray | None
    metadata: pa.Table
    name: Callable[[int], str]
    source: ExampleSource
    problems: tuple[str, ...]
    index: ImageIndex | None = None


def contents(given: str, request: DatasetRequest) -> Contents:
    """All of a dataset. Raises ValueError where there is none."""
    index = named.image_index(given, request) if given in named.names() else resolve.image_index(given, request)
    if index is not None:
        return contents_of_index(examine(index, request))
    return contents_of_arrays(resolve.load(given, request))


def nothing(given: str, refusal: Nothing) -> dict[str, Any]:
    """The report of a place that holds no dataset."""
    return {
        "dataset": given,
        "study": str(refusal),
        "usable": False,
        "problems": [*refusal.reasons],
        "warnings": [],
        "images": 0,
    }


def report(given: str, found: Contents) -> dict[str, Any]:
    """What is in a dataset, and what a study would do with it."""
    problems = list(found.problems)
    sizes, pairs = None, []
    try:
        splits = split(found.source)
        sizes = splits.sizes()
        pairs = copies_across(found, {name: splits.rows(name) for name in sizes})
    except ValueError as refusal:
        problems.append(str(refusal))
    metadata = found.metadata.drop_columns(["tiny"]).to_pylist()
    readable = [image for image in metadata if image["width"]]
    index = found.index
    return {
        "dataset": given,
        "study": "; ".join(problems) or "takes it",
        "usable": not problems,
        "problems": problems,
        "warnings": [*found.source.warnings, *findings.of_near_copies(pairs, lambda row: name_of(found, row))],
        "images": len(metadata),
        "classes": class_balance(found),
        "examples": examples(found),
        "columns": dict(index.columns) if index else {},
        "comes_with": sorted(set(found.splits.tolist())) if found.splits is not None else [],
        "splits": sizes if not problems else None,
        "width": spread([image["width"] for image in readable]),
        "height": spread([image["height"] for image in readable]),
        "formats": dict(Counter(image["format"] for image in readable if image["format"]).most_common()),
        "modes": dict(Counter(image["mode"] for image in readable).most_common()),
        "pixel_range": dict(found.source.pixel_range),
        "rotated": sum(bool(image["rotated"]) for image in metadata),
        "animated": sum((image["frames"] or 1) > 1 for image in metadata),
        "unreadable": [
            {"image": found.name(row), "why": image["problem"]}
            for row, image in enumerate(metadata)
            if image["problem"]
        ],
        "copies": duplicate_groups(found),
        "near_copies": [[name_of(found, one), name_of(found, other)] for one, other in pairs],
        "ignored_files": index.ignored if index else 0,
        "aside": [asdict(one) for one in index.aside] if index else [],
        "left_out": [{"image": name, "why": why} for name, why in found.source.left_out] if not problems else [],
    }


def contents_of_index(examined: Examined) -> Contents:
    index = examined.index
    return Contents(
        labels=index.labels,
        classes=index.classes,
        splits=index.splits,
        metadata=examined.metadata,
        name=index.images.name,
        source=examined.source,
        problems=examined.problems,
        index=index,
    )


def contents_of_arrays(source: ExampleSource) -> Contents:
    assert isinstance(source.images, Arrays)
    pixels = source.images.pixels
    mode = "L" if pixels.ndim == 3 else "RGB"
    height, width = pixels.shape[1:3]
    metadata = [
        vars(
            ImageMetadata(
                sha256(image.tobytes()).hexdigest(),
                image.nbytes,
                mode=mode,
                width=width,
                height=height,
                **vars(look.of(image)),
            )
        )
        for image in pixels
    ]
    splits = None
    if source.test_rows is not None:
        splits = np.where(np.isin(np.arange(len(pixels)), source.test_rows), "test", "train")
    table = pa.Table.from_pylist(metadata, SCHEMA)
    return Contents(source.labels, source.classes, splits, table, lambda row: f"image {row}", source, ())


def copies_across(found: Contents, splits: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of images that look nearly alike and that a study would have in two splits, by their rows in the source."""
    pictures = found.source.pictures
    if pictures is None:
        pictures = near_copies.pictures(found.metadata["tiny"])
    return near_copies.across(pictures, splits)


def name_of(found: Contents, row: int) -> str:
    """Where a user finds an image, by its row in the source."""
    return found.source.images.name(row) or f"image {row}"


def examples(found: Contents) -> dict[str, str]:
    """A path of each class: what was taken for what."""
    _, first = np.unique(found.labels, return_index=True)
    return {found.classes[found.labels[row]]: found.name(int(row)) for row in first}


def class_balance(found: Contents) -> dict[str, Any]:
    """Images per class, in words and in full."""
    counts = np.bincount(found.labels, minlength=len(found.classes))
    images = {name: int(n) for name, n in zip(found.classes, counts, strict=True)}
    return {"count": len(found.classes), "images_of_each": spread(counts.tolist()), "images": images}


def duplicate_groups(found: Contents) -> dict[str, Any]:
    """Groups of images with the same bytes: all, those across splits that the dataset comes with, of two labels."""
    hashes = found.metadata["hash"].to_numpy()
    groups = equal_images(hashes, np.flatnonzero(hashes != ""))
    across = [rows for rows in groups if found.splits is not None and len(set(found.splits[rows])) > 1]
    two_labels = [rows for rows in groups if len(set(found.labels[rows])) > 1]

    def names(groups: list[np.ndarray]) -> list[list[str]]:
        return [[found.name(int(row)) for row in rows] for rows in groups]

    return {
        "groups": len(groups),
        "across_splits": names(across),
        "under_two_labels": names(two_labels),
        "names": names(groups),
    }


def spread(values: list[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {"least": min(values), "median": float(np.median(values)), "most": max(values)}
