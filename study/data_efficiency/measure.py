"""How much data a finished study's winner needs: the runs on parts of train, and the table of them."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from study.cluster import connection
from study.data_efficiency import finished, plan
from study.data_efficiency.checking import execution
from study.data_efficiency.plan import Planned
from study.data_efficiency.summary import summary
from study.design.states import RunStatus
from study.execution.session import Session, graceful_shutdown
from study.options.keywords import DataEfficiencyKeywords
from study.results import bucket, data_efficiency
from study.results.data_efficiency import Measured
from study.results.record import Record, Row
from study.results.recorded import study_of
from study.terminal.opening import opened
from study.terminal.progress import Terminal
from trainables.run import Outcome, Run


def measure(options: DataEfficiencyKeywords, terminal: Terminal | None = None) -> int:
    """Measures studies as the options say; returns 0, or 1 if a study has no completed run.

    `terminal` is one that shows something already. One of several that cannot be measured is named, and the others are.

    Raises ValueError for a mistake; Interrupted.
    """
    check_names(options.studies)
    interrupted = threading.Event()
    with ExitStack() as folders:
        terminal = terminal or folders.enter_context(opened(quiet=options.quiet))
        studies: list[Measurement] = []
        unreadable: list[ValueError] = []
        for folder in options.studies:
            try:
                studies.append(Measurement.prepare(folder, options, interrupted, terminal))
            except ValueError as why:
                unreadable.append(why)
                continue
            folders.enter_context(studies[-1].session.lock)
        if not studies:
            raise unreadable[0]
        warn = terminal.warn
        for reason in unreadable:
            warn(f"error: {reason}")
        for one in studies:
            folders.enter_context(bucket.mirrored(one.session.study.folder, warn))
        if any(one.missing for one in studies):
            terminal.doing("starting Ray")
            with connection.connected(), graceful_shutdown(interrupted, warn):
                for one in studies:
                    one.measure()
    print(summary([one.measured for one in studies]))
    return 0 if all(one.measured.completed for one in studies) and not unreadable else 1


@dataclass
class Measurement:
    """The runs that one study's data efficiency takes, and the table of those that have ended."""

    session: Session
    plan: list[Planned]
    rows: list[Row]

    @classmethod
    def prepare(
        cls, folder: Path, options: DataEfficiencyKeywords, interrupted: threading.Event, terminal: Terminal
    ) -> Self:
        """Everything that may be a user's mistake. Raises ValueError."""
        finished.check(folder)
        record, rows = Record(folder), data_efficiency.read(folder)
        as_it_was = study_of(record, data_dir=options.data_dir, offline=options.offline)
        session = Session.prepare(as_it_was, execution(options), interrupted=interrupted, terminal=terminal)
        study = replace(session.study, seeds=options.seeds or session.study.seeds)
        depths = plan.depths(options.freeze_depths, study, record.winner)
        planned = plan.plan(study, plan.amounts(session.splits, options.images_per_class), depths)
        return cls(session, planned, rows)

    @property
    def missing(self) -> list[Planned]:
        """The planned runs that the table has no result of: one that failed is tried again."""
        completed = {row["run_id"] for row in self.rows if row["status"] == RunStatus.COMPLETED}
        return [one for one in self.plan if one.run_id not in completed]

    @property
    def measured(self) -> Measured:
        """All that the table holds, from whatever command."""
        return Measured.of(self.session.record, self.rows)

    def measure(self) -> None:
        """Trains what is missing, and writes every run to the table as it ends."""
        session, missing = self.session, {one.run_id: one for one in self.missing}
        if not missing:
            return
        study, splits = session.study, session.splits
        template = replace(session.template(), readers=len(missing))
        runs = [plan.run(one, study, splits, session.record.winner, template) for one in missing.values()]
        allocation = session.allocate()
        datasets = session.datasets()
        pool = session.pool(allocation.resources, allocation.at_a_time)
        try:
            with session.terminal.phase(study.name, len(self.plan), len(self.plan) - len(runs)):

                def began(run: Run) -> None:
                    session.terminal.began(run.run_id)

                for run, outcome in pool.outcomes(runs, datasets, interrupted=session.interrupted, on_start=began):
                    self.keep(missing[run.run_id], run, outcome)
                    session.checkpoints().remove(run.run_id)
        finally:
            pool.close()
        session.check()

    def keep(self, planned: Planned, run: Run, outcome: Outcome) -> None:
        self.session.warn_once(outcome.notes)
        if outcome.predictions:
            self.session.looked("data efficiency", run.run_id)
        row = row_of(planned, run, outcome)
        self.rows = [*(other for other in self.rows if other["run_id"] != run.run_id), row]
        data_efficiency.write(self.session.study.folder, self.rows)
        self.session.terminal.finished(run.run_id, self.session.line(row), None, completed=not outcome.failure)


def check_names(studies: Sequence[Path]) -> None:
    """Raises ValueError where two studies would be told apart by nothing: a study has the name of its folder."""
    seen: dict[str, Path] = {}
    for folder in studies:
        name = folder.resolve().name
        if name in seen:
            raise ValueError(f"{seen[name]} and {folder} are both called {name}: give one of them")
        seen[name] = folder


def row_of(planned: Planned, run: Run, outcome: Outcome) -> dict[str, Any]:
    seen = outcome.predictions
    row = {
        **asdict(run.hyperparameters),
        **asdict(planned.amount),
        **outcome.summary(),
        "run_id": run.run_id,
        "seed": run.seed,
        "status": RunStatus.FAILED if outcome.failure else RunStatus.COMPLETED,
        "reason": outcome.failure,
        "test_accuracy": seen.accuracy if seen else None,
        "correct": (seen.label == seen.predicted)[np.argsort(seen.index)].tolist() if seen else None,
    }
    return row | {"steps": row["epochs"] * plan.steps(planned.amount.images, run.hyperparameters.batch_size)}
