"""Folders as people might have them, drawn at random, and a slow, obvious reader of them that is right by its brevity.

The reader knows what was meant, for it drew the folder. A study may take it as it was meant, or refuse it with a
question; what it may never do is take it for something else, or end in a traceback.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from study.data import resolve
from study.data.check import contents, report
from study.data.source import DatasetRequest
from study.data.splits import split

CLASSES = ("cat", "Dog", "train", "red fox", "été", "-x", "7", "cat.old", "test tube")
SPLITS = {
    "train": ("train", "Training", "seg_train", "TRAIN", "train2017", "my-train"),
    "val": ("val", "validation", "Valid", "dev", "val_set"),
    "test": ("test", "Testing", "seg_test", "holdout", "eval", "test1"),
}
PLAIN = ("train", "Training", "TRAIN", "val", "validation", "Valid", "test", "Testing")
SUFFIXES = (".png", ".jpg", ".JPG", ".bmp", ".webp")
STRAYS = (
    *("@eaDir/{}.jpg", ".ipynb_checkpoints/{}.png", "lost+found/{}.png", "Thumbs.db", "{}.json", ".{}.png", "{}.txt"),
    *("__MACOSX/{}.png", "{}.cr2", "notes.md"),
)


@dataclass(frozen=True)
class Drawn:
    """A folder, and what was meant by it.

    Attributes:
        images: the split (nothing where there are none) and the class of each image, by its path.
        plain: it is as the documentation says a folder must be, so it must be taken.
    """

    images: dict[str, tuple[str, str]]
    strays: tuple[str, ...]
    plain: bool


def draw(choose: Random) -> Drawn:
    classes = choose.sample(CLASSES, choose.randint(2, 4))
    parts: list[tuple[str, str]] = [("", "")]
    if choose.random() < 0.6:
        kinds = ["train", *choose.sample(["val", "test"], choose.randint(0, 2))]
        parts = [(kind, choose.choice(SPLITS[kind])) for kind in kinds]
    images = {}
    for kind, folder in parts:
        for name in classes:
            for i in range(choose.randint(3, 5)):
                deeper = choose.choice(("", "", "", f"batch{i}/"))
                path = f"{folder}/{name}/{deeper}{i}{choose.choice(SUFFIXES)}".lstrip("/")
                images[path] = (kind, name)
    strays = []
    for number in range(choose.randint(0, 5)):
        below = choose.choice(["", *{path.rpartition("/")[0] + "/" for path in images}])
        strays.append(below + choose.choice(STRAYS).format(f"s{number}"))
    if choose.random() < 0.15:
        strays.append(f"loose{choose.choice(SUFFIXES)}")
    plain = all(folder in PLAIN for kind, folder in parts if kind)
    return Drawn(images, tuple(dict.fromkeys(strays)), plain)


def write(drawn: Drawn, place: Path, choose: Random) -> None:
    """Its files; no two images are alike, so that no copy is left out."""
    shutil.rmtree(place, ignore_errors=True)
    for number, path in enumerate([*drawn.images, *drawn.strays]):
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if path.lower().endswith(SUFFIXES):
            pixels = np.random.default_rng([number, choose.getrandbits(30)]).integers(0, 256, (12, 12, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(file)
        else:
            file.write_bytes(b"x")


def wrong(drawn: Drawn, place: Path) -> str | None:
    """What a study would make of the folder that was not meant; None where it takes it as it was, or asks."""
    request = DatasetRequest()
    try:
        splits = split(resolve.load(str(place), request))
    except ValueError as question:
        if drawn.plain and not is_question(str(question), drawn):
            return f"refused, though it is as it must be: {question}"
        return "more than one line" if "\n" in str(question) else None
    source = splits.source
    names = [str(source.images.name(row)) for row in range(len(source.labels))]
    found = {name: source.classes[label] for name, label in zip(names, source.labels, strict=True)}
    if found != {path: name for path, (_, name) in drawn.images.items()}:
        return f"took {found} for {drawn.images}"
    at = {names[row]: part for part in ("train", "val", "test") for row in splits.rows(part)}
    if len(at) != len(names) or sum(splits.sizes().values()) != len(names):
        return "an image is in two splits, or in none"
    given = {kind for kind, _ in drawn.images.values()} - {""}
    moved = [path for path, (kind, _) in drawn.images.items() if kind in ("val", "test") and at[path] != kind]
    moved += [path for path, (kind, _) in drawn.images.items() if kind == "train" and at[path] in given - {"train"}]
    if moved:
        return f"{moved[0]} went into {at[moved[0]]}"
    counts = Counter(name for _, name in drawn.images.values())
    told = report(str(place), contents(str(place), request))
    return None if told["classes"]["images"] == dict(counts) else f"check counts {told['classes']['images']}"


def is_question(said: str, drawn: Drawn) -> bool:
    """Whether a plain folder has something that is a question all the same."""
    names = {name for _, name in drawn.images.values()}
    return ("look like splits" in said or "beside them" in said or "hold the same folders" in said) and (
        bool(names & {"train", "test tube"}) or "hold the same folders" in said
    )


def one(seed: int, case: int, place: Path) -> str | None:
    """Draws, writes and reads one folder."""
    choose = Random(f"{seed} {case}")
    drawn = draw(choose)
    write(drawn, place, choose)
    try:
        found = wrong(drawn, place)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    return found and f"--seed {seed} --case {case}: {found}"
