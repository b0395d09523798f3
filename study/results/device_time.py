"""What a study held of the machines, and for how long: read in its record, without torch."""

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from study.design.states import Phase, RunStatus
from trainables.resources import Resources

if TYPE_CHECKING:
    from study.results.record import Record, Row


@dataclass(frozen=True)
class Devices:
    """What one run held while it lasted: GPUs, or CPU threads where it had none."""

    kind: str
    of_a_run: float

    @classmethod
    def of(cls, resources: Resources) -> "Devices":
        kind, each = ("GPU", resources.gpus) if resources.gpus else ("CPU thread", resources.threads)
        return cls(kind, each * max(1, resources.workers))


def devices(record: "Record") -> Devices:
    assert record.study.resources is not None
    return Devices.of(record.study.resources)


def device_seconds(record: "Record") -> dict[str, float]:
    """Seconds of runs times the devices that each held: `search, replicate, test, start`, `all` of them, and `winner`.

    Failed and pruned runs count: they were paid for. `winner` is one training of the winner on train + validation, the
    mean of its test runs; it is missing before there are any. A boundary that a run filled is in its seconds, for the
    next one to read.
    """
    each = devices(record).of_a_run
    spent = {str(Phase.SEARCH): each * sum(seconds_of(row) for row in record.trials)}
    for phase in (Phase.REPLICATE, Phase.TEST, Phase.START):
        spent[phase] = each * sum(seconds_of(row) for row in record.runs if row["phase"] == phase)
    spent["all"] = sum(spent.values())
    tests = test_runs(record)
    return spent | ({"winner": each * fmean(seconds_of(row) for row in tests)} if tests else {})


def seconds_of(row: "Row") -> float:
    return row["total_seconds"] or 0.0


def test_runs(record: "Record") -> list["Row"]:
    return [row for row in record.runs if row["phase"] == Phase.TEST and row["status"] == RunStatus.COMPLETED]
