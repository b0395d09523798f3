"""A budget of wall clock: which trials, replicates and test runs still fit into it, by the pace that was measured.

The search may take what replicates and tests leave, and at least half. Replicates then come a seed at a time, as many
as leave time for as many tests; tests come before those of the starting point. One trial, one replicate and one test
run are trained in any case: a study ends with a result, and says so where that took longer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from study.design.states import Phase
from study.design.study import Study
from study.results.device_time import seconds_of
from study.results.pace import Pace
from study.results.progress import STEPS
from study.results.record import Record
from study.results.study_file import Budget
from trainables.run import Run

MARGIN = 1.1  # times what the pace says that replicates and tests take
OF_THE_SEARCH = 0.5  # of the budget, at least

Planned = Mapping[str, tuple[Any, Run]]


@dataclass
class WallClock:
    """Without a limit everything fits.

    Attributes:
        limit: seconds.
        before: seconds that earlier sessions took.
        since: when this one began its first step, by `monotonic`.
        starting: seconds from then to the first run; replicates wait for their processes as long.
        search_only: nothing comes after the search.
    """

    study: Study
    record: Record
    pace: Pace
    limit: float
    before: float
    since: float = field(default_factory=lambda: monotonic())
    starting: float = 0.0
    search_only: bool = False
    left_out: dict[Phase, int] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, record: Record, pace: Pace, *, search_only: bool = False) -> "WallClock":
        """What an earlier session left of it, by the record; what a killed one did not note, by its runs."""
        noted = sum(record.study.seconds.get(step, 0.0) for step in STEPS)
        trained = sum(seconds_of(row) for row in (*record.trials, *record.runs)) / pace.at_a_time
        limit = inf if study.hours is None else 3600 * study.hours
        clock = cls(study, record, pace, limit, max(noted, trained), search_only=search_only)
        before = record.study.budget
        if before and before.hours == study.hours:
            clock.left_out = dict(before.left_out)
        return clock

    @property
    def limited(self) -> bool:
        return self.limit < inf

    @property
    def spent(self) -> float:
        return self.before + monotonic() - self.since

    @property
    def left(self) -> float:
        return self.limit - self.spent

    @property
    def done(self) -> set[str]:
        """Replicates and test runs."""
        return {row["run_id"] for row in self.record.runs}

    @property
    def tested(self) -> bool:
        """Whether a test run has been: then nothing before it may become another."""
        return any(row["phase"] == Phase.TEST for row in self.record.runs)

    @property
    def searched(self) -> bool:
        """Whether an earlier session has ended the search for lack of time."""
        return self.limited and (self.tested or Phase.SEARCH in self.left_out)

    def began(self) -> None:
        """A run has a process."""
        self.starting = self.starting or monotonic() - self.since

    def ends(self, seeds: int | None = None, *, replicates: int = 0) -> float:
        """Seconds that so many replicates take, and the tests with so many seeds after them."""
        seeds = self.study.seeds if seeds is None else seeds
        start = self.pace.rounds(Phase.START, seeds) if self.study.protocol > 1 else 0.0
        tests = self.pace.rounds(Phase.TEST, seeds) + start
        return MARGIN * (self.pace.rounds(Phase.REPLICATE, replicates) + tests)

    @property
    def for_the_search(self) -> float:
        """Seconds that are left for it."""
        if self.search_only:
            return self.left
        points = min(self.study.top_k, self.study.budget - 1) + 1
        reserved = self.starting + self.ends(replicates=points * self.study.seeds)
        return self.left - min(reserved, (1 - OF_THE_SEARCH) * self.limit)

    def another_trial_fits(self) -> bool:
        return not self.limited or self.for_the_search > (self.pace.run(Phase.SEARCH) or 0.0)

    def another_epoch_fits(self) -> bool:
        return not self.limited or self.for_the_search > (self.pace.run(Phase.SEARCH) or 0.0) / self.pace.epochs

    def end_search(self) -> None:
        if (missing := self.study.budget - len(self.record.trials)) > 0:
            self.left_out[Phase.SEARCH] = missing
        self.note()

    def replicates(self, planned: Planned) -> Iterator[Planned]:
        """Those that fit, with those that are done: a seed more each time, of the same points; all without a limit."""
        if not self.limited:
            yield planned
            return
        chosen = {name: one for name, one in planned.items() if name in self.done}
        seeds = [] if self.tested else sorted({run.seed for _, run in planned.values()})
        for number, seed in enumerate(seeds, start=1):
            runs = {name: one for name, one in planned.items() if one[1].seed == seed}
            if number == 1:
                while len(runs) > 1 and not self.fit(number, runs):
                    runs.popitem()  # the starting point first, then the last of the best
                points = {row["trial_id"] for row, _ in runs.values()}
            runs = {name: one for name, one in runs.items() if one[0]["trial_id"] in points}
            if number > 1 and not self.fit(number, runs):
                break
            chosen |= runs
            yield chosen
        self.leave_out(Phase.REPLICATE, planned, chosen)

    def fit(self, seeds: int, runs: Planned) -> bool:
        """Whether replicates with the last of so many seeds do, and the tests with as many."""
        to_do = len(runs.keys() - self.done)
        return not to_do or self.ends(seeds, replicates=to_do) <= self.left

    def tests(self, planned: Planned) -> Planned:
        """As many of the winner's as fit, and one at least."""
        chosen = dict(planned)
        to_do = [name for name in planned if name not in self.done]
        while self.limited and len(to_do) > 1 and self.pace.rounds(Phase.TEST, len(to_do)) > self.left:
            del chosen[to_do.pop()]
        self.leave_out(Phase.TEST, planned, chosen)
        return chosen

    def start_tests(self, planned: Planned) -> Planned:
        """Those of the starting point, with the winner's seeds, if all of them fit."""
        seeds = {row["seed"] for row in self.record.runs if row["phase"] == Phase.TEST}
        chosen = {name: one for name, one in planned.items() if not self.limited or one[1].seed in seeds}
        if self.limited and self.pace.rounds(Phase.START, len(chosen.keys() - self.done)) > self.left:
            chosen = {}
        self.leave_out(Phase.START, planned, chosen)
        return chosen

    def leave_out(self, phase: Phase, planned: Planned, chosen: Planned) -> None:
        self.left_out.pop(phase, None)
        if len(chosen) < len(planned):
            self.left_out[phase] = len(planned) - len(chosen)
        self.note()

    def note(self) -> None:
        """Into the record. Raises OSError."""
        if self.study.hours is not None:
            self.record.note(
                budget=Budget(hours=self.study.hours, seconds=round(self.spent, 2), left_out=self.left_out)
            )
