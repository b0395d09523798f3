"""Entries of the store that another node has: they are copied from there, which costs no decoding and no computing."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError

from trainables.batches import is_channels_last
from trainables.boundaries import Chunk, Entry, Facts, Store, plain
from trainables.images import ask, here, several_nodes
from trainables.process import current

WORTH_ASKING = 64 << 20  # bytes: what is smaller is there sooner than the others' answers
PATIENCE_SECONDS = 20  # a node may have to start a process to answer
BYTES_AT_A_TIME, AT_A_TIME = 32 << 20, 4


class Gone(Exception):
    """The node that had an entry is lost, or it has removed the entry."""


@dataclass(frozen=True)
class Holder:
    """Another node, and what it has."""

    node: str
    length: int
    row_bytes: int


@dataclass(frozen=True)
class Rows:
    """Some rows of an entry as NumPy holds them: see `boundaries.plain`."""

    index: np.ndarray
    labels: np.ndarray
    data: np.ndarray
    dtype: str
    channels_last: bool


def open_or_fill(store: Store, facts: Facts, length: int, row_bytes: int, rows: Iterable[Chunk]) -> Entry | None:
    """The entry from this node's store, else copied from another's, else from `rows`: see `Store.open_or_fill`."""
    if length * row_bytes < WORTH_ASKING or not several_nodes():
        return store.open_or_fill(facts, length, row_bytes, rows)
    return store.open_or_fill(facts, length, row_bytes, copied_or_else(facts, rows))


def open_or_copy(store: Store, facts: Facts, instead: int) -> Entry | None:
    """The entry from this node's store, else copied from another's; None where neither has it.

    Others are asked only where that is worth it: `instead` are the bytes that this node would have to fetch else.
    """
    entry = store.open(facts)
    if entry or instead < WORTH_ASKING or not several_nodes():
        return entry
    holder = find(facts)
    if holder is None:
        return None
    try:
        return store.open_or_fill(facts, holder.length, holder.row_bytes, copied(facts, holder))
    except Gone:
        return None


def copied_or_else(facts: Facts, rows: Iterable[Chunk]) -> Iterator[Chunk]:
    holder = find(facts)
    if holder:
        try:
            yield from copied(facts, holder)
            return
        except Gone:
            pass
    yield from rows  # what was copied comes again


def find(facts: Facts) -> Holder | None:
    """The first of the other nodes to say that it has an entry."""
    return next((Holder(*answer) for answer in answers(described, facts) if answer), None)


def answers(function: Any, *arguments: Any) -> Iterator[Any]:
    """What a function returns on each of the other nodes, of those that answer in time, as they come."""
    others = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != here()]
    waiting = [ask(function, node, *arguments) for node in others]
    while waiting:
        answered, waiting = ray.wait(waiting, timeout=PATIENCE_SECONDS)
        if not answered:
            return
        with suppress(RayError):  # it was lost
            yield ray.get(answered[0])


def copied(facts: Facts, holder: Holder) -> Iterator[Chunk]:
    """All rows, in order, a few requests ahead. Raises Gone."""
    at_once = max(1, BYTES_AT_A_TIME // holder.row_bytes)
    starts = list(range(0, holder.length, at_once))
    coming: list[Any] = []
    for number, start in enumerate(starts):
        while len(coming) < AT_A_TIME and number + len(coming) < len(starts):
            first = starts[number + len(coming)]
            coming.append(ask(rows_here, holder.node, facts, first, min(first + at_once, holder.length)))
        try:
            rows: Rows | None = ray.get(coming.pop(0))
        except RayError as error:
            raise Gone(holder.node) from error
        if rows is None:
            raise Gone(holder.node)
        data = torch.tensor(rows.data)  # a copy: Ray's arrays may not be written to
        data = data.view(torch.bfloat16) if rows.dtype == "bfloat16" else data
        positions = np.arange(start, start + len(data))
        yield positions, rows.index, rows.labels, data.permute(0, 3, 1, 2) if rows.channels_last else data


def described(facts: Facts) -> tuple[str, int, int] | None:
    """This node, the rows of an entry that it has, and the bytes of each."""
    with_it = Store.here(current().verified).open(facts)
    if with_it is None:
        return None
    with_it.close()
    return here(), len(with_it.split), with_it.split.nbytes // max(1, len(with_it.split))


def rows_here(facts: Facts, start: int, stop: int) -> Rows | None:
    """Some rows of an entry of this node; None where it has it no more."""
    entry = Store.here(current().verified).open(facts)
    if entry is None:
        return None
    try:
        split = entry.split
        images, last = split.images[start:stop], is_channels_last(split.images)
        return Rows(
            split.index[start:stop].copy(),
            split.labels[start:stop].numpy().copy(),
            plain(images, last).copy(),
            str(images.dtype).removeprefix("torch."),
            last,
        )
    finally:
        entry.close()
