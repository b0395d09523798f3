"""A dataset of encoded images: scanned once, freed of what cannot be used, and decoded where it is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

import numpy as np
import pyarrow as pa

from study.data import findings, near_copies
from study.data.decoding import USUAL, Unreadable, decode, read_header, reason
from study.data.duplicates import find_duplicates, find_thumbnails
from study.data.image_index import Encoded, ImageIndex
from study.data.pixel_range import PixelRange
from study.data.scan import scan
from study.data.source import DatasetRequest, ExampleSource
from study.text import SHOWN

MOST_UNREADABLE = 0.01
HASHED_AT_A_TIME = 10_000
HASH_BYTES = 8  # of an image's hash, by which every reader knows it again: 8 MB for a million images
MEASURED = ["mode", "least", "most", "nearly_least", "nearly_most"]
SEEN = 8  # images, by which a machine tells whether it sees the same files as another


@dataclass(frozen=True)
class Decoded:
    """The images of a dataset that can be used.

    Attributes:
        rows: theirs among all.
        hashes: (N, 8) uint8, the beginning of each one's hash when the study began.
        pixel_range: how deep pixels become eight bits.
    """

    images: Encoded
    rows: np.ndarray
    hashes: np.ndarray
    pixel_range: PixelRange = USUAL

    @property
    def rows_at_once(self) -> float:
        return self.images.rows_at_once

    def decoded(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        for row, data in zip(rows, self.encoded(rows), strict=True):
            yield from self.decode(np.array([row]), [data])

    def encoded(self, rows: np.ndarray) -> Iterator[bytes]:
        rows_of_all = self.rows[rows]
        for row, expected, data in zip(rows_of_all, self.hashes[rows], self.images.read(rows_of_all), strict=True):
            if isinstance(data, OSError):
                raise self.unreadable(row, reason(data))
            if (
                sha256(data).digest()[:HASH_BYTES] != expected.tobytes()
            ):  # it would be stored, and trained on, as the other
                raise self.unreadable(row, what_is_wrong(data))
            yield data

    def decode(self, rows: np.ndarray, encoded: Sequence[bytes]) -> Iterator[np.ndarray]:
        for row, data in zip(self.rows[rows], encoded, strict=True):
            try:
                pixels = decode(data, self.pixel_range)
            except Unreadable as why:
                raise self.unreadable(row, why) from None
            yield pixels

    def unreadable(self, row: int, why: object) -> Unreadable:
        return Unreadable(f"{self.images.name(int(row))} could be read when the study began, and now not: {why}")

    def seen(self) -> str:
        """Of some images spread over all: a look at each would take minutes where they are very many."""
        return self.images.seen(np.unique(np.linspace(0, len(self.rows) - 1, SEEN).astype(int)))

    def name(self, row: int) -> str:
        return self.images.name(int(self.rows[row]))


@dataclass(frozen=True)
class Examined:
    """A dataset after its scan: what a study can use, and all that stands against one.

    Attributes:
        metadata: a row an image, as `study.data.scan` has them.
        left_out: why an image is not used, by its row.
        problems: why no study takes it, each in one line with the way out.
    """

    index: ImageIndex
    metadata: pa.Table
    left_out: Mapping[int, str]
    source: ExampleSource
    problems: tuple[str, ...]


def source_of(index: ImageIndex, request: DatasetRequest) -> ExampleSource:
    """What a study can use of a dataset. Raises ValueError where that is too little, or its splits share images."""
    refuse(index.refusals)
    examined = examine(index, request)
    refuse(examined.problems)
    return examined.source


def refuse(problems: Sequence[str]) -> None:
    """Raises ValueError for the first, which says whether there are others."""
    if problems:
        more = f"; {len(problems) - 1} more: python -m study.data check names all" if len(problems) > 1 else ""
        raise ValueError(problems[0] + more)


def examine(index: ImageIndex, request: DatasetRequest) -> Examined:
    """Reads every image once, unless that was done before."""
    metadata = scan(index.images, index.name)
    hashes = metadata["hash"].to_numpy()  # of objects: as an array of text it would take four times as much
    problems = list(index.refusals)
    unreadable = {row: problem for row, problem in enumerate(metadata["problem"].to_pylist()) if problem}
    problems += too_many(index, unreadable, request)
    left_out = dict(unreadable)
    readable = [row for row in range(len(hashes)) if row not in left_out]
    for find in (find_duplicates, find_thumbnails):
        try:
            found = find(index, metadata, readable, request.duplicates)
        except ValueError as refusal:
            problems.append(str(refusal))
        else:
            left_out |= {row: why for row, why in found.items() if row not in left_out}
            readable = [row for row in readable if row not in found]
    rows = np.setdiff1d(np.arange(len(hashes)), list(left_out))
    labels = index.labels[rows]
    splits = index.draw(labels) if index.draw else None if index.splits is None else index.splits[rows]
    pixel_range = PixelRange.measured(metadata.select(MEASURED).take(pa.array(rows)))
    images = Decoded(index.images, rows, as_bytes(hashes[rows]), pixel_range)
    source = ExampleSource(
        name=index.name,
        classes=index.classes,
        labels=labels,
        images=images,
        content=content_of(hashes[rows], labels, pixel_range),
        test_rows=rows_of(splits, "test"),
        val_rows=rows_of(splits, "val"),
        encoded_bytes=int(metadata["bytes"].to_numpy()[rows].sum()),
        left_out=tuple((index.images.name(row), why) for row, why in sorted(left_out.items())),
        aside={one.kind: one.count for one in index.aside},
        pixel_range=pixel_range.facts(),
        groups=None if index.groups is None else index.groups[rows],
        warnings=(
            *findings.of_files(index.aside),
            *findings.of_classes(index.classes, labels),
            *findings.of_pixels(metadata, rows, labels, index.classes, index.images.name, pixel_range),
        ),
        pictures=near_copies.pictures(metadata["tiny"].take(pa.array(rows))),
    )
    return Examined(index, metadata, left_out, source, tuple(problems))


def content_of(hashes: np.ndarray, labels: np.ndarray, pixel_range: PixelRange = USUAL) -> str:
    """A hash of images and labels, and of how images are read where that is not as it always was."""
    digest = sha256()
    for some in np.array_split(hashes, max(1, len(hashes) // HASHED_AT_A_TIME)):
        digest.update("".join(some).encode())
    digest.update(labels.tobytes())
    if not pixel_range.is_usual:
        digest.update(repr(pixel_range.facts()).encode())
    return digest.hexdigest()


def what_is_wrong(data: bytes) -> str:
    """With the bytes of an image that are no longer those that were scanned."""
    try:
        read_header(data)
    except Unreadable as why:
        return str(why)
    return "it is another image"


def as_bytes(hashes: np.ndarray) -> np.ndarray:
    """(N, 8) uint8, of hashes in hexadecimal digits."""
    beginnings = b"".join(bytes.fromhex(one[: 2 * HASH_BYTES]) for one in hashes)
    return np.frombuffer(beginnings, np.uint8).reshape(-1, HASH_BYTES)


def rows_of(splits: np.ndarray | None, name: str) -> np.ndarray | None:
    rows = np.flatnonzero(splits == name) if splits is not None else np.empty(0, int)
    return rows if len(rows) else None


def too_many(index: ImageIndex, unreadable: Mapping[int, str], request: DatasetRequest) -> list[str]:
    """What is said of images that cannot be read if they are too many, or, if strict, any."""
    names = [f"{index.images.name(row)} ({problem})" for row, problem in islice(unreadable.items(), SHOWN)]
    total, some = len(index.images), len(unreadable)
    if unreadable and request.strict:
        return [f"{index.name}: {names[0]} cannot be read: repair or remove it, or leave out --strict"]
    if some > MOST_UNREADABLE * total:
        shown = ", ".join(names) + (f" and {some - SHOWN} more" if some > SHOWN else "")
        return [
            f"{index.name}: {some} of {total} images cannot be read, more than {MOST_UNREADABLE:.0%}: "
            f"{shown}: repair or remove them (python -m study.data check --json names them all)"
        ]
    return []
