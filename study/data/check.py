"""What is in a dataset, what is wrong with it, and what a study would do about that."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from study.data import named, resolve
from study.data.duplicates import equal_images
from study.data.image_index import ImageIndex
from study.data.scan import ImageMetadata, scan
from study.data.source import Arrays, DatasetRequest, ExampleSource
from study.data.splits import split

HANDLED = {
    "L": "grey, repeated into three channels",
    "RGB": "as they are",
    "1": "read as grey",
    "LA": "laid on white",
    "RGBA": "laid on white",
    "P": "converted to RGB",
    "CMYK": "converted to RGB",
}


@dataclass(frozen=True)
class Contents:
    """Every image of a dataset, whether a study takes it or not.

    Attributes:
        labels: (N,) int64.
        splits: (N,) `train`, `val` or `test`, where the dataset comes with that.
        metadata: of each image, the fields of `ImageMetadata`.
        name: where a user finds an image, by its row.
        ignored: files that are no images, or in no class.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray | None
    metadata: list[dict[str, Any]]
    name: Callable[[int], str]
    ignored: int


def check(given: str, request: DatasetRequest) -> dict[str, Any]:
    """All that is known of a dataset, as JSON holds it. Raises ValueError where there is none."""
    index = named.image_index(given, request) if given in named.names() else resolve.image_index(given, request)
    source, sizes, refused = None, None, None
    try:
        source = resolve.load(given, request)
        sizes = split(source).sizes()
    except ValueError as reason:
        if index is None:
            raise
        refused = str(reason)
    contents = contents_of_index(index) if index else contents_of_arrays(source)
    metadata = contents.metadata
    readable = [image for image in metadata if image["width"]]
    return {
        "dataset": given,
        "study": refused or "takes it",
        "usable": refused is None,
        "images": len(metadata),
        "classes": class_balance(contents),
        "comes_with": sorted(set(contents.splits.tolist())) if contents.splits is not None else [],
        "splits": sizes,
        "width": spread([image["width"] for image in readable]),
        "height": spread([image["height"] for image in readable]),
        "formats": dict(Counter(image["format"] for image in readable if image["format"]).most_common()),
        "modes": dict(Counter(image["mode"] for image in readable).most_common()),
        "rotated": sum(bool(image["rotated"]) for image in metadata),
        "animated": sum((image["frames"] or 1) > 1 for image in metadata),
        "unreadable": [
            {"image": contents.name(row), "why": image["problem"]}
            for row, image in enumerate(metadata)
            if image["problem"]
        ],
        "copies": duplicate_groups(contents),
        "ignored_files": contents.ignored,
        "left_out": [{"image": name, "why": why} for name, why in source.left_out] if source else [],
    }


def contents_of_index(index: ImageIndex) -> Contents:
    metadata = scan(index.images, index.name).to_pylist()
    return Contents(index.labels, index.classes, index.splits, metadata, index.images.name, index.ignored)


def contents_of_arrays(source: ExampleSource | None) -> Contents:
    assert source
    assert isinstance(source.images, Arrays)
    pixels = source.images.pixels
    mode = "L" if pixels.ndim == 3 else "RGB"
    height, width = pixels.shape[1:3]
    metadata = [
        asdict(ImageMetadata(sha256(image.tobytes()).hexdigest(), image.nbytes, mode=mode, width=width, height=height))
        for image in pixels
    ]
    splits = None
    if source.test_rows is not None:
        splits = np.where(np.isin(np.arange(len(pixels)), source.test_rows), "test", "train")
    return Contents(source.labels, source.classes, splits, metadata, lambda row: f"image {row}", 0)


def class_balance(contents: Contents) -> dict[str, Any]:
    """Images per class, in words and in full."""
    counts = np.bincount(contents.labels, minlength=len(contents.classes))
    images = {name: int(n) for name, n in zip(contents.classes, counts, strict=True)}
    return {"count": len(contents.classes), "images_of_each": spread(counts.tolist()), "images": images}


def duplicate_groups(contents: Contents) -> dict[str, Any]:
    """Groups of images with the same bytes: all, those across splits that the dataset comes with, of two labels."""
    hashes = np.array([image["hash"] for image in contents.metadata])
    groups = equal_images(hashes, np.flatnonzero(hashes != ""))
    across = [rows for rows in groups if contents.splits is not None and len(set(contents.splits[rows])) > 1]
    two_labels = [rows for rows in groups if len(set(contents.labels[rows])) > 1]

    def names(groups: list[np.ndarray]) -> list[list[str]]:
        return [[contents.name(int(row)) for row in rows] for rows in groups]

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
