"""Test images that all rows get wrong: hard ones, and candidates for wrong labels where they agree on another class."""

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from study.comparison.groups import Group
from study.comparison.rows import Row

FEWEST_ROWS = 2


@dataclass(frozen=True)
class Missed:
    """Attributes:
    place: among the group's test images; `index` in the dataset.
    label: its class.
    answer: the class that most runs of all rows take it for; `share` of them.
    image: where to find it, empty where the record does not say.
    """

    place: int
    index: int
    label: str
    answer: str
    share: float
    image: str


def missed(group: Group) -> list[Missed]:
    """The images that no row gets right in more than half of its runs, the most unanimous answer first.

    Of fewer than two rows nothing is said.
    """
    if len(group.rows) < FEWEST_ROWS:
        return []
    first = group.rows[0]
    nobody = np.flatnonzero(np.all([row.correct.mean(axis=0) <= 0.5 for row in group.rows], axis=0))
    where = images(first)
    found = []
    for place in nobody.tolist():
        counts = np.mean([shares(row, place) for row in group.rows], axis=0)
        answer = int(counts.argmax())
        index, label = int(first.index[place]), int(first.label_of[place])
        if answer != label:
            name = where.get(index, "")
            found.append(Missed(place, index, first.classes[label], first.classes[answer], float(counts[answer]), name))
    return sorted(found, key=lambda one: (-one.share, one.index))


def shares(row: Row, place: int) -> np.ndarray:
    """Of the row's runs, which share takes an image for each class."""
    return np.bincount(row.predicted[:, place], minlength=len(row.classes)) / len(row.predicted)


def images(row: Row) -> dict[int, str]:
    """Where each test image is to be found, by its index; nothing of a record that does not say."""
    path = row.record.folder / "predictions.parquet"
    if not path.is_file() or "image" not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["index", "image"])
    return {
        index: name
        for index, name in zip(table["index"].to_pylist(), table["image"].to_pylist(), strict=True)
        if name is not None
    }
