"""The race: successive halving of backbones over nested subsets of train, by tests and within a budget of seconds.

A round measures all that are still in the race on a subset twice as large as the last one. Then whoever is behind the
leader by more than the margin, by a paired test, is dropped; nobody is dropped for its rank. The first round may take
two fifths of the budget, the others equal parts of the rest; for whom it does not suffice waits. What is left of the
budget after the last round is for those who wait: another heat, from the smallest subset on.

Knows neither models nor Ray: `benchmarks.select` runs the same race over features that are there already.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

import numpy as np

from study.selection.evidence import LEVEL, Gap, doublings, gaps

# In simulations of 40 candidates and a tenth of the time that everything takes, 0.2 lost half as much again
FIRST_SHARE = 0.4


@dataclass(frozen=True)
class Measured:
    """What one candidate came to on one subset.

    Attributes:
        correct: (N,) bool, in the order of the subset: cross-validated on it alone.
        seconds: that this subset took, beyond the one before.
        boundary: whose features did best.
        penalty: of the regression.
        smoothed: accuracy in which an image counts by how surely it is right: see `study.baselines.left_out`.
    """

    correct: np.ndarray
    seconds: float
    boundary: int = 0
    penalty: float = 0.0
    smoothed: float | None = None

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def merit(self) -> float:
        """By which one is ahead of another: the smoothed accuracy, which depends less on which images there are."""
        return self.accuracy if self.smoothed is None else self.smoothed


@dataclass(frozen=True)
class Dropped:
    """Why a candidate left: behind whom, by how much, and after how many seconds of the race."""

    round: int
    behind: str
    gap: Gap
    at: float


class Course(Protocol):
    """Measures candidates, several at a time where there is room, and knows the time."""

    def now(self) -> float:
        """Seconds since the race began."""
        ...

    def measured(self, names: Iterable[str], round: int) -> Iterator[tuple[str, Measured | str]]:
        """Each of the names on a subset, as they come to an end; or in words why one cannot be measured.

        Takes a name only when there is room for it, and gives up what has not ended with the budget.
        """
        ...


@dataclass(frozen=True)
class Rules:
    """Attributes:
    sizes: of the subsets.
    budget: seconds.
    margin: of accuracy, by how much a gap may close when the images double.
    level: how often a race may drop the one that is best on its subset.
    """

    sizes: tuple[int, ...]
    budget: float
    margin: float = 0.005
    level: float = LEVEL

    @property
    def images(self) -> int:
        return self.sizes[-1]

    def allowed(self, round: int) -> float:
        return self.margin * doublings(self.sizes[round], self.images)


@dataclass
class Race:
    """What is known so far.

    Attributes:
        order: of the candidates, those to be measured first coming first.
        hints: what each is guessed to cost, on any one scale.
        measured: of each, on each subset from the smallest one on.
        failed: why some could not be measured.
        seconds: the time when it ended.
    """

    order: Sequence[str]
    rules: Rules
    hints: Mapping[str, float] = field(default_factory=dict)
    measured: dict[str, list[Measured]] = field(default_factory=dict)
    dropped: dict[str, Dropped] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def alive(self) -> list[str]:
        """Who has not been dropped and could be measured, if anybody tried."""
        return [name for name in self.order if name not in self.dropped and name not in self.failed]

    @property
    def waiting(self) -> list[str]:
        """Who is alive and was never measured, for the budget ended."""
        return [name for name in self.alive if name not in self.measured]

    def rounds(self, name: str) -> int:
        return len(self.measured.get(name, ()))

    @property
    def furthest(self) -> int:
        """The most rounds that one who is alive has behind it."""
        return max((self.rounds(name) for name in self.alive), default=0)

    @property
    def leader(self) -> str | None:
        """The best of those on the largest subset that anybody reached."""
        first = [name for name in self.alive if self.rounds(name) == self.furthest and self.furthest]
        return max(first, key=lambda name: self.measured[name][-1].merit, default=None)

    def gap(self, name: str) -> Gap:
        """To the leader, on the largest subset that both were measured on."""
        leader = self.leader
        assert leader is not None
        last = min(self.rounds(name), self.rounds(leader)) - 1
        ours, theirs = self.measured[leader][last].correct, self.measured[name][last].correct
        return gaps(ours, {name: theirs}, allowed=self.rules.allowed(last))[name]

    @property
    def standing(self) -> list[str]:
        """Whoever was measured, by its gap to the leader; first those that were not dropped."""
        if self.leader is None:
            return []
        gap = {name: self.gap(name).mean for name in self.measured}
        return sorted(gap, key=lambda name: (name != self.leader, name in self.dropped, gap[name], -self.rounds(name)))

    def kept(self, most: int) -> list[str]:
        """Those that cannot be told from the leader, on the largest subset that each was measured on; at most so many.

        First those that went as far as the leader.
        """
        there = [name for name in self.standing if name not in self.dropped]
        return sorted(there, key=lambda name: self.rounds(name) != self.furthest)[:most]

    def expected(self, name: str, round: int) -> float:
        """Seconds that a candidate will need for a subset: as it needed for each image of the last one."""
        new = self.rules.sizes[round] - (self.rules.sizes[round - 1] if round else 0)
        if known := self.measured.get(name):
            last = len(known) - 1
            of_last = self.rules.sizes[last] - (self.rules.sizes[last - 1] if last else 0)
            return known[last].seconds / of_last * new
        others = [known[0].seconds / self.hints.get(other, 1.0) for other, known in self.measured.items()]
        return median(others) * self.hints.get(name, 1.0) if others else 0.0

    def test(self, round: int, at: float) -> list[str]:
        """Drops whoever is behind the leader of a round, those included who were ahead until others caught up."""
        there = {name: self.measured[name][round] for name in self.alive if self.rounds(name) > round}
        if not there:
            return []
        leader = max(there, key=lambda name: there[name].merit)
        others = {name: one.correct for name, one in there.items() if name != leader}
        found = gaps(there[leader].correct, others, allowed=self.rules.allowed(round))
        level = self.rules.level / len(self.rules.sizes)
        gone = {name: Dropped(round, leader, gap, at) for name, gap in found.items() if gap.p < level}
        self.dropped |= gone
        return list(gone)


Say = Callable[[Race, int, Sequence[str]], object]


def run(race: Race, course: Course, *, say: Say = lambda race, round, gone: None) -> Race:
    """Runs the race until one is left, all that are left were measured on all images, or the budget ends.

    Args:
        race: with nobody measured yet.
        course: measures.
        say: is told of each round when it has ended: its number and who was dropped.
    """
    while course.now() < race.rules.budget and (heat(race, course, say) or heat(race, course, say, shared=False)):
        pass
    race.seconds = course.now()
    return race


def heat(race: Race, course: Course, say: Say, *, shared: bool = True) -> bool:
    """All rounds, once, each with its share of what is left of the budget, or with all of it. Whether any ran."""
    rules, began, progress = race.rules, course.now(), False
    for round in range(len(rules.sizes)):
        if round and len(race.alive) <= 1:
            break
        share = share_until(round, len(rules.sizes)) if shared else 1.0
        until = began + (rules.budget - began) * share
        due = [name for name in race.alive if race.rounds(name) == round]
        if round:
            due.sort(key=lambda name: -race.measured[name][-1].merit)
        found = False
        for name, outcome in course.measured(fitting(race, due, round, course.now, until), round):
            if isinstance(outcome, str):
                race.failed[name] = outcome
            else:
                race.measured.setdefault(name, []).append(outcome)
                found = True
        if found:
            say(race, round, race.test(round, course.now()))
        progress |= found
    return progress


def share_until(round: int, rounds: int) -> float:
    """Of the budget, by the end of a round."""
    return 1.0 if rounds == 1 else FIRST_SHARE + (1 - FIRST_SHARE) * round / (rounds - 1)


def fitting(race: Race, due: Iterable[str], round: int, now: Callable[[], float], until: float) -> Iterator[str]:
    """Those for whom the time until the end of a round suffices, each asked when it is its turn.

    The first of all is measured in any case: a race with nobody in it says nothing.
    """
    for name in due:
        if now() + race.expected(name, round) <= until or not race.measured:
            yield name
