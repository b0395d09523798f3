"""`--dataset`: one of ours by name, or a place: a folder of images, Parquet files, what `datasets` saved, a bucket."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from study.data import folder, named, tables
from study.data.columns import Choice
from study.data.decoding import SUFFIXES
from study.data.files import source_of
from study.data.image_index import ImageIndex
from study.data.place import check, check_address
from study.data.source import DatasetRequest, ExampleSource
from trainables.choices import choose

PATIENCE_SECONDS = 20
DEEPEST = 3  # folders that tables may lie in
# what Arrow raises for an address, and what fsspec's file systems do that it takes for `hf://`
UNREACHABLE = (pa.ArrowException, ValueError, OSError, ImportError, RuntimeError)


def load(given: str, request: DatasetRequest) -> ExampleSource:
    """Raises ValueError where there is no such dataset, or none that can be used."""
    if given in named.names():
        return named.load(given, request)
    return source_of(image_index(given, request), request)


def image_index(given: str, request: DatasetRequest) -> ImageIndex:
    """The images at a place. Raises ValueError where there are none."""
    check(given)
    try:
        filesystem, place = opened(given, offline=request.offline)
        info = filesystem.get_file_info(place)
        if info.type == pafs.FileType.NotFound:
            raise ValueError(f"dataset {given}: no such folder or file")
        paths = table_files(filesystem, place, info)
        in_files = info.type == pafs.FileType.Directory and {"labels", "label_pattern"} & request.settings.keys()
        if paths and not in_files:
            for name in request.settings:
                choose(f"option of {given}", name, tables.SETTINGS)
            return tables.image_index(given, filesystem, place, paths, dict(request.settings))
        for name in request.settings:
            choose(f"option of {given}", name, folder.SETTINGS)
        return folder.image_index(given, filesystem, place, request.settings)
    except Exception as error:
        files = isinstance(error, OSError | pa.ArrowException)  # the latter of Azure
        if not files and (isinstance(error, ValueError) or not given.startswith("hf://")):  # whose client has its own
            raise
        raise ValueError(f"dataset {given} cannot be read: {' '.join(str(error).split())[:300]}") from error


def opened(given: str, *, offline: bool = False) -> tuple[pafs.FileSystem, str]:
    if "://" not in given:
        return pafs.LocalFileSystem(), os.fsencode(Path(given).absolute()).decode("utf-8", "surrogateescape")
    check_address(given)
    if given.startswith("hf://") and offline:
        raise ValueError(
            f"dataset {given} is on the network, and --offline is set: save it to disk first, and name that"
        )
    try:
        filesystem, place = pafs.FileSystem.from_uri(impatient(given))
    except UNREACHABLE as error:
        raise ValueError(f"dataset {given} cannot be read: {' '.join(str(error).split())[:200]}") from error
    return filesystem, place.rstrip("/")


def impatient(uri: str) -> str:
    """Google's client would try for 15 minutes to reach a host that does not answer; S3's gives up after seconds."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={PATIENCE_SECONDS}"


def table_files(filesystem: pafs.FileSystem, place: str, info: pafs.FileInfo) -> list[str]:
    """The files of a dataset in tables; none for a folder of images."""
    if info.type == pafs.FileType.File:
        if not place.endswith(".parquet"):
            raise ValueError(f"dataset {place} is a file, and not Parquet: give a folder of images, or a .parquet file")
        return [place]
    saved = tables.saved_to_disk(filesystem, place)
    if saved is not None:
        return saved
    if isinstance(filesystem, pafs.LocalFileSystem):
        found = sorted(str(path) for depth in range(DEEPEST) for path in Path(place).glob("*/" * depth + "*.parquet"))
        return found if not found or holds_images(found[0]) or not beside_classes(Path(place)) else []
    found, folders = [], [place]
    for _ in range(DEEPEST):
        # a request per folder: there are few where each holds a split, and very many where each is a class
        entries = [entry for path in folders[:8] for entry in filesystem.get_file_info(pafs.FileSelector(path))]
        folders = [entry.path for entry in entries if entry.type == pafs.FileType.Directory]
        found += [entry.path for entry in entries if entry.path.endswith(".parquet")]
    return sorted(found)


def holds_images(path: str) -> bool:
    """Whether a table has a column that may hold images; a damaged one may have had one."""

    def first(column: str) -> Any:
        file = pq.ParquetFile(path)
        return tables.first_of(file.read_row_group(0, [column])[column]) if file.metadata.num_rows else None

    try:
        choice = Choice(path, pq.read_schema(path), {}, first)
        return any(choice.surely_images(field) or choice.maybe_images(field) for field in choice.schema)
    except (pa.ArrowException, OSError):
        return True


def beside_classes(place: Path) -> bool:
    """Whether images lie in the folders of a place, so that a table is a sidecar of theirs."""
    return any(path.suffix.lower() in SUFFIXES for path in islice(place.glob("*/*"), 1000))
