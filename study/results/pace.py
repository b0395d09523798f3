"""How long the rest of a study will take, from what its runs have taken: what starts them is no part of the pace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from statistics import fmean, median
from typing import TYPE_CHECKING

from study.design.states import Phase, RunStatus

if TYPE_CHECKING:
    from study.results.record import Record, Row


@dataclass(frozen=True)
class Took:
    """A run that has ended: the seconds of its epochs, and of all else: its model, what it filled in the store."""

    epochs: float
    beside: float
    whole: bool  # it trained all epochs


@dataclass
class Pace:
    """Of the runs of a study, so many at a time.

    Attributes:
        epochs: of a whole run.
        at_a_time: runs.
        more_images: of a test run, which trains on validation too, times those of the others.
    """

    epochs: int
    at_a_time: int = 1
    more_images: float = 1.0
    _took: dict[Phase, list[Took]] = field(default_factory=dict)
    _epoch: float | None = None  # seconds of the last one of any run, before a run has ended

    @classmethod
    def of(cls, record: "Record") -> "Pace":
        """Of a study by its record."""
        facts, sizes = record.configuration, record.data.sizes if record.study.data else {}
        more = 1.0
        if facts.part_of_train is None and sizes.get("train"):
            more = (sizes["train"] + sizes.get("val", 0)) / sizes["train"]
        pace = cls(facts.epochs, facts.max_concurrent or 1, more)
        for row in record.trials:
            pace.add(Phase.SEARCH, row, record.curve(row["trial_id"]))
        for row in record.runs:
            pace.add(Phase(row["phase"]), row, record.curve(row["run_id"]))
        return pace

    def add(self, phase: Phase, row: "Row", curve: "list[Row]") -> None:
        """A run has ended."""
        total = row.get("total_seconds")
        if row["status"] == RunStatus.FAILED or total is None:
            return
        epochs = min(sum(epoch["seconds"] for epoch in curve), total) if curve else total
        whole = row["status"] == RunStatus.COMPLETED
        self._took.setdefault(phase, []).append(Took(epochs, total - epochs, whole))

    def epoch(self, seconds: float) -> None:
        """An epoch of a run under way has ended."""
        self._epoch = seconds

    def run(self, phase: Phase) -> float | None:
        """Seconds of one run of a step; None where nothing is known of it.

        What is beside the epochs is the median's: the first runs fill the store, which the others find full.
        """
        every = [took for each in self._took.values() for took in each]
        beside = median(took.beside for took in every) if every else 0.0
        if mine := self._took.get(phase) or (self._took.get(Phase.TEST) if phase is Phase.START else None):
            return fmean(took.epochs for took in mine) + beside
        whole = [took.epochs for took in every if took.whole]
        each = fmean(whole) if whole else self.epochs * self._epoch if self._epoch is not None else None
        if each is None:
            return None
        return each * (self.more_images if phase in (Phase.TEST, Phase.START) else 1.0) + beside

    def left(self, runs: Mapping[Phase, float]) -> float | None:
        """Seconds that so many runs of each step take, one step after the other; None where that is not known.

        Args:
            runs: still to be done; of one that is under way its rest.
        """
        seconds = 0.0
        for phase, number in runs.items():
            if number > 0:
                each = self.run(phase)
                if each is None:
                    return None
                seconds += each * max(number / self.at_a_time, min(number, 1.0))
        return seconds

    def rounds(self, phase: Phase, number: int) -> float:
        """Seconds until so many whole runs of a step have ended; 0 where nothing is known."""
        return ceil(number / self.at_a_time) * (self.run(phase) or 0.0)
