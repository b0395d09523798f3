"""A study that goes on: what it finds in its record, and what it does again."""

from study.design.states import Cause, Phase, RunStatus
from study.results.place import shown
from study.results.progress import done_runs, planned_runs
from study.results.record import Record, Row
from study.text import joined, shorten

RUNS = {
    Phase.SEARCH: "trials",
    Phase.REPLICATE: "replicates",
    Phase.TEST: "test runs",
    Phase.START: "test runs of the starting point",
}


def step(record: Record) -> Phase:
    """The last one that has a finished run."""
    phases = {row["phase"] for row in record.runs}
    return next((phase for phase in (Phase.START, Phase.TEST, Phase.REPLICATE) if phase in phases), Phase.SEARCH)


def take_back(record: Record) -> list[Row]:
    """Takes back the runs of the step that a study is in which failed for the machine's sake, and returns them.

    What an earlier step failed to do stays as it is: something was chosen from the others already.
    """
    phase = step(record)
    rows = record.trials if phase is Phase.SEARCH else [row for row in record.runs if row["phase"] == phase]
    failed = [row for row in rows if row["status"] == RunStatus.FAILED and row["cause"] == Cause.MACHINE]
    record.take_back({run_id(row) for row in failed})
    return failed


def found(record: Record, budget: int, again: list[Row]) -> str:
    """In one line, how far the study came, and what is to be done.

    Args:
        budget: trials of the search.
        again: what was taken back.
    """
    phase = step(record)
    done, planned = done_runs(record)[phase], {**planned_runs(record), Phase.SEARCH: budget}[phase]
    under_way = record.under_way
    parts = [f"{done} of {planned} {RUNS[phase]} are finished"]
    if under_way:
        parts.append(f"{shorten(under_way)} {'was' if len(under_way) == 1 else 'were'} running when it ended")
    to_do = f"{max(planned - done, 0)} are to do"
    if again:
        to_do += f", with {shorten([run_id(row) for row in again])} again, which failed for the machine's sake"
        to_do += f" ({again[0]['reason']})" if len(again) == 1 else ""
    return f"{shown(record.folder)} goes on: {joined([*parts, to_do])}"


def run_id(row: Row) -> str:
    return str(row.get("run_id") or row["trial_id"])
