"""A folder of images, `class/image.ext` or `train/class/image.ext`, on this machine or in a bucket."""

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from study.data import class_names, groups, layouts, strays, written_labels
from study.data.decoding import SUFFIXES
from study.data.image_index import Aside, Files, ImageIndex, Nothing
from study.text import plural, shorten

SETTINGS = layouts.SETTINGS | written_labels.SETTINGS | groups.SETTINGS | class_names.SETTINGS


class Entry(NamedTuple):
    """A file below a folder, or a folder where `size` is None; `path` is relative to it.

    One of the folders that programs leave behind is not entered: it is `stray`, and `size` is how many images it holds.
    """

    path: str
    size: int | None
    changed: float
    stray: bool = False


def image_index(
    name: str, filesystem: pafs.FileSystem, folder: str, settings: Mapping[str, str] | None = None
) -> ImageIndex:
    """Every image below a folder, with its class and, where the folders say so, its split.

    Args:
        settings: what `--data-option` says; see `SETTINGS`.

    Raises:
        ValueError: it has no image in a class. All else that is wrong is in `ImageIndex.refusals`.
    """
    settings = settings or {}
    entries = sorted(walk(filesystem, folder), key=attrgetter("path"))
    paths = [entry.path for entry in entries if is_image(entry)]
    folders = [entry.path for entry in entries if entry.size is None]
    others = [entry.path for entry in entries if entry.size is not None and not entry.stray and not is_image(entry)]
    written, refusals = written_labels.read(name, filesystem, folder, paths, settings)
    if written is None:
        layout, refusals = layouts.read(paths, folders, others, settings)
        refusals = [f"{name}: {why}" for why in refusals]
        placed = {path: found for path in paths if (found := layout.class_of(path))}
        empty = without_images(name, layout, folders, others, {class_ for _, class_ in placed.values()})
        refusals += empty if placed else []
    else:
        placed = written.placed
    if not placed:
        raise Nothing(*nothing(name, paths, others, refusals))
    called, question = class_names.settle(
        class_names.merged(class_ for _, class_ in placed.values()), settings.get("case")
    )
    refusals += [f"{name}: {why}" for why in question]
    classes = sorted({called[class_] for _, class_ in placed.values()})
    number = {name: i for i, name in enumerate(classes)}
    images = [entry for entry in entries if entry.path in placed]
    images += [
        Entry(path, 0, 0) for path in sorted(placed.keys() - {entry.path for entry in images})
    ]  # in a table only
    splits = [placed[entry.path][0] for entry in images]
    names = [entry.path for entry in images]
    grouped, problems = groups_of(written, names, settings)
    return ImageIndex(
        name=name,
        images=files(filesystem, folder, images),
        labels=np.array([number[called[placed[path][1]]] for path in names], np.int64),
        classes=tuple(classes),
        splits=np.array(splits) if all(splits) else None,
        ignored=len(others) + len(paths) - len(set(paths) & placed.keys()),
        aside=aside(entries, placed),
        refusals=(*refusals, *(f"{name}: {why}" for why in problems)),
        groups=grouped,
    )


def groups_of(
    written: written_labels.Written | None, names: list[str], settings: Mapping[str, str]
) -> tuple[np.ndarray | None, list[str]]:
    """By a column of the table, or by a pattern on paths."""
    if written is not None and written.groups is not None:
        return groups.numbered([written.groups[path] for path in names]), []
    return groups.by_path(names, settings)


def nothing(name: str, images: list[str], others: list[str], refusals: list[str]) -> list[str]:
    """Why a folder is no dataset."""
    unread = Counter(kind for path in others if (kind := strays.not_decoded(path)))
    said = list(refusals)
    if images and not said:
        said.append(layouts.flat(name, images, others))
    if unread and not images:
        kind, count = unread.most_common(1)[0]
        said.append(
            f"{name} has only {kind} ({plural(count, 'file')}), which cannot be read here: {strays.way_out(kind)}"
        )
    return said or [f"{name} has no images in class folders: it must hold {layouts.WANTED} ({', '.join(SUFFIXES)})"]


def without_images(
    name: str, layout: layouts.Layout, folders: list[str], others: list[str], classes: set[str]
) -> list[str]:
    """What is said of the folders of classes that have no image that can be read."""
    empty = {PurePosixPath(path).name for path in folders if layout.is_class_folder(path)} - classes
    unread: dict[str, Counter[str]] = defaultdict(Counter)
    for path in others:
        kind, found = strays.not_decoded(path), layout.class_of(path)
        if kind and found and found[1] in empty:
            unread[found[1]][kind] += 1
    of_kind: dict[str, list[str]] = defaultdict(list)
    for class_, counts in sorted(unread.items()):
        [(kind, count)] = counts.most_common(1)
        of_kind[kind].append(f"{class_!r} ({plural(count, 'file')})")
    said = [
        f"{name}: {'class' if len(found) == 1 else f'{len(found)} classes:'} {shorten(found)} "
        f"{'has' if len(found) == 1 else 'have'} only {kind}, which cannot be read here: {strays.way_out(kind)}"
        for kind, found in of_kind.items()
    ]
    bare = sorted(empty - unread.keys())
    if bare:
        said.append(f"{name}: no image in class {shorten(bare)}: remove the folder, or put images in it")
    return said


def aside(entries: list[Entry], placed: Mapping[str, object]) -> tuple[Aside, ...]:
    """Files that are not part of the dataset, by kind."""
    found: dict[tuple[str, bool, str], list[str]] = defaultdict(list)
    counts: Counter[tuple[str, bool, str]] = Counter()
    for entry in entries:
        if entry.size is None or entry.path in placed:
            continue
        if entry.stray:
            key = (f"in {PurePosixPath(entry.path).name}", entry.size > 0, "")
        elif is_image(entry):
            key = ("images in no class", True, "")
        elif kind := strays.not_decoded(entry.path):
            key = (kind, True, strays.way_out(kind))
        else:
            key = (strays.suffix_of(entry.path) or "no suffix", False, "")
        found[key].append(entry.path)
        counts[key] += entry.size if entry.stray else 1
    return tuple(
        Aside(kind, counts[kind, images, way], paths[0], images, way) for (kind, images, way), paths in found.items()
    )


def files(filesystem: pafs.FileSystem, folder: str, images: list[Entry]) -> Files:
    state = sha256(folder.encode("utf-8", "surrogateescape"))
    for entry in images:
        state.update(f"{entry.path}\0{entry.size}\0{entry.changed}\0".encode("utf-8", "surrogateescape"))
    paths = [entry.path for entry in images]
    try:
        return Files(filesystem, folder, pa.array(paths, pa.large_string()), state.hexdigest())
    except UnicodeEncodeError as error:
        found = error.object.encode("utf-8", "surrogateescape")
        raise ValueError(f"{folder}: the file name {found!r} is not UTF-8: rename it") from error


def files_of(folder: Path, paths: list[str]) -> Files:
    """Some files below a folder of this machine."""
    states = [(folder / path).stat() for path in paths]
    entries = [Entry(path, state.st_size, state.st_mtime_ns) for path, state in zip(paths, states, strict=True)]
    return files(pafs.LocalFileSystem(), str(folder), entries)


def is_image(entry: Entry) -> bool:
    return entry.size is not None and not entry.stray and entry.path.lower().endswith(SUFFIXES)


def walk(filesystem: pafs.FileSystem, folder: str) -> Iterator[Entry]:
    """All files and folders below, but for hidden ones. Raises ValueError if the folder cannot be read."""
    if isinstance(filesystem, pafs.LocalFileSystem):
        below = os.stat(in_bytes(folder))
        yield from walk_local(in_bytes(folder), b"", frozenset({inode(below)}))
        return
    try:
        entries = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True))
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed: {' '.join(str(error).split())}") from error
    skipped: Counter[str] = Counter()
    for entry in entries:
        path = PurePosixPath(entry.path).relative_to(folder)
        stray = next((i for i, part in enumerate(path.parts[:-1]) if strays.is_stray_folder(part)), None)
        if stray is not None:
            skipped[str(PurePosixPath(*path.parts[: stray + 1]))] += str(path).lower().endswith(SUFFIXES)
        elif entry.is_file and not strays.is_hidden(path.name):
            yield Entry(str(path), entry.size, entry.mtime_ns or 0)
        elif not entry.is_file and not strays.is_stray_folder(path.name):
            yield Entry(str(path), None, 0)
    yield from (Entry(path, count, 0, stray=True) for path, count in skipped.items())


def in_bytes(path: str) -> bytes:
    """As Arrow takes it: in UTF-8, whatever the locale of this process is."""
    return path.encode("utf-8", "surrogateescape")


def walk_local(folder: bytes, below: bytes, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    """Follows links, but into no folder that it is in already."""
    try:
        entries = sorted(os.scandir(os.path.join(folder, below)), key=attrgetter("name"))
    except OSError as error:
        shown = os.path.join(folder, below).decode("utf-8", "replace")
        raise ValueError(f"{shown} cannot be listed: {error.strerror}") from error
    for entry in entries:
        name = entry.name.decode("utf-8", "surrogateescape")
        path = os.path.join(below, entry.name)
        shown = path.decode("utf-8", "surrogateescape")
        try:
            state = entry.stat()
        except OSError:  # a link to nothing, or to itself: an image that cannot be read
            if not strays.is_hidden(name):
                yield Entry(shown, 0, 0)
            continue
        if stat.S_ISREG(state.st_mode):
            if not strays.is_hidden(name):
                yield Entry(shown, state.st_size, state.st_mtime_ns)
        elif stat.S_ISDIR(state.st_mode) and inode(state) not in above:
            if strays.is_stray_folder(name):
                yield Entry(shown, images_below(os.path.join(folder, path)), 0, stray=True)
                continue
            yield Entry(shown, None, 0)
            yield from walk_local(folder, path, above | {inode(state)})


def images_below(folder: bytes) -> int:
    """How many images a folder holds that nobody reads; none where it may not be listed, as `lost+found`."""
    suffixes = tuple(suffix.encode() for suffix in SUFFIXES)
    return sum(name.lower().endswith(suffixes) for _, _, names in os.walk(folder) for name in names)


def inode(state: os.stat_result) -> tuple[int, int]:
    """The same for a folder and every link to it."""
    return state.st_dev, state.st_ino
