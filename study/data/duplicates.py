"""Images that occur more than once, byte for byte or as a thumbnail: none may be in two splits."""

import numpy as np
import pyarrow as pa

from study.data import near_copies
from study.data.image_index import Files, ImageIndex
from study.text import shorten

SPLIT_ORDER = {"train": 0, "val": 1, "test": 2}


def find_duplicates(index: ImageIndex, metadata: pa.Table, usable: list[int], duplicates: str) -> dict[int, str]:
    """Why each duplicate of another image is left out, by row.

    Where the dataset comes with its splits only duplicates across them count. They are refused (ValueError), unless
    `duplicates` is `drop`: then the last split keeps the image, and test is the last. Where we draw the splits, the
    first of equal images stays, and none of those that have two labels; `refuse` refuses these too.
    """
    hashes = metadata["hash"].to_numpy()
    groups = [] if duplicates == "keep" else equal_images(hashes, np.array(usable, np.int64))
    if index.splits is not None:
        dropped = [(rows, before_the_last(index.splits[rows])) for rows in groups]
    else:
        dropped = [(rows, after_the_first(index.labels[rows])) for rows in groups]
    dropped = [(rows, mask) for rows, mask in dropped if mask.any()]
    if dropped and (duplicates == "refuse" or (duplicates == "auto" and index.splits is not None)):
        examples = shorten([" = ".join(index.images.name(int(row)) for row in rows[:3]) for rows, _ in dropped])
        where = "more than one of its splits" if index.splits is not None else "it more than once"
        number = "1 image is" if len(dropped) == 1 else f"{len(dropped)} images are"
        raise ValueError(
            f"{index.name}: {number} in {where}: {examples}: remove the copies, or leave them out by --duplicates drop"
        )
    reasons = {}
    for rows, mask in dropped:
        original = index.images.name(int(rows[~mask][0])) if not mask.all() else None
        for row in rows[mask]:
            other = original or index.images.name(int(next(one for one in rows if one != row)))
            reasons[int(row)] = f"the same as {other}" + ("" if original else ", under another label")
    return reasons


def find_thumbnails(index: ImageIndex, metadata: pa.Table, usable: list[int], duplicates: str) -> dict[int, str]:
    """Why each small or converted copy of another image of its name and class is left out, by row.

    Raises ValueError where the two are in different splits of the dataset's own, unless `duplicates` is `drop`.
    """
    if duplicates == "keep" or not isinstance(index.images, Files):
        return {}
    width, height = (metadata[side].fill_null(0).to_numpy().astype(np.int64) for side in ("width", "height"))
    copies = near_copies.thumbnails(
        index.images.paths, np.array(usable, np.int64), index.labels, metadata["tiny"], width * height
    )
    across = {
        row: original
        for row, original in copies.items()
        if index.splits is not None and index.splits[row] != index.splits[original]
    }
    if across and duplicates != "drop":
        shown = shorten([f"{index.images.name(one)} ~ {index.images.name(other)}" for one, other in across.items()])
        raise ValueError(
            f"{index.name}: {len(across)} images are small or converted copies of one in another split: {shown}: "
            "remove them, or leave them out by --duplicates drop"
        )
    return {row: f"a copy of {index.images.name(original)}, by name and look" for row, original in copies.items()}


def equal_images(hashes: np.ndarray, usable: np.ndarray) -> list[np.ndarray]:
    """Rows of equal hash, where there are at least two, each in order."""
    numbers = pa.array(hashes[usable], pa.string()).dictionary_encode().indices.to_numpy()
    several = usable[np.bincount(numbers)[numbers] > 1]  # few of a million, and only they have to be sorted
    order = several[np.argsort(hashes[several], kind="stable")]
    starts = np.flatnonzero(hashes[order][1:] != hashes[order][:-1]) + 1
    return [np.sort(rows) for rows in np.split(order, starts) if len(rows) > 1]


def before_the_last(splits: np.ndarray) -> np.ndarray:
    """A mask of the images that are in an earlier split than the last of them."""
    order = np.array([SPLIT_ORDER[split] for split in splits])
    return order < order.max()


def after_the_first(labels: np.ndarray) -> np.ndarray:
    """A mask of all but the first image; of all where they have two labels."""
    if len(set(labels.tolist())) > 1:
        return np.ones(len(labels), bool)
    return np.arange(len(labels)) > 0
