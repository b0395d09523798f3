"""Classes that stand in no folder's name: in a table beside the images, or in the names of the files."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow.fs as pafs

from study.data import groups, layouts, multi_label, split_names
from study.text import joined, shorten

SETTINGS = {
    "labels": "a CSV file with a row an image, below the dataset or anywhere",
    "label_pattern": "a regular expression on the paths of images, whose (...) is the class",
    "image": "the column with the images, or with their files (default: the only one that can be)",
    "label": "the column with the classes (default: label, or the only one that can be)",
    "split": "the column of the CSV file with train, val or test (default: split, if there is one)",
}
IMAGE = (
    "image",
    "file",
    "filename",
    "file_name",
    "path",
    "filepath",
    "file_path",
    "image_path",
    "image_id",
    "img",
    "id",
)
LABEL = ("label", "class", "category", "target", "class_name", "species", "breed", "y")
Placed = dict[str, tuple[str | None, str]]


@dataclass(frozen=True)
class Written:
    """The split and the class of each image by its path; and the group, where the table has a column for it."""

    placed: Placed
    groups: Mapping[str, str] | None = None


def read(
    name: str, filesystem: pafs.FileSystem, folder: str, paths: Sequence[str], settings: Mapping[str, str]
) -> tuple[Written | None, list[str]]:
    """The classes that a user says are written elsewhere, and what stands against them; None where none says so.

    Raises ValueError for a table that cannot be read, or whose columns are a question.
    """
    if "labels" in settings:
        table = Table.read(name, filesystem, folder, settings["labels"])
        classes, written, grouped, problems = of_table(table, paths, settings)
    elif "label_pattern" in settings:
        pattern = groups.compiled(settings["label_pattern"], "label_pattern")
        classes = {path: label for path in paths if (label := groups.captured(pattern, path))}
        written, grouped, problems = {}, None, []
        if paths and not classes:
            problems = [f"no path has a class by the pattern {settings['label_pattern']!r}, such as {shorten(paths)}"]
    else:
        return None, []
    placed, more = with_splits(classes, written, settings)
    return Written(placed, grouped), [f"{name}: {why}" for why in (*problems, *more)]


def with_splits(
    classes: Mapping[str, str], written: Mapping[str, str], settings: Mapping[str, str]
) -> tuple[Placed, list[str]]:
    """Splits that are written in the table, or that folders are."""
    if written:
        return {path: (written[path], label) for path, label in classes.items()}, []
    paths = list(classes)
    folders = sorted({str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"."})
    named = {split: settings[split].strip("/") for split in layouts.SPLITS if split in settings}
    layout, problems = layouts.by_option(named, folders) if named else layouts.by_name(paths, folders)
    if layout.folders is None:
        return {path: (None, label) for path, label in classes.items()}, problems
    return {path: (split, label) for path, label in classes.items() if (split := layout.below_split(path)[0])}, problems


@dataclass(frozen=True)
class Table:
    """A table of text; `folder` is the one that it lies in, below the dataset."""

    name: str
    folder: str
    columns: Mapping[str, list[str]]

    @classmethod
    def read(cls, dataset: str, filesystem: pafs.FileSystem, folder: str, given: str) -> "Table":
        """Raises ValueError."""
        below = f"{folder}/{given}"
        inside = not given.startswith("/") and filesystem.get_file_info(below).is_file
        try:
            if inside:
                with filesystem.open_input_stream(below) as file:
                    content = file.read()
            else:
                content = Path(given).expanduser().read_bytes()
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{given} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
        except OSError as error:
            raise ValueError(
                f"{dataset}: the table {given} that --data-option labels= names cannot be read: {error.strerror}"
            ) from None
        header = text.partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
        try:
            names, *rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row] or [[]]
        except csv.Error as error:
            raise ValueError(f"{given} cannot be read as CSV: {error}") from None
        names = [name.strip() for name in names]
        wrong = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
        if wrong is not None:
            raise ValueError(f"{given}: row {wrong + 2} has {len(rows[wrong])} cells, and the first row {len(names)}")
        if not rows or len(set(names)) < len(names):
            raise ValueError(f"{given} has {'no rows' if not rows else 'two columns of one name'}: {joined(names)}")
        columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(names)}
        return cls(given, str(PurePosixPath(given).parent) if inside else ".", columns)

    def column(self, what: str, usual: Iterable[str], settings: Mapping[str, str]) -> str | None:
        """The column that is named, or one with a usual name. Raises ValueError where the named one is not there."""
        given = settings.get(what)
        if given is None:
            called = {name.lower(): name for name in self.columns}
            return next((called[name] for name in usual if name in called), None)
        if given not in self.columns:
            raise ValueError(f"{self.name} has no column {given!r} for {what}: it has {joined([*self.columns])}")
        return given


def of_table(
    table: Table, paths: Sequence[str], settings: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str] | None, list[str]]:
    """Of each image: the class, the split and the group, where they are written; and what stands against them."""
    image, label = table.column("image", IMAGE, settings), table.column("label", LABEL, settings)
    several = multi_label.columns({name: values for name, values in table.columns.items() if name != image})
    if label is None and len(several) > 1:
        raise ValueError(multi_label.refusal(table.name, f"columns {shorten(several)} of 0 and 1"))
    others = [name for name in table.columns if name not in (image, label)]
    if image is None or label is None:
        lacking, option = ("classes", "label") if label is None else ("files", "image")
        if label is None and image is not None and len(others) == 1:
            label = others[0]
        else:
            raise ValueError(
                f"{table.name}: which column holds the {lacking}? it has {joined([*table.columns])}: say which by "
                f"--data-option {option}=COLUMN"
            )
    found, missing = Finder(paths, table.folder), 0
    classes: dict[str, str] = {}
    written: dict[str, str] = {}
    grouped: dict[str, str] = {}
    problems, twice = [], []
    split = table.column("split", ("split", "set", "subset", "partition"), settings)
    group = settings.get("group")
    group = group if group in table.columns else None
    unknown = set()
    for row, (file, class_) in enumerate(zip(table.columns[image], table.columns[label], strict=True)):
        path = found.path(file)
        if not class_:
            missing += 1
            continue
        if classes.setdefault(path, class_) != class_:
            twice.append(file)
        if split:
            known = split_names.likely(table.columns[split][row])
            if known in layouts.SPLITS:
                written[path] = known
            else:
                unknown.add(table.columns[split][row])
        if group:
            grouped[path] = table.columns[group][row]
    if missing:
        problems.append(f"{missing} rows of {table.name} have no label in column {label!r}: remove them")
    if twice:
        problems.append(multi_label.refusal(table.name, f"image {twice[0]!r} in several rows with different labels"))
    if joint := multi_label.joint(classes.values()):
        problems.append(multi_label.refusal(table.name, f"labels such as {joint!r}"))
    if unknown and (written or "split" in settings):
        problems.append(f"{table.name}: {shorten(sorted(map(repr, unknown)))} in column {split!r} is no split")
    return classes, written if not unknown else {}, grouped if group else None, problems


class Finder:
    """The files that the cells of a table mean: by their path, else by their name, with its suffix or without."""

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        self.paths, self.folder = set(paths), folder
        self.named: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            file = PurePosixPath(path)
            self.named[file.name].append(path)
            self.named[file.stem].append(path)

    def path(self, cell: str) -> str:
        """One that is not there is read and found missing, as any file that vanished."""
        given = cell.replace("\\", "/").removeprefix("./").lstrip("/") or "no name"
        beside = str(PurePosixPath(self.folder) / given)
        for path in (given, beside):
            if path in self.paths:
                return path
        files = self.named.get(PurePosixPath(given).name, [])
        fitting = [
            path
            for path in files
            if path.endswith(given) or PurePosixPath(path).with_suffix("").as_posix().endswith(given)
        ]
        if len(fitting) == 1:
            return fitting[0]
        if len(fitting) > 1:
            raise ValueError(f"{cell!r} in the table of labels may be {shorten(sorted(fitting))}: write the whole path")
        return files[0] if len(files) == 1 else given
