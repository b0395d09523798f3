"""`--dataset`: one of ours by name, or a place: a folder of images, Parquet files, what `datasets` saved, a bucket."""

from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from study.data import folder, named, tables
from study.data.files import source_of
from study.data.image_index import ImageIndex
from study.data.place import check, check_address
from study.data.source import DatasetRequest, ExampleSource
from trainables.choices import choose

PATIENCE_SECONDS = 20


def load(given: str, request: DatasetRequest) -> ExampleSource:
    """Raises ValueError where there is no such dataset, or none that can be used."""
    if given in named.names():
        return named.load(given, request)
    return source_of(image_index(given, request), request)


def image_index(given: str, request: DatasetRequest) -> ImageIndex:
    """The images at a place. Raises ValueError where there are none."""
    check(given)
    try:
        filesystem, place = opened(given)
        info = filesystem.get_file_info(place)
        if info.type == pafs.FileType.NotFound:
            raise ValueError(f"dataset {given}: no such folder or file")
        paths = table_files(filesystem, place, info)
        allowed = tables.SETTINGS if paths else {}
        for name in request.settings:
            choose(f"option of {given}", name, allowed) if allowed else refuse(given, name)
        if paths:
            return tables.image_index(given, filesystem, place, paths, dict(request.settings))
        return folder.image_index(given, filesystem, place)
    except (OSError, pa.ArrowException) as error:  # the latter of Azure
        raise ValueError(f"dataset {given} cannot be read: {' '.join(str(error).split())[:300]}") from error


def refuse(given: str, name: str) -> None:
    raise ValueError(f"{given} is a folder of images, which takes no --data-option, got {name}")


def opened(given: str) -> tuple[pafs.FileSystem, str]:
    if "://" not in given:
        return pafs.LocalFileSystem(), str(Path(given).absolute())
    check_address(given)
    try:
        filesystem, place = pafs.FileSystem.from_uri(impatient(given))
    except (pa.ArrowException, ValueError) as error:
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
        return sorted(str(path) for depth in ("", "*/") for path in Path(place).glob(f"{depth}*.parquet"))
    entries = filesystem.get_file_info(pafs.FileSelector(place))
    folders = [entry.path for entry in entries if entry.type == pafs.FileType.Directory]
    # a request per folder: there are few where each holds a split, and very many where each is a class
    below = [entry for path in folders[:8] for entry in filesystem.get_file_info(pafs.FileSelector(path))]
    return sorted(entry.path for entry in [*entries, *below] if entry.path.endswith(".parquet"))
