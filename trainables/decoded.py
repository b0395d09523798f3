"""Boundary 0: decoded images, as the store of a node keeps them, or else its memory."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from trainables import boundaries, neighbours, siblings
from trainables.architecture import Preprocessing
from trainables.batches import CachedSplit, gather_rows
from trainables.boundaries import Chunk, Entry, Facts, Store
from trainables.images import SplitImages
from trainables.memory import available
from trainables.process import versions
from trainables.splits import SplitDigest

# of what an entry holds: raise it when our own code comes to compute something else, or to store it otherwise
FORMAT = 2


@runtime_checkable
class Batched(Protocol):
    """Brings `position, index, image (H, W, 3) uint8, label` in any order: images of a split, or a Ray Dataset."""

    def iter_batches(self, *, batch_size: None, batch_format: str) -> Iterable[Any]: ...


def facts_of_images(digest: SplitDigest, preprocessing: Preprocessing) -> Facts:
    """Everything that determines boundary 0."""
    return {
        "format": FORMAT,
        "boundary": 0,
        "images": digest.content,
        **({"source": digest.source} if digest.source else {}),
        "transform": [preprocessing.size, preprocessing.crop, preprocessing.interpolation],
        "versions": versions(),
    }


def image_bytes(preprocessing: Preprocessing) -> int:
    return 3 * preprocessing.size**2


def fits_in_memory(size: int) -> bool:
    """Whether so many bytes of images, which the store does not hold, may be gathered in memory.

    They are there twice, once as they come and once in their order, and other runs of this node gather theirs.
    """
    return 8 * size <= available()


def key_of(digest: SplitDigest, preprocessing: Preprocessing) -> str:
    return boundaries.name_of(facts_of_images(digest, preprocessing))


def open_or_cache(
    store: Store, digest: SplitDigest, preprocessing: Preprocessing, shard: Callable[[], SplitImages]
) -> Entry | None:
    """Boundary 0, from the store or else from `shard`, and then kept there; None where it cannot be kept."""
    facts = facts_of_images(digest, preprocessing)
    rows = images_or_siblings(store, facts, shard)
    return neighbours.open_or_fill(store, facts, digest.length, image_bytes(preprocessing), rows)


def images_or_siblings(store: Store, facts: Facts, shard: Callable[[], SplitImages]) -> Iterator[Chunk]:
    """Boundary 0 of a split: what is stored of its images for another, then the others. Nothing is read before."""
    images = shard()
    if not facts.get("source"):
        yield from iter_image_batches(images)
        return
    labels, index = images.labels_and_index()
    yield from siblings.copied_or_else(
        store, facts, index, labels, lambda missing: iter_image_batches(images.dataset(missing))
    )


def iter_image_batches(dataset: Batched) -> Iterator[Chunk]:
    """Boundary 0 of a split, in any order: Ray Data promises none. Nothing is read before a row is asked for."""
    for block in dataset.iter_batches(batch_size=None, batch_format="numpy"):
        yield block["position"], block["index"], block["label"], read_only(block["image"]).permute(0, 3, 1, 2)


def read_only(array: np.ndarray) -> Tensor:
    """Without a copy of what Ray hands out, into which nobody may write; torch warns that one could."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)


def load_in_memory(dataset: Batched) -> CachedSplit:
    """All of `position, index, image, label` in memory, in the order of the positions."""
    positions, index, labels, images = zip(*iter_image_batches(dataset), strict=True)
    order = np.argsort(np.concatenate(positions))
    return CachedSplit(
        images=gather_rows(torch.cat(images), torch.from_numpy(order)),
        labels=torch.from_numpy(np.concatenate(labels)[order]),
        index=np.concatenate(index)[order],
    )
