"""How a folder of images lies: which of its folders are splits and which are classes; and where that is a question.

What could be understood in two ways is never guessed: the study is refused with what the folder looks like, and the
option that settles it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from study.data import split_names
from study.data.split_names import SPLIT_NAMES
from study.text import joined, shorten

WANTED = "class/image.ext, or train/class/image.ext beside val/ and test/"
SPLITS = ("train", "val", "test")
SETTINGS = {
    **{split: f"the folder, below the dataset, whose folders are the classes of {split}" for split in SPLITS},
    "class_depth": "how deep the folders of the classes lie: 1 for those at the top",
}
MASKS = {"mask", "masks", "segmentation", "segmentations", "groundtruth", "ground_truth", "gt", "trimaps"}
PHOTOS = {"image", "images", "img", "imgs", "photos", "pictures"}
SAY_SPLITS = "say which folders are the splits by --data-option train=DIR (and val=DIR, test=DIR)"
NOT_CLASSES = (
    "a study tells one class an image: give each class a folder, or name a table by --data-option labels=FILE.csv"
)


@dataclass(frozen=True)
class Layout:
    """Where the class of an image stands in its path.

    Attributes:
        depth: of the folders of classes below the place, or below the folder of a split.
        folders: of each split by its folder; None where the dataset has none of its own.
    """

    depth: int = 0
    folders: Mapping[str, str] | None = None

    def below_split(self, path: str) -> tuple[str | None, list[str]]:
        """The split that a path is in, and what comes below that split's folder; nothing for a path in none."""
        if self.folders is None:
            return None, path.split("/")
        for folder, split in self.folders.items():
            if path.startswith(f"{folder}/"):
                return split, path[len(folder) + 1 :].split("/")
        return None, []

    def class_of(self, path: str) -> tuple[str | None, str] | None:
        """The split and the class of an image; None for one that is in no class."""
        split, parts = self.below_split(path)
        return (split, parts[self.depth]) if len(parts) > self.depth + 1 else None

    def is_class_folder(self, folder: str) -> bool:
        return len(self.below_split(folder)[1]) == self.depth + 1


def read(
    images: Sequence[str], folders: Sequence[str], others: Sequence[str], settings: Mapping[str, str]
) -> tuple[Layout, list[str]]:
    """How a folder lies, and what stands against a study of it.

    Args:
        images, folders, others: paths below the place: of images, of folders, of other files.
        settings: what `--data-option` says; see `SETTINGS`.
    """
    named = {split: settings[split].strip("/") for split in SPLITS if split in settings}
    if named:
        return by_option(named, folders)
    if "class_depth" in settings:
        depth = settings["class_depth"]
        if not depth.isdecimal() or not 1 <= int(depth) <= 9:
            return Layout(), [f"--data-option class_depth must be 1 to 9, got {depth!r}"]
        return Layout(int(depth) - 1), []
    annotated = annotations(images, folders, others)
    if annotated:
        return Layout(), [annotated]
    return by_name(images, folders)


def by_option(named: Mapping[str, str], folders: Sequence[str]) -> tuple[Layout, list[str]]:
    there = set(folders)
    problems = [
        f"there is no folder {folder!r} in it, which --data-option {split}= names: it has "
        f"{shorten([one for one in folders if '/' not in one], 6) or 'none'}"
        for split, folder in named.items()
        if folder not in there
    ]
    if "train" not in named:
        problems.append(f"--data-option names {joined(list(named))}, but no train")
    for one, folder in named.items():
        for other, inner in named.items():
            if one != other and (inner == folder or inner.startswith(f"{folder}/")):
                problems.append(f"--data-option {other}={inner} lies in {one}={folder}: no image may be in two splits")
    return Layout(0, {folder: split for split, folder in named.items()}), problems


def by_name(images: Sequence[str], folders: Sequence[str]) -> tuple[Layout, list[str]]:
    """Whether the folders at the top are splits and not classes, or look as if they were."""
    tops = {path.split("/")[0] for path in images if "/" in path}
    tops |= {path for path in folders if "/" not in path and path.lower() in SPLIT_NAMES}
    exact = {top: SPLIT_NAMES[top.lower()] for top in sorted(tops) if top.lower() in SPLIT_NAMES}
    others = sorted(tops - exact.keys())
    has = " and ".join(sorted(set(exact.values())))
    if exact and not others:
        if "train" not in exact.values():
            return Layout(0, exact), [f"has {has}, but no train: it must hold {WANTED}"]
        return Layout(0, exact), []
    if len(set(exact.values())) > 1:
        return Layout(), [
            f"has {has}, and images in {shorten(others)} beside them: move those away, rename what are classes and "
            f"not splits, or {SAY_SPLITS}"
        ]
    question = look_like_splits(sorted(tops)) or share_folders(images)
    return Layout(), [question] if question else []


def look_like_splits(tops: Sequence[str]) -> str | None:
    """A question where the names of folders are those of splits in another spelling."""
    likely = {top: split for top in tops if (split := split_names.likely(top))}
    if len(likely) < 2 or (len(set(likely.values())) < 2 and len(likely) < len(tops)):
        return None
    rests = Counter(split_names.rest(top) for top in likely)
    if len(likely) < len(tops) and rests.most_common(1)[0][1] < 2:  # a train station and a test tube among others
        return None
    return (
        f"its folders {shorten([*likely], 4)} look like splits and not like classes: {SAY_SPLITS}; or by "
        "--data-option class_depth=1 that they are classes"
    )


def share_folders(images: Sequence[str]) -> str | None:
    """A question where most folders at the top hold the same folders: those may be the classes."""
    inner: dict[str, set[str]] = defaultdict(set)
    for path in images:
        top, *below = path.split("/")
        if below:
            inner[top] |= {below[0]} if len(below) > 1 else set()
    if len(inner) == 1:
        [(outer, names)] = inner.items()
        if len(names) < 2:
            return None
        return (
            f"all of its images lie in its folder {outer!r}, which has folders too ({shorten(sorted(names))}): name "
            "that folder as the dataset"
        )
    divided = [names for names in inner.values() if names]
    if len(divided) < 2 or 2 * len(divided) <= len(inner):
        return None
    common = set.intersection(*divided)
    if common and all(split_names.likely(name) for name in set.union(*divided)):
        return (
            f"its folders {shorten(sorted(inner), 3)} hold folders that look like splits "
            f"({shorten(sorted(common), 3)}): put the splits above the classes, as in {WANTED}; or draw "
            "splits anew by --data-option class_depth=1"
        )
    if len(common) < 2 or 2 * len(common) < max(map(len, divided)):
        return None
    return (
        f"its folders {shorten(sorted(inner), 3)} hold the same folders ({shorten(sorted(common), 3)}), which may be "
        f"the classes: {SAY_SPLITS}; or by --data-option class_depth=1 that those at the top are the classes, "
        "class_depth=2 that those below are"
    )


def annotations(images: Sequence[str], folders: Sequence[str], others: Sequence[str]) -> str | None:
    """What is said of a folder whose labels lie in files beside the images: boxes, of whatever format."""
    names = {path.lower() for path in folders}
    texts = {str(PurePosixPath(path.lower()).parent) for path in others if path.lower().endswith(".txt")}
    pairs = [path for path in names if re.search(r"(^|/)labels($|/)", path) and path in texts]
    if any(re.sub(r"(^|/)labels($|/)", r"\1images\2", path) in names for path in pairs):
        return f"looks like YOLO (images beside labels in .txt), which has boxes: {NOT_CLASSES}"
    files = [PurePosixPath(path.lower()) for path in others if "/" not in path or "annotations" in path.lower()]
    if any(one.suffix == ".json" and ("coco" in one.name or one.name.startswith("instances_")) for one in files) or (
        {top(path) for path in images} <= {"images", "train2017", "val2017", "test2017"}
        and any(one.suffix == ".json" for one in files)
    ):
        return f"looks like COCO (annotations in .json), which has boxes: {NOT_CLASSES}"
    tops = {top(path).lower() for path in images}
    if tops & MASKS and tops <= MASKS | PHOTOS:
        return f"looks like segmentation ({joined(sorted(tops))}), which has masks: {NOT_CLASSES}"
    if {"annotations", "jpegimages"} <= names:
        return f"looks like Pascal VOC (Annotations beside JPEGImages), which has boxes: {NOT_CLASSES}"
    return None


def top(path: str) -> str:
    return path.split("/")[0] if "/" in path else ""


def flat(name: str, images: Sequence[str], others: Sequence[str]) -> str:
    """What is said of images that lie in no class."""
    tables = [path for path in others if path.lower().endswith((".csv", ".tsv")) and path.count("/") < 2]
    if tables:
        return (
            f"{name} has no images in class folders, but {shorten(tables)}: name the table of labels by "
            f"--data-option labels={tables[0]}"
        )
    words = prefixes(images)
    if words:
        return (
            f"{name} has no images in class folders, but images whose names begin with {shorten(words)}: if that "
            "is the class, say so by --data-option label_pattern='([A-Za-z]+)'"
        )
    return f"{name} has no images in class folders: it must hold {WANTED}; {shorten(images, 1)} lies in none"


def prefixes(images: Iterable[str]) -> list[str]:
    """Words that many names of files begin with, if there are several: `cat` and `dog` of cat.1.jpg, dog.2.jpg."""
    found = Counter(match[0] for path in images if (match := re.match(r"[A-Za-z]+", PurePosixPath(path).name)))
    several = [word for word, count in found.most_common() if count > 1]
    return several if 2 <= len(several) <= 1000 else []
