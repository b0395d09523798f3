"""What becomes of a run that ended without a result: tried again after a pause that grows, or given up.

An error of the model is a result of its hyperparameters: what the training loop finds out itself (a loss that is not
finite, a model that does not fit) is never tried again, an exception until it comes back word for word. Whatever else
ends a run was the machine: its process was killed, or ran out of the host's memory, a file could not be read, a GPU
failed. That is tried again `most` times; and a node that was lost does not count at all.
"""

import builtins
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.design.states import Cause, RunStatus
from study.execution.failures import NO_MEMORY, UNREADABLE, NoCompletedRuns, failure_reason, process_died
from study.results.record import Record, Row
from study.text import plural

LONGEST_PAUSE = 60.0  # seconds
FEWEST = 8  # runs of a step, of which more than half have failed
DEATHS = (
    *("ActorDiedError", "ActorUnavailableError", "RayActorError", "WorkerCrashedError", "NodeDiedError"),
    *("OutOfMemoryError", "OwnerDiedError", "ObjectLostError", "ObjectFetchTimedOutError"),
)
PROCESS = re.compile(r"\bpid[:=] ?(\d+)")  # as Ray names the one that has ended
DEVICES = ("CUDA error", "NCCL error", "ECC error")
OF_THE_MODEL = ("device-side assert",)

Explain = Callable[[str], str]


class MostFailed(NoCompletedRuns):
    """More than half of a step's runs have failed: what comes after it would say little."""


@dataclass(frozen=True)
class Failure:
    """An attempt that ended without a result.

    Attributes:
        pause: seconds until the run is tried again; None where it is given up.
    """

    reason: str
    cause: Cause
    pause: float | None


class Attempts:
    """At the runs of a study, in this session.

    Args:
        most: how often a run is tried again.
        say: told, in one line, of every attempt that is repeated.
        record: where they are noted; None for runs that are no part of one.
    """

    def __init__(self, most: int, say: Callable[[str], None] = lambda line: None, record: Record | None = None) -> None:
        self.most = most
        self._say = say
        self._record = record
        self._failed: defaultdict[str, list[Failure]] = defaultdict(list)
        self._known: dict[int, tuple[str, Explain]] = {}
        self._begun: Counter[str] = Counter()

    def begin(self, run_id: str) -> None:
        """A run begins, for the first time or again."""
        self._begun[run_id] += 1
        if self._record is not None:
            self._record.begin(run_id)

    def number(self, run_id: str) -> int:
        """Of the attempt that is under way, in this session."""
        return self._begun[run_id]

    def explain(self, pid: int, run_id: str, why: Explain) -> None:
        """What tells, of the run whose process will be found to have ended, why it did: that is known better here.

        Args:
            run_id: the run that it told of last, which may be an earlier one than it trains.
        """
        self._known[pid] = run_id, why

    def failed(self, run_id: str, traceback: str, *, noted: bool = True) -> Failure:
        """An attempt ended without a result, of which Ray says that.

        Args:
            noted: in the record, as an attempt at a run is.
        """
        known = self._explained(run_id, traceback)
        reason = known(run_id) if known else failure_reason(traceback)
        cause = Cause.MACHINE if known else cause_of(traceback)
        before = self._failed[run_id]
        repeated = cause is Cause.MODEL and reason in [one.reason for one in before]
        again = len(before) < self.most and not repeated
        failure = Failure(reason, cause, min(2.0 ** len(before), LONGEST_PAUSE) if again else None)
        before.append(failure)
        if failure.pause is not None:
            if noted:
                self._end(run_id, reason)
            times = f"{len(before)} of {plural(self.most, 'time')}"
            self._say(f"{run_id}: {reason}; it is tried again in {failure.pause:.0f} s ({times})")
        return failure

    def _explained(self, run_id: str, traceback: str) -> Explain | None:
        """What was to be told of the process that Ray names; of a group it may name one that waited for the other."""
        named = [self._known[pid] for pid in map(int, PROCESS.findall(traceback)) if pid in self._known]
        found = named or [one for one in self._known.values() if one[0] == run_id]
        if not found:
            return None
        self._known = {pid: one for pid, one in self._known.items() if one[1] is not found[0][1]}
        return found[0][1]

    def lost(self, run_id: str) -> None:
        """An attempt lost its node."""
        self._end(run_id, "its node was lost")

    def _end(self, run_id: str, reason: str) -> None:
        if self._record is not None:
            self._record.end_attempt(run_id, reason)

    def cause(self, run_id: str) -> Cause:
        """Of the failure of a run that was given up: the model's where it never failed before the eyes of Ray."""
        failed = self._failed[run_id]
        return failed[-1].cause if failed and failed[-1].pause is None else Cause.MODEL


def cause_of(traceback: str) -> Cause:
    """Whose error it is, by what Ray says: a traceback of a task begins with `ray::`."""
    last = (traceback.strip().splitlines() or [""])[-1]
    name = last.partition(":")[0].strip().rpartition(".")[2]
    kind = getattr(builtins, name, None)
    machine = (
        "ray::" not in traceback[:200]  # its process ended, and none of its code has failed
        or name in DEATHS
        or process_died(traceback)
        or (isinstance(kind, type) and issubclass(kind, OSError))
        or UNREADABLE in traceback
        or NO_MEMORY.search(traceback) is not None
        or (any(words in last for words in DEVICES) and not any(words in last for words in OF_THE_MODEL))
    )
    return Cause.MACHINE if machine else Cause.MODEL


def check_most(rows: Sequence[Row], what: str) -> None:
    """Raises MostFailed where the last of a step's runs has failed, and with it more than half of at least eight."""
    failed = [str(row["reason"]) for row in rows if row["status"] == RunStatus.FAILED]
    if len(rows) >= FEWEST and rows[-1]["status"] == RunStatus.FAILED and 2 * len(failed) > len(rows):
        raise MostFailed(f"{len(failed)} of {plural(len(rows), what)} failed, so the study stops: {commonest(failed)}")


def commonest(reasons: Sequence[str]) -> str:
    """Reasons that differ in numbers alone once each, with how often, the commonest first."""
    kinds = [re.sub(r"\d+(\.\d+)?", "#", reason) for reason in reasons]
    first = dict(reversed(list(zip(kinds, reasons, strict=True))))
    return "; ".join(f"{first[kind]} ({plural(times, 'time')})" for kind, times in Counter(kinds).most_common())
