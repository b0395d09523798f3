"""Races whose candidates answer at random: a course with a clock of its own, and the record of a race on it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from study.selection import race
from study.selection.race import Measured, Race, Rules

SIZES = (64, 128, 256, 512, 1024)


@dataclass
class Drawn:
    """A course of its own clock: each candidate has an accuracy on each subset, and a cost per image."""

    accuracies: Mapping[str, float]
    sizes: tuple[int, ...]
    per_image: Mapping[str, float] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    seed: int = 0
    slopes: Mapping[str, float] = field(default_factory=dict)
    clock: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def now(self) -> float:
        return self.clock

    def measured(self, names: Iterable[str], round: int) -> Iterator[tuple[str, Measured | str]]:
        for name in names:
            self.asked.append((name, round))
            if name in self.broken:
                yield name, "it does not fit"
                continue
            new = self.sizes[round] - (self.sizes[round - 1] if round else 0)
            seconds = new * self.per_image.get(name, 0.001)
            self.clock += seconds
            hard = np.random.default_rng([self.seed, 0]).random(self.sizes[-1])  # images are hard for all alike
            own = np.random.default_rng([self.seed, *name.encode()]).random(self.sizes[-1])
            chance = 0.7 * hard + 0.3 * own
            accuracy = self.accuracies[name] + self.slopes.get(name, 0.0) * round
            yield name, Measured(chance[: self.sizes[round]] < quantile(accuracy), seconds, boundary=8)


@cache
def quantile(share: float) -> float:
    """Below which so many of the sums 0.7 u + 0.3 v lie, of u and v even from 0 to 1."""
    draws = np.random.default_rng(9).random((2, 100_000))
    return float(np.quantile(0.7 * draws[0] + 0.3 * draws[1], share))


def ran(course: Drawn, budget: float = 1e9, *, margin: float = 0.005) -> Race:
    return race.run(Race(list(course.accuracies), Rules(course.sizes, budget, margin)), course)
