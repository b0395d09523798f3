"""What is known of a run while it trains, as its record will have it; also of what an earlier process did of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

from trainables.loop import Epoch
from trainables.memory import Memory, PeakMemory
from trainables.metrics import Metric
from trainables.reader import Reader
from trainables.run import Outcome

Row = dict[str, Any]


@dataclass
class Account:
    """Keeps an outcome up to date.

    Attributes:
        outcome: what is told of the run.
        metric: which epoch is its best.
        start: when this process began with it, by `perf_counter`.
        notes: what else is to be said of the run.
        before: what `kept` said in the process that it goes on from.
        known_epochs: how many that one had reported.
    """

    outcome: Outcome
    metric: Metric
    reader: Reader
    memory: Memory
    peak: PeakMemory
    start: float
    notes: list[str] = field(default_factory=list)
    before: Mapping[str, Any] = field(default_factory=dict)
    known_epochs: int = 0

    def go_on_from(self, kept: Mapping[str, Any], *, epochs: int) -> None:
        """An earlier process has had so many epochs of this run, and said `kept` of it."""
        self.before, self.known_epochs = kept, epochs
        self.reader.opened_before = dict(kept["opened"])

    def kept(self) -> Row:
        """What a process that goes on with the run must know of this one: plain values."""
        before = self.before
        return {
            "plan": before.get("plan") or self.reader.line,
            "notes": list(self._notes()),
            "peak_memory_bytes": max(before.get("peak_memory_bytes", 0), self.peak.own),
            "resident_bytes": max(before.get("resident_bytes", 0), self.peak.resident),
            "total_seconds": before.get("total_seconds", 0.0) + perf_counter() - self.start,
            "opened": self.reader.opened,
        }

    def add(self, epoch: Epoch) -> Row:
        """An epoch has ended; returns what is reported of it."""
        outcome, known = self.outcome, self.kept()
        outcome.plan, outcome.bytes_read = known["plan"], self.reader.bytes_read
        outcome.peak_memory_bytes, outcome.resident_bytes = known["peak_memory_bytes"], known["resident_bytes"]
        outcome.epochs.append(epoch)
        if epoch.beats(outcome.best, self.metric):
            outcome.best = epoch
        self.close()
        return {**outcome.summary(), "curve": asdict(epoch)}

    def is_new(self, epoch: Epoch) -> bool:
        """Whether no earlier process reported it."""
        return epoch.epoch > self.known_epochs

    def close(self) -> None:
        """What is known when nothing more is trained."""
        outcome = self.outcome
        outcome.notes, outcome.micro_batch_size = self._notes(), self.memory.micro_batch_size
        outcome.total_seconds = self.before.get("total_seconds", 0.0) + perf_counter() - self.start

    def _notes(self) -> tuple[str, ...]:
        said = (*self.before.get("notes", ()), *self.reader.notes, *self.memory.notes, *self.notes)
        return tuple(dict.fromkeys(said))
