"""A dataset of encoded images: scanned once, freed of what cannot be used, and decoded where it is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from study.data.decoding import Unreadable, decode, read_header, reason
from study.data.duplicates import find_duplicates
from study.data.image_index import Encoded, ImageIndex
from study.data.scan import scan
from study.data.source import DatasetRequest, ExampleSource
from study.text import shorten

MOST_UNREADABLE = 0.01
HASHED_AT_A_TIME = 10_000
HASH_BYTES = 8  # of an image's hash, by which every reader knows it again: 8 MB for a million images
SEEN = 8  # images, by which a machine tells whether it sees the same files as another


@dataclass(frozen=True)
class Decoded:
    """The images of a dataset that can be used.

    Attributes:
        rows: theirs among all.
        hashes: (N, 8) uint8, the beginning of each one's hash when the study began.
    """

    images: Encoded
    rows: np.ndarray
    hashes: np.ndarray

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
                pixels = decode(data)
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


def source_of(index: ImageIndex, request: DatasetRequest) -> ExampleSource:
    """What a study can use of a dataset. Raises ValueError where that is too little, or its splits share images."""
    metadata = scan(index.images, index.name)
    hashes = metadata["hash"].to_numpy()  # of objects: as an array of text it would take four times as much
    left_out = find_unreadable(index, metadata["problem"].to_pylist(), request)
    readable = [row for row in range(len(hashes)) if row not in left_out]
    left_out |= find_duplicates(index, hashes, readable, request.duplicates)
    rows = np.setdiff1d(np.arange(len(hashes)), list(left_out))
    labels = index.labels[rows]
    splits = index.draw(labels) if index.draw else None if index.splits is None else index.splits[rows]
    return ExampleSource(
        name=index.name,
        classes=index.classes,
        labels=labels,
        images=Decoded(index.images, rows, as_bytes(hashes[rows])),
        content=content_of(hashes[rows], labels),
        test_rows=rows_of(splits, "test"),
        val_rows=rows_of(splits, "val"),
        encoded_bytes=int(metadata["bytes"].to_numpy()[rows].sum()),
        left_out=tuple((index.images.name(row), why) for row, why in sorted(left_out.items())),
    )


def content_of(hashes: np.ndarray, labels: np.ndarray) -> str:
    """A hash of images and labels."""
    digest = sha256()
    for some in np.array_split(hashes, max(1, len(hashes) // HASHED_AT_A_TIME)):
        digest.update("".join(some).encode())
    digest.update(labels.tobytes())
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


def find_unreadable(index: ImageIndex, problems: Sequence[str | None], request: DatasetRequest) -> dict[int, str]:
    """Why each image that cannot be read is left out. Raises ValueError if they are too many, or, if strict, any."""
    reasons = {row: problem for row, problem in enumerate(problems) if problem}
    names = [f"{index.images.name(row)} ({problem})" for row, problem in reasons.items()]
    if reasons and request.strict:
        raise ValueError(f"{index.name}: {names[0]} cannot be read: repair or remove it, or leave out --strict")
    if len(reasons) > MOST_UNREADABLE * len(problems):
        raise ValueError(
            f"{index.name}: {len(reasons)} of {len(problems)} images cannot be read, more than {MOST_UNREADABLE:.0%}: "
            f"{shorten(names)}: repair or remove them (python -m study.data check --json names them all)"
        )
    return reasons
