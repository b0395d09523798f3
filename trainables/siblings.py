"""Rows that the store holds for another split of the same dataset: another split or repeat computes none of them again.

An entry is of a split, by its images and their order; what it holds is of each image alone. So a split that is new is
filled from all entries that differ from it in nothing but which images these are, and only what none of them has is
read or computed. It costs a copy on the disk.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from trainables.batches import gather_rows
from trainables.boundaries import Chunk, Entry, Facts, Store

WHICH = "images"  # the fact that says which images of a dataset these are
ROWS = 256  # copied at a time
Rest = Callable[[np.ndarray], Iterator[Chunk]]


def copied_or_else(store: Store, facts: Facts, index: np.ndarray, labels: Tensor, rest: Rest) -> Iterator[Chunk]:
    """All rows of an entry that is to be filled: those that siblings hold, then the others.

    Args:
        index: (N,) the images' places in the dataset, in the order of the entry.
        labels: (N,) their classes.
        rest: brings the rows at some positions.
    """
    missing = np.ones(len(index), bool)
    for entry in siblings(store, facts):
        try:
            places, here = found(entry.split.index, index, missing)
            for some in np.array_split(np.arange(len(here)), max(1, len(here) // ROWS)):
                if len(some):
                    rows = here[some]
                    yield (
                        rows,
                        index[rows],
                        labels.numpy()[rows],
                        gather_rows(entry.split.images, torch.from_numpy(places[some])),
                    )
            missing[here] = False
        finally:
            entry.close()
        if not missing.any():
            return
    if missing.any():
        yield from rest(np.flatnonzero(missing))


def found(held: np.ndarray, index: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a sibling, and the positions that they are for, among those that are missing."""
    order = np.argsort(held, kind="stable")
    place = np.searchsorted(held, index, sorter=order)
    inside = place < len(held)
    places = order[np.minimum(place, len(held) - 1)]
    here = np.flatnonzero(missing & inside & (held[places] == index))
    return places[here], here


def siblings(store: Store, facts: Facts) -> Iterator[Entry]:
    """The entries, opened, that hold the same of other images; none where the facts do not say of which dataset."""
    if not facts.get("source"):
        return
    same = shared(json.loads(json.dumps(facts)))
    for path in store.entries():
        theirs: Facts = {}
        with suppress(OSError, ValueError, KeyError):
            theirs = json.loads((path / "entry.json").read_text())["facts"]
        if shared(theirs) == same and theirs.get(WHICH) != facts[WHICH] and (entry := store.open(theirs)):
            yield entry


def shared(facts: Facts) -> Facts:
    return {name: value for name, value in facts.items() if name != WHICH}
