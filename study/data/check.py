"""What is in a dataset, what is wrong with it, and what a study would do about that."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from study.data import named, resolve
from study.data.duplicates import repeated
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
class Seen:
    """A dataset and every image of it, whether a study takes it or not."""

    labels: np.ndarray
    classes: tuple[str, ...]
    parts: np.ndarray | None
    looks: list[dict[str, Any]]
    name: Callable[[int], str]
    ignored: int


def checked(given: str, request: DatasetRequest) -> dict[str, Any]:
    """All that is known of a dataset, as JSON holds it. Raises ValueError where there is none."""
    listing = named.listing(given, request) if given in named.names() else resolve.listing(given, request)
    source, sizes, refused = None, None, None
    try:
        source = resolve.load(given, request)
        sizes = split(source).sizes()
    except ValueError as reason:
        if listing is None:
            raise
        refused = str(reason)
    seen = of_listing(listing) if listing else of_arrays(source)
    looks = seen.looks
    shown = [one for one in looks if one["width"]]
    return {
        "dataset": given,
        "study": refused or "takes it",
        "usable": refused is None,
        "images": len(looks),
        "classes": balance(seen),
        "comes_with": sorted(set(seen.parts.tolist())) if seen.parts is not None else [],
        "splits": sizes,
        "width": spread([one["width"] for one in shown]),
        "height": spread([one["height"] for one in shown]),
        "formats": dict(Counter(one["format"] for one in shown if one["format"]).most_common()),
        "modes": dict(Counter(one["mode"] for one in shown).most_common()),
        "rotated": sum(bool(one["rotated"]) for one in looks),
        "animated": sum((one["frames"] or 1) > 1 for one in looks),
        "unreadable": [{"image": seen.name(i), "why": one["problem"]} for i, one in enumerate(looks) if one["problem"]],
        "copies": copies(seen),
        "ignored_files": seen.ignored,
        "left_out": [{"image": name, "why": why} for name, why in source.left_out] if source else [],
    }


def of_listing(listing: ImageIndex) -> Seen:
    looks = scan(listing.images, listing.name).to_pylist()
    return Seen(listing.labels, listing.classes, listing.parts, looks, listing.images.name, listing.ignored)


def of_arrays(source: ExampleSource | None) -> Seen:
    assert source
    assert isinstance(source.images, Arrays)
    pixels = source.images.pixels
    mode = "L" if pixels.ndim == 3 else "RGB"
    height, width = pixels.shape[1:3]
    looks = [
        asdict(ImageMetadata(sha256(image.tobytes()).hexdigest(), image.nbytes, mode=mode, width=width, height=height))
        for image in pixels
    ]
    parts = None
    if source.test_rows is not None:
        parts = np.where(np.isin(np.arange(len(pixels)), source.test_rows), "test", "train")
    return Seen(source.labels, source.classes, parts, looks, lambda row: f"image {row}", 0)


def balance(seen: Seen) -> dict[str, Any]:
    """Images of each class, in words and in full."""
    counts = np.bincount(seen.labels, minlength=len(seen.classes))
    each = {name: int(n) for name, n in zip(seen.classes, counts, strict=True)}
    return {"count": len(seen.classes), "images_of_each": spread(counts.tolist()), "images": each}


def copies(seen: Seen) -> dict[str, Any]:
    """Groups of images with the same bytes: inside a split, and across those that the dataset comes with."""
    hashes = np.array([one["hash"] for one in seen.looks])
    groups = repeated(hashes, np.flatnonzero(hashes != ""))
    across = [rows for rows in groups if seen.parts is not None and len(set(seen.parts[rows])) > 1]
    labels = [rows for rows in groups if len(set(seen.labels[rows])) > 1]
    return {
        "groups": len(groups),
        "across_splits": [[seen.name(int(row)) for row in rows] for rows in across],
        "under_two_labels": [[seen.name(int(row)) for row in rows] for rows in labels],
        "names": [[seen.name(int(row)) for row in rows] for rows in groups],
    }


def spread(values: list[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {"least": min(values), "median": float(np.median(values)), "most": max(values)}
