"""What a study says while it runs: a line for each finished run, and on a terminal below them what it does now."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any

from rich.console import Console
from rich.text import Text

from study.design.states import Phase
from study.results.pace import Pace
from study.terminal.live import drawn
from study.terminal.scene import Scene, Under
from study.text import duration
from trainables.metrics import Metric


class Terminal:
    """Progress over the runs of a phase, with the best so far by a metric and the time left.

    Attributes:
        scene: what a terminal shows below the lines; elsewhere nobody looks at it.
        draws: whether somebody does.
    """

    def __init__(self, *, quiet: bool, metric: Metric = Metric.ACCURACY) -> None:
        self.quiet = quiet
        self.console = Console(highlight=False, soft_wrap=True)
        self.notices = Console(stderr=True, highlight=False, soft_wrap=True)
        self.scene = Scene(metric)
        self.draws = False
        self._lock = threading.Lock()
        self._later: Callable[[], Mapping[Phase, int]] = dict
        self._within: Callable[[], tuple[float, float]] = lambda: (inf, inf)
        self._first: float | None = None  # when the first run of the phase began
        self._already = 0

    @contextmanager
    def shown(self, doing: str = "") -> Iterator[None]:
        """Inside, a terminal shows what goes on; a simple one gets lines, as a file does. May be entered again."""
        self.doing(doing)
        if self.draws or self.quiet or not self.console.is_interactive:
            yield
            return
        self.draws = True
        try:
            with drawn(self.console, self.scene):
                yield
        finally:
            self.draws = False

    def say(self, line: str) -> None:
        if not self.quiet:
            self.console.print(Text(line))

    def of_row(self, name: str, line: str) -> None:
        """What a row says that runs beside others."""
        self.scene.rows[name] = line.partition("  ")[0]
        self.say(f"{name}: {line}")

    def warn(self, line: str) -> None:
        """To standard error; above what is drawn, where both are the terminal."""
        console = self.console if self.draws and self.notices.is_terminal else self.notices
        console.print(Text(line))

    def doing(self, what: str) -> None:
        """What takes a while now, until something else is said or a run begins."""
        self.scene.doing, self.scene.began = what, monotonic()

    def about(self, title: str, *, after: float | None) -> None:
        """Which of several studies comes now, and how long those after it are likely to take."""
        self.scene.title, self.scene.after = title, after

    def begin(self, metric: Metric) -> None:
        """A study begins: nothing is known of it."""
        scene = self.scene
        scene.metric, scene.best, scene.best_run, scene.pace = metric, None, "", None
        scene.phase, scene.total, scene.done = "", 0, 0
        self._later, self._within = dict, lambda: (inf, inf)

    def expect(
        self,
        pace: Pace,
        later: Callable[[], Mapping[Phase, int]],
        within: Callable[[], tuple[float, float]] = lambda: (inf, inf),
    ) -> None:
        """By whose pace the time left is told.

        Args:
            later: tells the runs that each step has still to end.
            within: tells the seconds that the search, and the study, have at most.
        """
        self.scene.pace, self._later, self._within = pace, later, within

    @contextmanager
    def phase(self, name: str, total: int, done: int = 0) -> Iterator[None]:
        """A phase of `total` runs, `done` of which an earlier session finished."""
        scene = self.scene
        scene.phase, scene.total, scene.done, scene.left = name, total, done, self.seconds_left
        self._already, self._first = done, None
        self.doing("starting processes" if done < total else "")
        try:
            yield
        finally:
            scene.running.clear()
            scene.left = lambda: (None, None)
            self.doing("")

    def began(self, run_id: str) -> None:
        """A run has a process."""
        self._first = self._first or monotonic()
        self.scene.running[run_id] = Under()
        self.doing("")

    def epoch(self, run_id: str, row: Mapping[str, Any], *, epochs: int, images: int) -> None:
        """An epoch of a run has ended, of so many, each of so many images."""
        if self.scene.pace:
            self.scene.pace.epoch(row["seconds"])
        if run := self.scene.running.get(run_id):
            rate = images / row["train_seconds"] if row["train_seconds"] else None
            run.told = run.told | dict(row) | {"epochs": epochs, "images_per_second": rate, "storing": ""}

    def told(self, said: Mapping[str, Any]) -> None:
        """A process says how far its run is."""
        run = self.scene.running.get(said["run_id"])
        if run and said.get("epoch", 0) >= run.told.get("epoch", 0):
            run.told = run.told | dict(said)
        if gpu := said.get("gpu"):
            self.scene.gpus[gpu["id"]] = monotonic(), gpu

    def finished(self, run_id: str, what: str, score: float | None, *, completed: bool) -> None:
        """One more run of the phase has ended, with that score on validation."""
        scene, metric = self.scene, self.scene.metric
        with self._lock:
            scene.done += 1
            scene.running.pop(run_id, None)
            if completed and metric.merit(score) > metric.merit(scene.best):
                scene.best, scene.best_run = score, run_id
            self.say(f"{scene.phase} {self._state()}  {run_id}: {what}")

    def _state(self) -> str:
        scene, left = self.scene, self.seconds_left()[0]
        when = f", {duration(left)} left" if left is not None else ""
        best = f", best {scene.metric.show(scene.best)}" if scene.best is not None else ""
        return f"{scene.done}/{scene.total}{best}{when}"

    @property
    def best(self) -> float | None:
        return self.scene.best

    @property
    def left(self) -> int:
        """Runs that the phase has still to end."""
        return self.scene.total - self.scene.done

    def seconds_left(self) -> tuple[float | None, float | None]:
        """Of the phase, and of the study; None where that is not known."""
        scene = self.scene
        here = self.left - sum(run.done for run in list(scene.running.values()))
        if scene.pace and scene.phase in list(Phase):
            phase = Phase(scene.phase)
            later = {name: number for name, number in self._later().items() if order(name) > order(phase)}
            first, rest = scene.pace.left({phase: here}), scene.pace.left(later)
            if first is None or rest is None:
                return first, None
            of_search, of_study = (max(seconds, 0.0) for seconds in self._within())
            first = min(first, of_search if phase is Phase.SEARCH else of_study)
            return first, min(first + rest, of_study)
        ended = scene.done - self._already
        if not ended or self._first is None:
            return None, None
        return (monotonic() - self._first) / ended * here, None


def order(phase: Phase) -> int:
    return list(Phase).index(phase)
