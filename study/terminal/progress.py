"""What a study says while it runs: one live line on a terminal, elsewhere one line per finished run."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from study.text import duration
from trainables.metrics import Metric


class Terminal:
    """Progress over the runs of a phase, with the best so far by a metric and the time left."""

    def __init__(self, *, quiet: bool, metric: Metric = Metric.ACCURACY) -> None:
        self.quiet = quiet
        self.metric = metric
        self.console = Console(highlight=False, soft_wrap=True)
        self.notices = Console(stderr=True, highlight=False, soft_wrap=True)
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self.best: float | None = None

    def say(self, line: str) -> None:
        if not self.quiet:
            self.console.print(Text(line))

    def warn(self, line: str) -> None:
        self.notices.print(Text(line))

    @contextmanager
    def phase(self, name: str, total: int, done: int = 0) -> Iterator[None]:
        """A phase of `total` runs, `done` of which an earlier session finished."""
        self._name, self._total, self._done, self._already = name, total, done, done
        self._start = monotonic()
        live = self.console.is_terminal and not self.quiet
        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[state]}"))
        with Progress(*columns, console=self.console, transient=True, disable=not live) as progress:
            self._progress = progress
            self._task = progress.add_task(name, total=total, completed=done, state=self._state())
            yield
        self._progress = None

    def finished(self, name: str, what: str, score: float | None, *, completed: bool) -> None:
        """One more run of the phase has ended, with that score on validation."""
        with self._lock:
            self._done += 1
            if completed and self.metric.merit(score) > self.metric.merit(self.best):
                self.best = score
            assert self._progress is not None
            self._progress.update(self._task, completed=self._done, state=self._state())
            if not self.console.is_terminal:
                self.say(f"{self._name} {self._state()}  {name}: {what}")

    def _state(self) -> str:
        left = f", {duration(self.seconds_left())} left" if self._done > self._already else ""
        best = f", best {self.metric.show(self.best)}" if self.best is not None else ""
        return f"{self._done}/{self._total}{best}{left}"

    @property
    def left(self) -> int:
        """Runs that the phase has still to end."""
        return self._total - self._done

    def seconds_left(self) -> float:
        pace = (monotonic() - self._start) / max(self._done - self._already, 1)
        return pace * self.left


def fail(message: str) -> int:
    """A user's mistake: one clear line and exit code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
