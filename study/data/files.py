"""A dataset of encoded images: looked at once, freed of what cannot be used, and read through Ray Data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from study.data.decoding import Unreadable, decode, reason
from study.data.duplicates import copies
from study.data.image_index import Encoded, ImageIndex
from study.data.scan import scan
from study.data.source import DatasetRequest, ExampleSource
from study.text import shorten

MOST_UNREADABLE = 0.01


@dataclass(frozen=True)
class Decoded:
    """The images of a dataset that can be used; `rows` are theirs among all."""

    images: Encoded
    rows: np.ndarray

    def decoded(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        wanted = self.rows[rows]
        for row, data in zip(wanted, self.images.read(wanted), strict=True):
            try:
                if isinstance(data, OSError):
                    raise Unreadable(reason(data))
                pixels = decode(data)
            except Unreadable as why:
                name = self.images.name(int(row))
                raise Unreadable(f"{name} could be read when the study began, and now not: {why}") from None
            yield pixels

    def name(self, row: int) -> str:
        return self.images.name(int(self.rows[row]))


def source_of(listing: ImageIndex, request: DatasetRequest) -> ExampleSource:
    """What a study can use of a dataset. Raises ValueError where that is too little, or its splits share images."""
    seen = scan(listing.images, listing.name).to_pydict()
    hashes = np.array(seen["hash"])
    left_out = unreadable(listing, seen["problem"], request)
    left_out |= copies(listing, hashes, [row for row in range(len(hashes)) if row not in left_out], request.duplicates)
    rows = np.setdiff1d(np.arange(len(hashes)), list(left_out))
    labels = listing.labels[rows]
    parts = listing.draw(labels) if listing.draw else None if listing.parts is None else listing.parts[rows]
    return ExampleSource(
        name=listing.name,
        classes=listing.classes,
        labels=labels,
        images=Decoded(listing.images, rows),
        content=sha256("".join(hashes[rows]).encode() + labels.tobytes()).hexdigest(),
        test_rows=rows_of(parts, "test"),
        val_rows=rows_of(parts, "val"),
        left_out=tuple((listing.images.name(row), why) for row, why in sorted(left_out.items())),
    )


def rows_of(parts: np.ndarray | None, name: str) -> np.ndarray | None:
    rows = np.flatnonzero(parts == name) if parts is not None else np.empty(0, int)
    return rows if len(rows) else None


def unreadable(listing: ImageIndex, problems: Sequence[str | None], request: DatasetRequest) -> dict[int, str]:
    """Why each image that cannot be read is left out. Raises ValueError if they are too many, or, if strict, any."""
    found = {row: problem for row, problem in enumerate(problems) if problem}
    names = [f"{listing.images.name(row)} ({problem})" for row, problem in found.items()]
    if found and request.strict:
        raise ValueError(f"{listing.name}: {names[0]} cannot be read: repair or remove it, or leave out --strict")
    if len(found) > MOST_UNREADABLE * len(problems):
        raise ValueError(
            f"{listing.name}: {len(found)} of {len(problems)} images cannot be read, more than {MOST_UNREADABLE:.0%}: "
            f"{shorten(names)}: repair or remove them (python -m study.data check --json names them all)"
        )
    return found
