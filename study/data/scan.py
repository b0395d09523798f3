"""Every image read once: its metadata, whether it can be decoded, and a hash of its bytes. Kept in the cache.

A study needs it before anything starts: an image that cannot be read must not end a trial, and one that is in two
splits must not decide a comparison. A second study of the same files reads the metadata that the first one kept.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from study.data import libjpeg, look
from study.data.decoding import Unreadable, read, read_header, reason
from study.data.image_index import Encoded
from study.files import replacing

Picture = bytes  # by another name, for a field is called bytes
ROWS_AT_A_TIME = 10_000
FORMAT = 2  # raise it when `scan_image` comes to say something else
SCHEMA = pa.schema(
    [
        ("hash", pa.string()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("rotated", pa.bool_()),
        ("problem", pa.string()),
        ("least", pa.float64()),
        ("most", pa.float64()),
        ("nearly_least", pa.float64()),
        ("nearly_most", pa.float64()),
        ("same_channels", pa.bool_()),
        ("tiny", pa.binary(look.SIDE**2)),
    ]
)


@dataclass(frozen=True)
class ImageMetadata:
    """What is known of an image; `problem` says why it cannot be used, None if it can. For the last six see `Look`."""

    hash: str
    bytes: int
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    rotated: bool | None = None
    problem: str | None = None
    least: float | None = None
    most: float | None = None
    nearly_least: float | None = None
    nearly_most: float | None = None
    same_channels: bool | None = None
    tiny: Picture | None = None


def scan_image(data: bytes | OSError) -> ImageMetadata:
    if isinstance(data, OSError):
        return ImageMetadata("", 0, problem=reason(data))
    digest = sha256(data).hexdigest()
    try:
        described, pixels = read(data)
        return ImageMetadata(digest, len(data), **vars(described), **vars(look.of(pixels)))
    except ValueError as refusal:  # Unreadable among them
        metadata = ImageMetadata(digest, len(data))
        with suppress(Unreadable):
            metadata = replace(metadata, **vars(read_header(data)))
        return replace(metadata, problem=str(refusal))


def scan(images: Encoded, dataset: str) -> pa.Table:
    """A row per image, in order; see `SCHEMA`. From what an earlier call kept, if nothing has changed since.

    Not kept where a file could not be read: a network that is down, or a permission, may be another tomorrow.
    """
    kept = folder() / f"{images.state}-{FORMAT}.parquet"
    with suppress(OSError, pa.ArrowException):
        table = pq.read_table(kept, page_checksum_verification=True)
        if table.schema.equals(SCHEMA) and len(table) == len(images):
            return table
    scanned = scan_images(images, dataset)
    batches = []
    while some := list(islice(scanned, ROWS_AT_A_TIME)):  # a million of them as objects would take gigabytes
        batches.append(pa.RecordBatch.from_pylist([vars(metadata) for metadata in some], schema=SCHEMA))
    table = pa.Table.from_batches(batches, schema=SCHEMA).combine_chunks()
    if pc.any(pc.equal(table["hash"], "")).as_py():
        return table
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept, several_writers=True) as part:
            pq.write_table(table, part, write_page_checksum=True)
    return table


def scan_images(images: Encoded, dataset: str) -> Iterator[ImageMetadata]:
    """On several threads: decoders and hashes release the interpreter's lock, and reading waits for disk or network."""
    chunks = list(images.chunks())
    pool = ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1)))
    with libjpeg.unheard() as shown:
        console = Console(file=shown)
        try:
            scanned = pool.map(lambda rows: [scan_image(data) for data in images.read(rows)], chunks)
            for metadata in track(
                scanned,
                f"scanning {len(images):,} images of {dataset}, once",
                total=len(chunks),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            ):
                yield from metadata
        finally:
            pool.shutdown(cancel_futures=True)


def folder() -> Path:
    """Beside the cached activations: $STUDY_CACHE."""
    from trainables.boundaries import Store

    return Store.here().folder / "scans"
