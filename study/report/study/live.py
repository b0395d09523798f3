"""The page of a study under way, so that there is one at every moment, at a cost that nobody notices."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from study.report.study import write

SECONDS = 10.0  # that it stays, at least
PAUSE = 100  # times what writing it took, that it stays: 0.05 s for 32 trials, 0.6 s for 500


@dataclass
class LivePage:
    """Written again by `update`, if it is old enough.

    Attributes:
        say: told once, where that fails: the study goes on without.
    """

    folder: Path
    say: Callable[[str], object]
    _written: float = field(default_factory=perf_counter)
    _took: float = 0.0

    def update(self) -> None:
        start = perf_counter()
        if start - self._written < max(SECONDS, PAUSE * self._took):
            return
        try:
            write(self.folder)
        except Exception as error:  # a courtesy: the record is complete
            self.say(f"the page could not be written: {' '.join(str(error).split())}")
        self._written = perf_counter()
        self._took = self._written - start
