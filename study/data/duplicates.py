"""Images that occur more than once, byte for byte: none may be in two splits."""

import numpy as np

from study.data.image_index import ImageIndex
from study.text import shorten

CHOICES = ("auto", "refuse", "drop", "keep")
ORDER = {"train": 0, "val": 1, "test": 2}


def copies(listing: ImageIndex, hashes: np.ndarray, usable: list[int], duplicates: str) -> dict[int, str]:
    """Why each copy of another image is left out.

    Where the dataset comes with its splits only copies across them count. They are refused (ValueError), unless
    `duplicates` is `drop`: then the last split keeps the image, and test is the last. Where we draw the splits, the
    first of equal images stays, and none of those that have two labels; `refuse` refuses these too.
    """
    groups = [] if duplicates == "keep" else repeated(hashes, np.array(usable, np.int64))
    if listing.parts is not None:
        leaving = [(rows, before_the_last(listing.parts[rows])) for rows in groups]
    else:
        leaving = [(rows, after_the_first(listing.labels[rows])) for rows in groups]
    leaving = [(rows, leaves) for rows, leaves in leaving if leaves.any()]
    if leaving and (duplicates == "refuse" or (duplicates == "auto" and listing.parts is not None)):
        shown = shorten([" = ".join(listing.images.name(int(row)) for row in rows[:3]) for rows, _ in leaving])
        where = "more than one of its splits" if listing.parts is not None else "it more than once"
        number = "1 image is" if len(leaving) == 1 else f"{len(leaving)} images are"
        raise ValueError(
            f"{listing.name}: {number} in {where}: {shown}: remove the copies, or leave them out by --duplicates drop"
        )
    found = {}
    for rows, leaves in leaving:
        original = listing.images.name(int(rows[~leaves][0])) if not leaves.all() else None
        for row in rows[leaves]:
            other = original or listing.images.name(int(next(one for one in rows if one != row)))
            found[int(row)] = f"the same as {other}" + ("" if original else ", under another label")
    return found


def repeated(hashes: np.ndarray, usable: np.ndarray) -> list[np.ndarray]:
    """Rows of equal hash, where there are at least two, each in order."""
    order = usable[np.argsort(hashes[usable], kind="stable")]
    starts = np.flatnonzero(hashes[order][1:] != hashes[order][:-1]) + 1
    return [np.sort(rows) for rows in np.split(order, starts) if len(rows) > 1]


def before_the_last(parts: np.ndarray) -> np.ndarray:
    order = np.array([ORDER[part] for part in parts])
    return order < order.max()


def after_the_first(labels: np.ndarray) -> np.ndarray:
    if len(set(labels.tolist())) > 1:
        return np.ones(len(labels), bool)
    return np.arange(len(labels)) > 0
