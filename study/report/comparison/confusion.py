"""Which classes are taken for which: a matrix per model, readable at hundreds of classes, and the top confusions."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from markupsafe import Markup

from study.comparison import Comparison, Group, Row
from study.report import figures
from study.report.blocks import Note, Section, as_json, empty
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.pictures import embedded, kept
from study.report.comparison.styles import Style, families, style_of, word
from study.report.downloads import data_uri
from study.report.study.confusion import most_involved
from study.statistics import confusion
from study.text import plural

MOST_LISTED = 24
MOST_WITH_NAMES = 40
COLORS = [
    [0, "var(--wrong-high)"],
    [0.4995, "var(--wrong-low)"],
    [0.4998, "rgba(0,0,0,0)"],
    [0.5002, "rgba(0,0,0,0)"],
    [0.5005, "var(--right-low)"],
    [1, "var(--right-high)"],
]
AXIS = {"gridcolor": figures.GRID, "linecolor": figures.GRID, "tickcolor": figures.GRID}


@dataclass(frozen=True)
class Confusions:
    """The matrices of several rows: counts over all seeds, classes in the order of similarity."""

    id: str
    labels: Sequence[str]
    classes: Sequence[str]
    matrices: Sequence[np.ndarray]
    alt: str
    template: ClassVar[str] = "confusions.html"

    @property
    def json(self) -> Markup:
        """For the script that draws it: of each row the cells that are not 0, as (true, predicted, count)."""
        layout = figures.blank(x="", y="").to_plotly_json()["layout"]
        return as_json(
            {
                "classes": list(self.classes),
                "labels": list(self.labels),
                "cells": [b64encode(cells(matrix).tobytes()).decode() for matrix in self.matrices],
                "levels": {"colors": COLORS, "axis": AXIS, "layout": {k: layout[k] for k in layout if "axis" not in k}},
            }
        )

    @property
    def many(self) -> bool:
        """So many classes that a matrix of all of them cannot be read."""
        return len(self.classes) > MOST_WITH_NAMES

    @property
    def csv(self) -> str:
        """The cells that are not 0."""
        return data_uri(
            ["label", "true", "predicted", "count"],
            [
                [label, self.classes[i], self.classes[j], int(matrix[i, j])]
                for label, matrix in zip(self.labels, self.matrices, strict=True)
                for i, j in np.argwhere(matrix)
            ],
        )


def cells(matrix: np.ndarray) -> np.ndarray:
    """(cells, 3): row, column and count of those that are not 0."""
    rows, columns = np.nonzero(matrix)
    return np.stack([rows, columns, matrix[rows, columns]], axis=1).astype("<u4")


@dataclass(frozen=True)
class Picture:
    base64: str
    media: str
    small: bool
    alt: str


@dataclass(frozen=True)
class Taken:
    """One class taken for another, by share of the class's images; by family the mean over its rows."""

    true: str
    predicted: str
    share: float
    by_family: Sequence[tuple[Style, str, float]]
    mistaken: Picture | None
    example: Picture | None


@dataclass(frozen=True)
class TopConfusions:
    id: str
    caption: str
    pairs: Sequence[Taken]
    csv: str
    template: ClassVar[str] = "top_confusions.html"


def section(comparison: Comparison) -> Section:
    if not comparison.groups:
        return empty("confusion", "Confusion", "No study is finished.")
    return Section(
        "confusion",
        "What is taken for what",
        per_dataset(comparison, blocks),
        lead=(
            "Classes that are taken for each other stand side by side, in one order for all models (hierarchical "
            "clustering of all their confusions), so that blocks along the diagonal are families of similar classes."
        ),
        short="Confusion",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    classes = group.rows[0].classes
    counts = [matrix(row) for row in group.rows]
    shares = [each / np.maximum(each.sum(axis=1, keepdims=True), 1) for each in counts]
    total = np.sum(counts, axis=0)
    pairs = np.column_stack([*np.nonzero(total), total[np.nonzero(total)]])
    chosen = most_involved(pairs, len(classes))
    order = chosen[by_similarity(np.mean(shares, axis=0)[np.ix_(chosen, chosen)])]
    few = len(chosen) < len(classes)
    which = f"The {len(chosen)} of {len(classes):,} classes that are confused most. " if few else ""
    shown = Confusions(
        f"confusions{suffix}",
        [row.label for row in group.rows],
        [classes[i] for i in order],
        [each[np.ix_(order, order)] for each in counts],
        alt=(
            f"{which}Heatmap of {len(chosen)} true classes by predicted classes, counts over all seeds, coloured by "
            "the share of the true class. The largest confusions are in the list beside it, their counts in the CSV."
        ),
    )
    notes = (
        [Note(f"{which}Shares are of the answers among them; all counts are in confusion.parquet of each record.")]
        if few
        else []
    )
    return [shown, *notes, top(group, among, shares, suffix)]


def matrix(row: Row) -> np.ndarray:
    """Over all seeds: (classes, classes), true by row."""
    return sum(
        (confusion(row.label_of, predicted, len(row.classes)) for predicted in row.predicted),
        start=np.zeros((len(row.classes), len(row.classes)), dtype=np.int64),
    )


def by_similarity(shares: np.ndarray) -> list[int]:
    """An order of the classes in which those that are taken for each other are near: the leaves of a clustering.

    Average linkage, leaves in the optimal order (Bar-Joseph et al. 2001). Two classes are as similar as they are taken
    for each other and for the same others.

    Args:
        shares: (classes, classes), by true class.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(shares) < 3:
        return list(range(len(shares)))
    both = (shares + shares.T) / 2
    profiles = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12)
    distance = 1 - np.clip(profiles @ profiles.T, 0, 1)
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True)).tolist()


def top(group: Group, among: Sequence[Row], shares: Sequence[np.ndarray], suffix: str) -> TopConfusions | Note:
    classes = group.rows[0].classes
    mean = np.mean(shares, axis=0)
    np.fill_diagonal(mean, 0)
    ranked = [np.unravel_index(k, mean.shape) for k in np.argsort(mean, axis=None)[::-1][:MOST_LISTED]]
    ranked = [(int(i), int(j)) for i, j in ranked if mean[i, j] > 0]
    if not ranked:
        return Note("No image was misclassified.")
    there = families(group.rows)
    album = Album(group)
    pairs = [
        Taken(
            classes[i],
            classes[j],
            float(mean[i, j]),
            [(style_of(first(group, name), among), word(name), of_family(group, shares, name, i, j)) for name in there],
            album.mistaken(i, j),
            album.example(j),
        )
        for i, j in ranked
    ]
    rows = [[p.true, p.predicted, p.share, *(share for *_, share in p.by_family)] for p in pairs]
    return TopConfusions(
        f"top-confusions{suffix}",
        f"The {plural(len(pairs), 'pair')} that is most often mixed up, by the share of the true class’s images, mean "
        "over all rows; beside it the mean over each family’s rows. Pictures are those that the records keep."
        if len(pairs) == 1
        else f"The {len(pairs)} pairs that are most often mixed up, by the share of the true class’s images, mean over "
        "all rows; below it the mean over each family’s rows. Pictures are those that the records keep.",
        pairs,
        data_uri(["true", "predicted", "share", *there], rows),
    )


def first(group: Group, family: str) -> Row:
    return next(row for row in group.rows if row.family == family)


def of_family(group: Group, shares: Sequence[np.ndarray], family: str, i: int, j: int) -> float:
    """How often a family takes one class for another.

    Args:
        group: whose rows.
        shares: of each row, (classes, classes), by true class.
        family: the rows that count.
        i, j: the true and the predicted class.

    Returns:
        The mean over the family's rows of the share of the class's images.
    """
    those = [share[i, j] for row, share in zip(group.rows, shares, strict=True) if row.family == family]
    return float(np.mean(those))


class Album:
    """The pictures of a group, looked up by what they are and what they were taken for."""

    def __init__(self, group: Group) -> None:
        self.label = group.rows[0].label_of
        self.classes = group.rows[0].classes
        self.predicted = np.concatenate([row.predicted for row in group.rows])
        self.kept = kept(group)

    def mistaken(self, true: int, predicted: int) -> Picture | None:
        """The image of a class that was most often taken for another."""
        votes = {
            place: int((self.predicted[:, place] == predicted).sum())
            for place in self.kept
            if self.label[place] == true
        }
        place = max(votes, key=lambda place: votes[place], default=None)
        if place is None or not votes[place]:
            return None
        return self.picture(place, f"a {self.classes[true]} that was taken for a {self.classes[predicted]}")

    def example(self, of: int) -> Picture | None:
        """The image of a class that was most often recognised."""
        right = {place: int((self.predicted[:, place] == of).sum()) for place in self.kept if self.label[place] == of}
        place = max(right, key=lambda place: right[place], default=None)
        return None if place is None else self.picture(place, f"a {self.classes[of]}")

    def picture(self, place: int, alt: str) -> Picture:
        base64, media, small = embedded(self.kept[place])
        return Picture(base64, media, small, alt)
