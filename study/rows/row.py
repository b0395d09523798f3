"""A row of a comparison: a study, and how it is run."""

from dataclasses import dataclass

from study.design.execution import Execution
from study.design.study import Study
from study.terminal.progress import Terminal


@dataclass(frozen=True)
class Row:
    """A study of a comparison, and how it is run; a process is handed it as it is."""

    study: Study
    execution: Execution
    command: str

    def run(self, *, since: float, terminal: Terminal | None = None) -> str | None:
        """Runs it, or goes on with it; returns why it failed. Raises KeyboardInterrupt."""
        from study.baselines import probe
        from study.cluster import connection
        from study.cluster.allocation import NoPlace
        from study.execution import corruptions
        from study.execution.running import complete
        from study.execution.session import Interrupted, NoCompletedRuns, Session
        from trainables.memory import DoesNotFit

        if not self.execution.verbose:
            connection.quieten()
        try:
            session = Session.prepare(self.study, self.execution, command=self.command, terminal=terminal)
        except (ValueError, OSError) as reason:
            return str(reason)
        try:
            with session.lock:
                complete(session, self.command, since=since)
                probe.probe_study(session)
                if self.execution.corruptions:
                    corruptions.measure(session)
        except Interrupted:
            raise KeyboardInterrupt from None
        except (NoPlace, NoCompletedRuns, DoesNotFit, OSError) as reason:
            return str(reason)
        return None
