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

SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
LAYOUTS = "class/image.ext, or train/class/image.ext beside val/ and test/"


class Entry(NamedTuple):
    """A file below a folder, or a folder where `size` is None; `path` is relative to it."""

    path: str
    size: int | None
    changed: float


def image_index(name: str, filesystem: pafs.FileSystem, folder: str) -> ImageIndex:
    """Every image below a folder, with its class and, where the folders say so, its split.

    Raises ValueError if there are no classes, an empty one, or splits without train or with something else.
    """
    entries = sorted(walk(filesystem, folder), key=attrgetter("path"))
    depth = 1 if has_splits(name, entries) else 0
    images = [entry for entry in entries if is_image(entry) and entry.path.count("/") > depth]
    if not images:
        raise ValueError(f"{name} has no images in class folders: it must hold {LAYOUTS} ({', '.join(SUFFIXES)})")
    places = [entry.path.split("/") for entry in images]
    names = [place[depth] for place in places]
    classes = sorted(set(names))
    empty = sorted(class_folders(entries, depth) - set(names))
    if empty:
        raise ValueError(f"{name}: no image in class {shorten(empty)}: remove the folder, or put images in it")
    number = {name: i for i, name in enumerate(classes)}
    return ImageIndex(
        name=name,
        images=files(filesystem, folder, images),
        labels=np.array([number[name] for name in names], np.int64),
        classes=tuple(classes),
        splits=np.array([SPLIT_NAMES[place[0].lower()] for place in places]) if depth else None,
        ignored=sum(entry.size is not None for entry in entries) - len(images),
    )


def files(filesystem: pafs.FileSystem, folder: str, images: list[Entry]) -> Files:
    state = sha256(folder.encode())
    for entry in images:
        state.update(f"{entry.path}\0{entry.size}\0{entry.changed}\0".encode("utf-8", "surrogateescape"))
    paths = [entry.path for entry in images]
    try:
        return Files(filesystem, folder, pa.array(paths, pa.large_string()), state.hexdigest())
    except UnicodeEncodeError as error:
        raise ValueError(f"{folder}: the file name {os.fsencode(error.object)!r} is not UTF-8: rename it") from error


def files_of(folder: Path, paths: list[str]) -> Files:
    """Some files below a folder of this machine."""
    states = [(folder / path).stat() for path in paths]
    entries = [Entry(path, state.st_size, state.st_mtime_ns) for path, state in zip(paths, states, strict=True)]
    return files(pafs.LocalFileSystem(), str(folder), entries)


def is_image(entry: Entry) -> bool:
    return entry.size is not None and entry.path.lower().endswith(SUFFIXES)


def has_splits(name: str, entries: list[Entry]) -> bool:
    """Whether the folders at the top are splits and not classes. Raises ValueError if they are a bit of both."""
    tops = {entry.path.split("/")[0] for entry in entries if "/" in entry.path and is_image(entry)}
    tops |= {entry.path for entry in entries if entry.size is None and entry.path.lower() in SPLIT_NAMES}
    splits = {SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    others = sorted(top for top in tops if top.lower() not in SPLIT_NAMES)
    if splits and not others and "train" not in splits:
        raise ValueError(f"{name} has {' and '.join(sorted(splits))}, but no train: it must hold {LAYOUTS}")
    if len(splits) > 1 and others:
        raise ValueError(
            f"{name} has {' and '.join(sorted(splits))}, and images in {shorten(others)} beside them: move those away, "
            "or rename what are classes and not splits"
        )
    return bool(splits) and not others


def class_folders(entries: list[Entry], depth: int) -> set[str]:
    """The names of the folders that hold a class."""
    return {entry.path.split("/")[depth] for entry in entries if entry.size is None and entry.path.count("/") == depth}


def walk(filesystem: pafs.FileSystem, folder: str) -> Iterator[Entry]:
    """All files and folders below, but for hidden ones. Raises ValueError if the folder cannot be read."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        yield from walk_local(folder, "", frozenset({inode(os.stat(folder))}))
        return
    try:
        entries = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed: {' '.join(str(error).split())}") from error
    for entry in entries:
        path = str(PurePosixPath(entry.path).relative_to(folder))
        if not any(part.startswith((".", "__MACOSX")) for part in path.split("/")):
            yield Entry(path, entry.size if entry.is_file else None, entry.mtime_ns or 0)


def walk_local(folder: str, below: str, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
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
            yield Entry(path, 0, 0)
            continue
        if stat.S_ISREG(state.st_mode):
            yield Entry(path, state.st_size, state.st_mtime_ns)
        elif stat.S_ISDIR(state.st_mode) and inode(state) not in above:
            yield Entry(path, None, 0)
            yield from walk_local(folder, path, above | {inode(state)})


def inode(state: os.stat_result) -> tuple[int, int]:
    """The same for a folder and every link to it."""
    return state.st_dev, state.st_ino
