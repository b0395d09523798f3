"""A folder of images, `class/image.ext` or `train/class/image.ext`, on this machine or in a bucket."""

import os
import stat
from collections.abc import Iterator
from hashlib import sha256
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from study.data.decoding import SUFFIXES
from study.data.image_index import Files, ImageIndex
from study.text import shorten

PARTS = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
LAYOUTS = "class/image.ext, or train/class/image.ext beside val/ and test/"


class Found(NamedTuple):
    """A file below a folder, or a folder where `size` is None; `path` is relative to it."""

    path: str
    size: int | None
    changed: float


def listing(name: str, filesystem: pafs.FileSystem, folder: str) -> ImageIndex:
    """Raises ValueError if there are no classes, an empty one, or parts without train or with something else."""
    found = sorted(walked(filesystem, folder), key=attrgetter("path"))
    depth = 1 if in_parts(name, found) else 0
    images = [one for one in found if is_image(one) and one.path.count("/") > depth]
    if not images:
        raise ValueError(f"{name} has no images in class folders: it must hold {LAYOUTS} ({', '.join(SUFFIXES)})")
    places = [one.path.split("/") for one in images]
    names = [place[depth] for place in places]
    classes = sorted(set(names))
    empty = sorted(class_folders(found, depth) - set(names))
    if empty:
        raise ValueError(f"{name}: no image in class {shorten(empty)}: remove the folder, or put images in it")
    number = {one: i for i, one in enumerate(classes)}
    return ImageIndex(
        name=name,
        images=files(filesystem, folder, images),
        labels=np.array([number[one] for one in names], np.int64),
        classes=tuple(classes),
        parts=np.array([PARTS[place[0].lower()] for place in places]) if depth else None,
        ignored=sum(one.size is not None for one in found) - len(images),
    )


def files(filesystem: pafs.FileSystem, folder: str, images: list[Found]) -> Files:
    state = sha256(folder.encode())
    for one in images:
        state.update(f"{one.path}\0{one.size}\0{one.changed}\0".encode("utf-8", "surrogateescape"))
    paths = [one.path for one in images]
    try:
        return Files(filesystem, folder, pa.array(paths, pa.large_string()), state.hexdigest())
    except UnicodeEncodeError as error:
        raise ValueError(f"{folder}: the file name {os.fsencode(error.object)!r} is not UTF-8: rename it") from error


def files_of(folder: Path, paths: list[str]) -> Files:
    """Some files below a folder of this machine."""
    states = [(folder / path).stat() for path in paths]
    found = [Found(path, state.st_size, state.st_mtime_ns) for path, state in zip(paths, states, strict=True)]
    return files(pafs.LocalFileSystem(), str(folder), found)


def is_image(one: Found) -> bool:
    return one.size is not None and one.path.lower().endswith(SUFFIXES)


def in_parts(name: str, found: list[Found]) -> bool:
    """Whether the folders at the top are splits and not classes. Raises ValueError if they are a bit of both."""
    tops = {one.path.split("/")[0] for one in found if "/" in one.path and is_image(one)}
    tops |= {one.path for one in found if one.size is None and one.path.lower() in PARTS}
    parts = {PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    others = sorted(top for top in tops if top.lower() not in PARTS)
    if parts and not others and "train" not in parts:
        raise ValueError(f"{name} has {' and '.join(sorted(parts))}, but no train: it must hold {LAYOUTS}")
    if len(parts) > 1 and others:
        raise ValueError(
            f"{name} has {' and '.join(sorted(parts))}, and images in {shorten(others)} beside them: move those away, "
            "or rename what are classes and not splits"
        )
    return bool(parts) and not others


def class_folders(found: list[Found], depth: int) -> set[str]:
    """The names of the folders that hold a class."""
    return {one.path.split("/")[depth] for one in found if one.size is None and one.path.count("/") == depth}


def walked(filesystem: pafs.FileSystem, folder: str) -> Iterator[Found]:
    """All files and folders below, but for hidden ones. Raises ValueError if the folder cannot be read."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        yield from walked_here(folder, "", frozenset({place_of(os.stat(folder))}))
        return
    try:
        entries = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed: {' '.join(str(error).split())}") from error
    for entry in entries:
        path = str(PurePosixPath(entry.path).relative_to(folder))
        if not any(part.startswith((".", "__MACOSX")) for part in path.split("/")):
            yield Found(path, entry.size if entry.is_file else None, entry.mtime_ns or 0)


def walked_here(folder: str, below: str, above: frozenset[tuple[int, int]]) -> Iterator[Found]:
    """Follows links, but into no folder that it is in already."""
    try:
        entries = list(os.scandir(os.path.join(folder, below)))
    except OSError as error:
        raise ValueError(f"{os.path.join(folder, below)} cannot be listed: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith((".", "__MACOSX")):
            continue
        path = f"{below}/{entry.name}" if below else entry.name
        try:
            state = entry.stat()
        except OSError:  # a link to nothing, or to itself: an image that cannot be read
            yield Found(path, 0, 0)
            continue
        if stat.S_ISREG(state.st_mode):
            yield Found(path, state.st_size, state.st_mtime_ns)
        elif stat.S_ISDIR(state.st_mode) and place_of(state) not in above:
            yield Found(path, None, 0)
            yield from walked_here(folder, path, above | {place_of(state)})


def place_of(state: os.stat_result) -> tuple[int, int]:
    """What is the same for a folder and every link to it."""
    return state.st_dev, state.st_ino
