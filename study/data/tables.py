"""Images in the rows of tables: Parquet files, and what Hugging Face's `datasets` saves to disk."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from hashlib import sha256
from pathlib import PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from study.data import class_names as names_of_classes
from study.data import columns, groups, multi_label, split_names
from study.data.image_index import ImageIndex, Nothing, seen
from study.data.split_names import SPLIT_NAMES
from study.text import shorten

SETTINGS = {
    "image": "the column with the encoded images (default: the only one that can be)",
    "label": "the column with the classes (default: label, or the only one that can be)",
    "split": "the column with train, val or test (default: none)",
    **{split: f"the files of {split}: a path below the dataset, or a pattern" for split in ("train", "val", "test")},
    **groups.SETTINGS,
    **names_of_classes.SETTINGS,
}
SAY_WHICH = "say which files are the splits by --data-option train=FILE (and val=FILE, test=FILE; * is allowed)"
SPLIT_IN_PATH = re.compile(rf"(?:^|[/_.-])({'|'.join(SPLIT_NAMES)})(?=[/_.-])", re.IGNORECASE)

DAMAGED = (pa.ArrowException, OSError, UnicodeError)
PARQUET_LOCK = Lock()  # Arrow's reader of a Parquet file takes one thread at a time, and crashes with more


@dataclass(frozen=True)
class TableFile:
    """One file: Parquet by row groups, or an Arrow stream by its batches."""

    filesystem: pafs.FileSystem
    path: str

    @property
    def is_parquet(self) -> bool:
        return self.path.endswith(".parquet")

    @cached_property
    def parquet(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.filesystem.open_input_file(self.path))

    @cached_property
    def table(self) -> pa.Table:
        """All of an Arrow stream; mapped, where the file is on this machine."""
        local = isinstance(self.filesystem, pafs.LocalFileSystem)
        file = pa.memory_map(self.path) if local else self.filesystem.open_input_file(self.path)
        return pa.ipc.open_stream(file).read_all()

    @cached_property
    def batches(self) -> list[pa.RecordBatch]:
        return self.table.to_batches()

    @property
    def schema(self) -> pa.Schema:
        return self.parquet.schema_arrow if self.is_parquet else self.table.schema

    def group_sizes(self) -> list[int]:
        if self.is_parquet:
            metadata = self.parquet.metadata
            return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return [len(batch) for batch in self.batches]

    def group(self, number: int, column: str) -> pa.Array | pa.ChunkedArray:
        if self.is_parquet:
            with PARQUET_LOCK:
                return self.parquet.read_row_group(number, [column])[column]
        found = self.batches[number][column]
        found.validate(full=True)  # Arrow reads beyond the file where it is damaged
        return found

    def labels(self, name: str) -> np.ndarray:
        column = self.parquet.read([name])[name] if self.is_parquet else self.table[name]
        column.validate(full=True)
        return column.to_numpy(zero_copy_only=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return TableFile, (self.filesystem, self.path)  # what is open stays here


@dataclass(frozen=True)
class Tables:
    """Encoded images in a column of several files below a place."""

    place: str
    files: tuple[TableFile, ...]
    image: str
    groups: tuple[tuple[int, int, int], ...]  # file, group in it, first row
    length: int
    state: str

    def __len__(self) -> int:
        return self.length

    @cached_property
    def starts(self) -> np.ndarray:
        return np.array([first for _, _, first in self.groups])

    @property
    def rows_at_once(self) -> float:
        """A row group of Parquet is read whole; of an Arrow file only what is asked for, where it is mapped."""
        return self.length / len(self.groups) if self.files[0].is_parquet else 1

    def chunks(self) -> Iterable[np.ndarray]:
        return np.split(np.arange(self.length), self.starts[1:])

    def read(self, rows: np.ndarray) -> Iterator[bytes | OSError]:
        """Each row group is read once, whatever order the rows are asked for in."""
        order = np.argsort(rows, kind="stable")
        if np.array_equal(order, np.arange(len(rows))):
            yield from self.read_sorted(rows)
            return
        found: list[bytes | OSError | None] = [None] * len(rows)
        for place, data in zip(order, self.read_sorted(rows[order]), strict=True):
            found[place] = data
        yield from (data for data in found if data is not None)

    def read_sorted(self, rows: np.ndarray) -> Iterator[bytes | OSError]:
        open_group, column = -1, None
        for row, group in zip(rows, np.searchsorted(self.starts, rows, side="right") - 1, strict=True):
            file, number, first = self.groups[group]
            try:
                if group != open_group:
                    column = self.files[file].group(number, self.image)
                    open_group = group
                assert column is not None
                yield self.bytes_of(file, column[int(row) - first].as_py())
            except DAMAGED as error:  # the file was cut or removed
                yield OSError(" ".join(str(error).split()))

    def bytes_of(self, file: int, value: Any) -> bytes | OSError:
        """A cell: an image's bytes in some form, or Hugging Face's `bytes` and `path`, one of which may be missing."""
        if isinstance(value, dict) and value.get("bytes") is None and value.get("path"):
            try:
                with self.files[file].filesystem.open_input_stream(value["path"]) as stream:
                    return stream.read()
            except OSError as error:
                return error
        return columns.as_bytes(value)

    def name(self, row: int) -> str:
        file, _, _ = self.groups[int(np.searchsorted(self.starts, row, side="right")) - 1]
        path = self.files[file].path
        return f"{path.removeprefix(self.place).lstrip('/') or PurePosixPath(path).name} row {row - self.firsts[file]}"

    def seen(self, rows: np.ndarray) -> str:
        files = {self.groups[group][0] for group in np.searchsorted(self.starts, rows, side="right") - 1}
        return seen(self.files[0].filesystem, [self.files[file].path for file in sorted(files)])

    @cached_property
    def firsts(self) -> dict[int, int]:
        """The first row of each file."""
        return {file: first for file, _, first in reversed(self.groups)}


def image_index(
    name: str, filesystem: pafs.FileSystem, place: str, paths: Sequence[str], settings: dict[str, str]
) -> ImageIndex:
    """The images of tables.

    Args:
        name: of the dataset, for messages.
        place: the folder that was named; names of images are relative to it.
        paths: the files, Parquet or Arrow streams.
        settings: the columns of images and labels, where the user says which: see `SETTINGS`.

    Raises:
        ValueError: for a file that is no table, and a column that is missing or could be more than one.
    """
    files = tuple(TableFile(filesystem, path) for path in sorted(paths))
    try:
        schemas = [file.schema for file in files]
    except DAMAGED as error:
        raise unreadable(name, error) from error
    splits = splits_of([file.path for file in files], name, place, settings)
    if splits is not None:
        read = [i for i, split in enumerate(splits) if split is not None]
        files, schemas = tuple(files[i] for i in read), [schemas[i] for i in read]
        splits = [splits[i] for i in read]
    image, label, split, group = chosen_columns(name, files[0], schemas[0], settings)
    for file, schema in zip(files, schemas, strict=True):
        check_same(file, schema, files[0], schemas[0], image, label)
    try:
        values = together([file.labels(label) for file in files])
        lengths = [sum(file.group_sizes()) for file in files]
        of_rows = np.repeat(np.array(splits, str), lengths) if splits else None
        if split:
            of_rows = splits_in_column(together([file.labels(split) for file in files]), split, name)
        grouped = groups.numbered(together([file.labels(group) for file in files]).tolist()) if group else None
    except DAMAGED as error:
        raise unreadable(name, error) from error
    if not len(values):
        raise ValueError(f"{name} has no rows: {', '.join(sorted(paths)[:3])}")
    labels, classes, refusals = classes_of(values, of_rows, schemas[0], label, name, settings.get("case"))
    starts, first = [], 0
    for number, file in enumerate(files):
        for group_number, size in enumerate(file.group_sizes()):
            starts.append((number, group_number, first))
            first += size
    return ImageIndex(
        name=name,
        images=Tables(place, files, image, tuple(starts), first, state_of(files, image, label)),
        labels=labels,
        classes=classes,
        splits=of_rows,
        refusals=tuple(refusals),
        groups=grouped,
        columns=(("image", image), ("label", label)),
    )


def chosen_columns(
    name: str, file: TableFile, schema: pa.Schema, settings: Mapping[str, str]
) -> tuple[str, str, str | None, str | None]:
    """Of images, labels, splits and groups. Raises ValueError, for every column that is a question."""

    def first(column: str) -> Any:
        return first_of(file.group(0, column)) if sum(file.group_sizes()) else None

    choice = columns.Choice(name, schema, settings, first)
    found: dict[str, str | None] = {}
    wrong = []
    for what, find in (
        ("image", choice.image),
        ("label", lambda: choice.label(found.get("image"))),
        ("split", lambda: choice.other("split")),
        ("group", lambda: choice.other("group")),
    ):
        try:
            found[what] = find()
        except ValueError as refusal:
            wrong.append(str(refusal))
    if "image" in found and "label" not in found and "label" not in settings:
        hot = columns.multi_hot(schema, str(found["image"]), lambda column: file.labels(column).tolist())
        if len(hot) > 1:
            raise ValueError(multi_label.refusal(name, f"columns {shorten(hot)} of 0 and 1"))
    if wrong:
        raise Nothing(*wrong)
    return str(found["image"]), str(found["label"]), found["split"], found["group"]


def first_of(values: pa.Array | pa.ChunkedArray) -> Any:
    """The first value that is not null; None where all are."""
    return next((value.as_py() for value in values if value.is_valid), None)


def together(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The values of several files; numbers stay numbers, whatever their widths."""
    return np.concatenate(parts)


def splits_in_column(values: np.ndarray, column: str, name: str) -> np.ndarray:
    """Raises ValueError for a value that is no split's name."""
    known = {value: split_names.likely(str(value)) for value in set(values.tolist())}
    unknown = sorted(str(value) for value, split in known.items() if split not in ("train", "val", "test"))
    if unknown:
        raise ValueError(f"{name}: {shorten(unknown)} in column {column!r} is none of train, val and test")
    return np.array([known[value] for value in values.tolist()])


def unreadable(name: str, error: Exception) -> ValueError:
    return ValueError(f"{name}: a table cannot be read: {' '.join(str(error).split())[:200]}")


def check_same(
    file: TableFile, schema: pa.Schema, first: TableFile, expected: pa.Schema, image: str, label: str
) -> None:
    """Raises ValueError where a file has not the columns of the first one, or other classes or kinds of labels.

    Args:
        schema: of `file`.
        first, expected: the first file, and its schema.
        image, label: the names of the two columns.
    """
    for column in (image, label):
        if column not in schema.names:
            raise ValueError(f"{file.path} has no column {column!r}, which {first.path} has")
    names = [class_names(each, label) for each in (schema, expected)]
    kinds = [columns.kind_of_labels(each.field(label)) for each in (schema, expected)]
    if names[0] != names[1] or kinds[0] != kinds[1]:
        actual, wanted = (name or each.field(label).type for name, each in zip(names, (schema, expected), strict=True))
        raise ValueError(
            f"column {label!r} holds something else in {file.path} ({actual}) than in {first.path} ({wanted})"
        )


def state_of(files: Sequence[TableFile], image: str, label: str) -> str:
    digest = sha256(f"{image}\0{label}".encode())
    for file in files:
        info = file.filesystem.get_file_info(file.path)
        digest.update(f"\0{file.path}\0{info.size}\0{info.mtime_ns}".encode())
    return digest.hexdigest()


def splits_of(paths: Sequence[str], name: str, place: str, settings: Mapping[str, str]) -> list[str | None] | None:
    """Which split each file holds, None for a file that is not to be read; None where none of them says so.

    Raises ValueError where only some do, or where it is a question.
    """
    below = {path: path.removeprefix(place).lstrip("/") for path in paths}
    given = {split: settings[split] for split in ("train", "val", "test") if split in settings}
    if given:
        return splits_by_option(below, name, given)
    named = {path: SPLIT_IN_PATH.findall(path.removeprefix(place)) for path in paths}
    unnamed = [path for path in paths if not named[path]]
    likely = {path: split_names.likely(PurePosixPath(below[path]).stem) for path in unnamed}
    found = sorted({split for split in likely.values() if split})
    if found and (len(found) > 1 or len(unnamed) < len(paths)):
        example = next(path for path in unnamed if likely[path])
        raise ValueError(f"{name}: does {below[example]} hold a split? {SAY_WHICH}")
    if len(unnamed) == len(paths):
        return None
    splits = [SPLIT_NAMES[named[path][-1].lower()] for path in paths if named[path]]
    if unnamed and len(set(splits)) > 1:
        raise ValueError(
            f"{name}: {unnamed[0]} is in none of {', '.join(sorted(set(splits)))}: move it away, or {SAY_WHICH}"
        )
    if not unnamed and "train" not in splits and len(set(splits)) > 1:
        raise ValueError(f"{name} has {' and '.join(sorted(set(splits)))}, but no train")
    return list(splits) if not unnamed and "train" in splits else None


def splits_by_option(below: Mapping[str, str], name: str, given: Mapping[str, str]) -> list[str | None]:
    """As `--data-option train=FILE` and so on say: a path below the place, a folder, or a pattern with `*`."""
    found: list[str | None] = []
    for path in below.values():
        fitting = [
            split
            for split, pattern in given.items()
            if fnmatch(path, pattern) or path.startswith(f"{pattern.rstrip('/')}/")
        ]
        if len(fitting) > 1:
            raise ValueError(f"{name}: {path} is in {' and '.join(fitting)} by --data-option")
        found.append(fitting[0] if fitting else None)
    for split, pattern in given.items():
        if split not in found:
            raise ValueError(
                f"{name}: no file is {pattern}, as --data-option {split}= says: {shorten([*below.values()])}"
            )
    if "train" not in given:
        raise ValueError(f"{name}: --data-option names {' and '.join(given)}, but no train")
    return found


def classes_of(
    values: np.ndarray, splits: np.ndarray | None, schema: pa.Schema, label: str, name: str, case: str | None
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Labels 0.. and the names of the classes that occur: Hugging Face's, or the values themselves.

    Args:
        values: of the column of labels.
        splits: of each row, where there are some.
        case: what `--data-option case=` says.

    Returns:
        Labels, classes, and why no study takes them.

    Raises:
        ValueError: values that cannot be classes.
    """
    numbers = values.dtype.kind in "iuf"
    missing = np.array([value is None or value != value or value == "" or (numbers and value < 0) for value in values])
    if missing.any():
        raise ValueError(without_labels(values, missing, splits, label, name))
    if values.dtype.kind == "f":
        if np.any(values != np.round(values)):
            example = values[values != np.round(values)][0]
            raise ValueError(f"{name}: column {label!r} holds fractions such as {example:g}, which are no classes")
        values = values.astype(np.int64)
    if values.dtype.kind == "O" and (joint := multi_label.joint(map(str, set(values.tolist())))):
        raise ValueError(multi_label.refusal(name, f"labels such as {joint!r} in column {label!r}"))
    occurring, labels = np.unique(values, return_inverse=True)
    known = class_names(schema, label)
    if known and int(occurring[-1]) >= len(known):
        raise ValueError(f"{name}: label {occurring[-1]} in column {label!r}, which names only {len(known)} classes")
    names = [known[int(value)] if known else str(value) for value in occurring]
    if known:
        return labels.astype(np.int64), tuple(names), []
    called, refusals = names_of_classes.settle(names_of_classes.merged(names), case)
    number: dict[str, int] = {}
    for one in names:
        number.setdefault(called[one], len(number))
    merged = np.array([number[called[one]] for one in names])
    return merged[labels].astype(np.int64), tuple(number), [f"{name}: {why}" for why in refusals]


def without_labels(values: np.ndarray, missing: np.ndarray, splits: np.ndarray | None, label: str, name: str) -> str:
    """What is said of rows without a label; -1 is what Hugging Face writes where those of a test set are secret."""
    count, total = int(missing.sum()), len(values)
    lacking = sorted(set(splits[missing])) if splits is not None else []
    secret = all(value == -1 for value in values[missing])
    if secret and len(lacking) == 1 and missing[splits == lacking[0]].all():
        return (
            f"{name}: its {lacking[0]} split has no labels "
            f"({count} rows of -1 in column {label!r}, as Hugging "
            "Face marks what is to be predicted): leave it out, by --data-option train=FILE and val=FILE of the others"
        )
    marked = " (-1, as Hugging Face marks what is to be predicted)" if secret else ""
    return f"{name}: {count} of {total} rows have no label in column {label!r}{marked}: remove them"


def class_names(schema: pa.Schema, label: str) -> list[str] | None:
    """What Hugging Face's `ClassLabel` writes into the metadata of a schema."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:
        raise ValueError("the metadata that name its classes are damaged: save the table again") from None
    names = within(metadata, "info", "features", label, "names")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise ValueError(f"the metadata of column {label!r} name its classes {str(names)[:80]!r}: save the table again")
    return names


def within(content: Any, *names: str) -> Any:
    """What JSON has below some names; None where it has no such thing."""
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def saved_to_disk(filesystem: pafs.FileSystem, folder: str) -> list[str] | None:
    """The Arrow files of what `datasets` saved with `save_to_disk`, None where a folder is no such thing."""
    content = read_json(filesystem, f"{folder}/dataset_dict.json")
    if content is not None:
        parts = names_in(content, "splits", f"{folder}/dataset_dict.json")
        return [path for part in parts for path in saved_to_disk(filesystem, f"{folder}/{part}") or []]
    state = read_json(filesystem, f"{folder}/state.json")
    if state is None:
        return None
    listed = state.get("_data_files")
    files = [within(one, "filename") for one in listed] if isinstance(listed, list) else listed
    return [f"{folder}/{name}" for name in names_in({"_data_files": files}, "_data_files", f"{folder}/state.json")]


def read_json(filesystem: pafs.FileSystem, path: str) -> dict[str, Any] | None:
    """Raises ValueError where the file holds no object."""
    try:
        with filesystem.open_input_stream(path) as file:
            content = json.loads(file.read())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({str(error)[:80]}): save the dataset again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged (no object): save the dataset again")
    return content


def names_in(content: dict[str, Any], key: str, path: str) -> list[str]:
    """The names of files or folders in a list. Raises ValueError for what leads out of the folder that it is of."""
    names = content.get(key)
    if not isinstance(names, list) or not all(isinstance(one, str) and is_name(one) for one in names):
        raise ValueError(f"{path} is damaged ({key} are no names in its folder): save the dataset again")
    return names


def is_name(text: str) -> bool:
    return text not in ("", ".", "..") and not {*text} & {"/", "\\", "\0"}
