"""Caltech-256 (Griffin, Holub & Perona 2007): 30,607 photographs of 256 kinds of things, and of clutter.

It has no official test set. The convention is theirs: N random images of each class to train on, the rest to test.
The 257th folder, `clutter`, is left out unless it is asked for: they added it "for testing background rejection",
and the published accuracies that one would compare with are over the 256.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np

from study.data.download import Archive, obtain
from study.data.folder import files_of
from study.data.image_index import ImageIndex
from study.data.source import DatasetRequest

ARCHIVE = Archive(
    url="https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
    size=1_183_006_720,
    checksum="md5:67b4f42ca05d46448c6bb8ecd2220f6d",
    folder="256_ObjectCategories",
    sign="[0-9][0-9][0-9].*",
)
SETTINGS = {
    "train_per_class": "images of each class to train on, 15, 30, 45 or 60 (default 60); the rest are the test set",
    "clutter": "true or false (default false): whether the images of nothing in particular are a 257th class",
    "split": "which random choice of training images: a whole number from 0 (default 0)",
}
CLASS, IMAGE = re.compile(r"\d{3}\.(.+)"), re.compile(r"\d{3}_\d{4}\.jpg")  # 198.spider/RENAME2, 056.dog/greg: neither


def image_index(request: DatasetRequest) -> ImageIndex:
    settings = {"train_per_class": "60", "clutter": "false", "split": "0", **request.settings}
    per_class, clutter, seed = (checked(name, settings[name]) for name in SETTINGS)
    folder = obtain(ARCHIVE, request)
    images = images_of(folder, clutter=bool(clutter))
    for name, paths in images.items():
        if len(paths) <= per_class:
            raise ValueError(
                f"caltech256 has {len(paths)} images of {name} in {folder}, with train_per_class={per_class} none are "
                "left to test on: choose fewer, or unpack the archive again"
            )
    labels = np.repeat(np.arange(len(images)), [len(paths) for paths in images.values()])
    return ImageIndex(
        name="caltech256",
        images=files_of(folder, [path for paths in images.values() for path in paths]),
        labels=labels,
        classes=tuple(images),
        draw=partial(drawn, per_class=per_class, seed=seed),
    )


def checked(name: str, given: str) -> int:
    """A setting as a number. Raises ValueError for a value that it cannot have."""
    allowed = {
        "train_per_class": ("15, 30, 45 or 60", {str(number): number for number in (15, 30, 45, 60)}),
        "clutter": ("true or false", {"true": 1, "false": 0}),
        "split": ("a whole number from 0", {given: int(given)} if given.isdecimal() else {}),
    }
    words, values = allowed[name]
    if given not in values:
        raise ValueError(f"caltech256's {name} must be {words}, got {given!r}")
    return values[given]


def images_of(folder: Path, *, clutter: bool) -> dict[str, list[str]]:
    """The paths of each class, below the folder. Raises ValueError if there are no classes."""
    images = {}
    for entry in sorted(folder.iterdir()):
        match = CLASS.fullmatch(entry.name)
        if match and entry.is_dir() and (clutter or match[1] != "clutter"):
            images[match[1]] = sorted(
                f"{entry.name}/{path.name}" for path in entry.iterdir() if IMAGE.fullmatch(path.name)
            )
    if not images:
        raise ValueError(
            f"{folder} has no class folders like 001.ak47: it must be {ARCHIVE.folder} as it was published"
        )
    return images


def drawn(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """`train` for `per_class` random images of each class and `test` for the others.

    Of one seed, fewer training images are some of the more; and the choice in one class is the same whatever other
    classes there are.
    """
    splits = np.full(len(labels), "test", "<U5")
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen = np.random.default_rng([seed, int(label)]).permutation(rows)[:per_class]
        splits[chosen] = "train"
    return splits
