"""How accuracy depends on the amount of data: a curve with its band, images needed, and where two curves cross.

Every run draws its own subset of train with its own seed, so what a run adds to an answer is the draw's and the seed's
together, and the band of `intervals` covers both.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import exp, log
from typing import Generic, TypeVar

import numpy as np

from study.statistics.comparison import Difference, adjusted, difference
from study.statistics.intervals import accuracy_interval

Answers = Mapping[float, np.ndarray]  # by images per class: (runs, test images) bool, the same images in every row
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Curve:
    """Accuracy by images per class, with its 95 % band; arrays (amounts,), the fewest images first.

    `runs` is how many there are at each amount: the band of a single one covers the test images only.
    """

    images_per_class: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: np.ndarray

    def points(self) -> list[tuple[float, float, float, float, int]]:
        """(images per class, accuracy, low, high, runs) of every amount."""
        columns = (self.images_per_class, self.accuracy, self.low, self.high, self.runs)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def curve(answers: Answers) -> Curve:
    """The mean accuracy and its interval at every amount."""
    amounts = sorted(answers)
    bands = np.array([accuracy_interval(answers[n]) for n in amounts]).reshape(-1, 2)
    return Curve(
        np.array(amounts, float),
        np.array([answers[n].mean() for n in amounts]),
        bands[:, 0],
        bands[:, 1],
        np.array([len(answers[n]) for n in amounts]),
    )


@dataclass(frozen=True)
class Needed:
    """Images per class that an accuracy takes, by the curve and by its band; None where it is never reached.

    The fewest images that were tried mean: so many, or fewer.
    """

    images_per_class: float | None
    fewest: float | None
    most: float | None


def images_needed(curve: Curve, accuracy: float) -> Needed:
    """From how many images per class on the accuracy is reached, and kept with more of them."""
    mean, fewest, most = (
        reached(curve.images_per_class, values, accuracy) for values in (curve.accuracy, curve.high, curve.low)
    )
    return Needed(mean, fewest, most)


def reached(amounts: np.ndarray, values: np.ndarray, level: float) -> float | None:
    """The amount from which on values stay at `level` or above, interpolated in the amount's logarithm.

    `amounts` and `values` are (amounts,) float64, the fewest first.
    """
    below = np.flatnonzero(values < level)
    if len(below) == 0:
        return float(amounts[0])
    last = int(below[-1])
    if last == len(amounts) - 1:
        return None
    return between(amounts[last], values[last] - level, amounts[last + 1], values[last + 1] - level)


def between(amount: float, value: float, next_amount: float, next_value: float) -> float:
    """Where a straight line in the amount's logarithm is 0."""
    share = value / (value - next_value)
    return exp((1 - share) * log(amount) + share * log(next_amount))


Compared = dict[tuple[Name, Name, float], Difference]


def compared(answers: Mapping[Name, Answers]) -> Compared[Name]:
    """Every pair of curves at every amount that both have; each p adjusted by Holm over all of these.

    The runs of two curves share their draws where they share their seeds. That is not used: it can only make
    intervals wider than they need be.
    """
    return adjusted(
        {
            (a, b, n): difference(answers[a][n], answers[b][n])
            for a, b in combinations(answers, 2)
            for n in sorted(answers[a].keys() & answers[b].keys())
        }
    )


@dataclass(frozen=True)
class Crossing(Generic[Name]):
    """One curve overtakes another.

    Attributes:
        images_per_class: where their means meet.
        low, high: the nearest amounts where `before`, and then `after`, is found to be the better one.
    """

    before: Name
    after: Name
    images_per_class: float
    low: float
    high: float


def crossings(compared: Compared[Name]) -> list[Crossing[Name]]:
    """The crossings whose order is found on both sides, by pair and amount."""
    overtakings = []
    for a, b in dict.fromkeys((a, b) for a, b, _ in compared):
        pair = [(n, one) for (first, second, n), one in compared.items() if (first, second) == (a, b)]
        sure = [i for i, (_, one) in enumerate(pair) if one.different]
        for i, j in pairwise(sure):
            if (pair[i][1].mean > 0) != (pair[j][1].mean > 0):
                before, after = (a, b) if pair[i][1].mean > 0 else (b, a)
                meet = meeting([(n, one.mean) for n, one in pair[i : j + 1]])
                overtakings.append(Crossing(before, after, meet, pair[i][0], pair[j][0]))
    return overtakings


def meeting(means: list[tuple[float, float]]) -> float:
    """Where a mean difference that ends with another sign than it began with is 0; of several places the middle one."""
    places = [between(*one, *other) for one, other in pairwise(means) if (one[1] > 0) != (other[1] > 0)]
    return places[len(places) // 2]
