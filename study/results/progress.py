"""How far a study is, read in its record while it runs, or after: without torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.design.states import Phase, RunStatus, StudyStatus
from study.results.device_time import device_seconds, devices
from study.results.pace import Pace
from study.results.point import metric
from study.results.record import Record
from study.results.study_file import NAME

STEPS = ("search", "replicate", "test")  # of `seconds`: those that a budget of wall clock is for


@dataclass(frozen=True)
class Progress:
    """Of one study.

    Attributes:
        status: `running`, `interrupted`, `failed`, `finished`; or `unreadable`, and `problem` says why.
        phase: the step that it is in, or ended in.
        done, total: runs of that step; of the search trials out of the budget.
        best: on validation, by the study's metric; None before a run was completed.
        test_accuracy: None before the test.
        device_hours: what runs have cost so far, of `device`: GPUs, or CPU threads.
        seconds_left: of a running study at the pace of its runs so far; None where that is not known.
        nodes: where its runs were trained.
        seconds: that its steps took so far.
    """

    folder: Path
    name: str
    status: str
    phase: str = ""
    done: int = 0
    total: int = 0
    metric: str = ""
    best: float | None = None
    test_accuracy: float | None = None
    device: str = ""
    device_hours: float = 0.0
    seconds_left: float | None = None
    nodes: tuple[str, ...] = ()
    started: str | None = None
    command: str | None = None
    seconds: float = 0.0
    problem: str = ""


def below(folder: Path) -> Iterator[Path]:
    """The folders of studies in a folder, or in the folders of comparisons in it; itself, if it is one."""
    if (folder / NAME).exists():
        yield folder
        return
    for path in sorted([*folder.glob(f"*/{NAME}"), *folder.glob(f"*/*/{NAME}")]):
        yield path.parent


def of(folder: Path) -> Progress:
    """Of the study in a folder."""
    try:
        record = Record(folder)
        facts, study = record.configuration, record.study
    except ValueError as error:
        return Progress(folder, folder.name, "unreadable", problem=str(error))
    planned, done = planned_runs(record), done_runs(record)
    phase = next((name for name in Phase if done[name] < planned[name]), Phase.TEST)
    by = metric(record)
    completed = [row for row in (*record.trials, *record.runs) if row["status"] == RunStatus.COMPLETED]
    scores = [score for row in completed if (score := by.of(row)) is not None]
    held = study.resources and devices(record)
    return Progress(
        folder,
        facts.name,
        str(study.status),
        phase=phase,
        done=done[phase],
        total=planned[phase],
        metric=by.value,
        best=max(scores, key=by.merit) if scores else None,
        test_accuracy=study.test.accuracy if study.test else None,
        device=held.kind if held else "",
        device_hours=device_seconds(record)["all"] / 3600 if held else 0.0,
        seconds_left=seconds_left(record) if study.status is StudyStatus.RUNNING else None,
        nodes=tuple(sorted({row["node"] for row in (*record.trials, *record.runs) if row.get("node")})),
        seconds=sum(study.seconds.values()),
        started=study.started,
        command=study.command,
    )


def planned_runs(record: Record) -> dict[Phase, int]:
    """Of each step; the starting point is replicated even where it is not among the best."""
    facts, study = record.configuration, record.study
    trials = max(facts.trials, len(record.trials))
    if record.runs:  # the space may have had fewer points than there were to be trials
        trials = len(record.trials)
    points = min(facts.top_k, trials) + 1
    replicates = len(study.replicates) or points
    start, winner = study.paper if facts.protocol > 1 else None, study.winner
    tests_start = bool(start and winner and start["score"] is not None and start["trial_id"] != winner["trial_id"])
    planned = {
        Phase.SEARCH: trials,
        Phase.REPLICATE: replicates * facts.seeds,
        Phase.TEST: facts.seeds,
        Phase.START: facts.seeds if tests_start else 0,
    }
    if study.budget is None:
        return planned
    out = study.budget.left_out
    done = done_runs(record)
    return {phase: done[phase] if out.get(phase) else number for phase, number in planned.items()}


def done_runs(record: Record) -> dict[Phase, int]:
    phases = [row["phase"] for row in record.runs]
    return {
        Phase.SEARCH: len(record.trials),
        Phase.REPLICATE: phases.count(Phase.REPLICATE),
        Phase.TEST: phases.count(Phase.TEST),
        Phase.START: phases.count(Phase.START),
    }


def runs_left(record: Record) -> dict[Phase, int]:
    """Of each step. Before there is a winner, the starting point is expected to be another, and to be tested too."""
    planned, done = planned_runs(record), done_runs(record)
    left = {phase: max(planned[phase] - done[phase], 0) for phase in Phase}
    if record.study.winner is None and record.configuration.protocol > 1:
        left[Phase.START] = record.configuration.seeds
    return left


def seconds_left(record: Record) -> float | None:
    """At the pace of the runs that have ended, and no more than a budget of wall clock has left."""
    left, hours = Pace.of(record).left(runs_left(record)), record.configuration.hours
    if left is None or hours is None:
        return left
    spent = sum(record.study.seconds.get(step, 0.0) for step in STEPS)
    return min(left, max(3600 * hours - spent, 0.0))


def run(folder: Path, run_id: str) -> dict[str, Any]:
    """A run's row. Raises ValueError where the study has no such run."""
    record = Record(folder)
    rows = {row.get("run_id") or row["trial_id"]: row for row in (*record.trials, *record.runs)}
    if run_id not in rows:
        known = ", ".join([*rows][-5:]) or "none"
        raise ValueError(f"{folder} has no finished run {run_id}: the last ones are {known}")
    return {name: value for name, value in rows[run_id].items() if value is not None}
