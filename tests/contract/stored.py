"""Entries of the store of boundaries in tests. This imports no more than the store does: processes start with it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.boundaries import GIB, Chunk, Entry, Store
from trainables.precision import DTYPES

FACTS: dict[str, Any] = {"boundary": 3, "stage": "layer3", "images": "0123456789abcdef", "precision": "fp32"}
BLOCK = 16


def store_in(folder: Path, limit: int = GIB) -> Store:
    return Store(folder / "store", limit)


def data_of(shape: Sequence[int] = (70, 4, 3, 5), kind: str = "fp32", seed: int = 0) -> Tensor:
    """Random numbers of one of the formats that boundaries have, images uint8 included."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.mul(64).abs().to(torch.uint8) if kind == "uint8" else numbers.to(DTYPES[kind])


def rows_of(data: Tensor, order: Sequence[int] | None = None) -> Iterator[Chunk]:
    """Blocks of rows; a row's index is its position and 1000, its label is its position modulo 7."""
    for position in torch.tensor(range(len(data)) if order is None else order).split(BLOCK):
        at = position.numpy()
        yield at, at + 1000, at % 7, data[position]


def never() -> Iterator[Chunk]:
    """Rows that nobody may ask for."""
    raise AssertionError("the rows were asked for")
    yield


def fill(
    store: Store, data: Tensor, facts: Mapping[str, Any] = FACTS, rows: Iterator[Chunk] | None = None
) -> Entry | None:
    row_bytes = data[0].numel() * data.element_size()
    return store.open_or_fill(facts, len(data), row_bytes, rows_of(data) if rows is None else rows)


def filled(store: Store, data: Tensor, facts: Mapping[str, Any] = FACTS) -> Entry:
    entry = fill(store, data, facts)
    assert entry, store.notes
    return entry


def holds(entry: Entry | None, data: Tensor) -> bool:
    """Whether an entry is exactly what `rows_of` gave."""
    assert entry
    at = np.arange(len(data))
    split = entry.split
    return (
        split.images.dtype == data.dtype
        and torch.equal(split.images, data)
        and np.array_equal(split.index, at + 1000)
        and split.labels.tolist() == (at % 7).tolist()
    )


def contents(store: Store) -> set[str]:
    """What lies in the store's folder, but for its locks."""
    return {path.name for path in store.folder.iterdir() if path.suffix != ".lock"}


def forget_what_was_verified(store: Store) -> None:
    """As a new process begins."""
    store.verified.clear()


def flip(path: Path, position: int) -> None:
    """Changes one byte of a file, at a position that may count from its end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
