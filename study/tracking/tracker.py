"""What the driver calls, and what it hands over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from study.design.states import Phase, RunStatus

Mode = Literal["online", "offline", "disabled"]
Row = Mapping[str, Any]


class Sample(NamedTuple):
    """A test image to look at."""

    png: bytes
    label: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Predictions:
    """What a test run predicted.

    Args:
        classes: names, in label order.
        label: (images,) int, as are `predicted` and, as float, `confidence`.
        per_class: rows of the classification report, `statistics.scores(...)["per_class"]`.
    """

    classes: Sequence[str]
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    per_class: Sequence[Row]
    samples: Sequence[Sample]

    def counts(self) -> np.ndarray:
        """(classes, classes) int: how often each was taken for each."""
        counts = np.zeros((len(self.classes), len(self.classes)), int)
        np.add.at(counts, (self.label, self.predicted), 1)
        return counts


@dataclass(frozen=True)
class AgentsRun:
    """The run that `wandb agent` started this command for: W&B has it already, in the agent's sweep."""

    run: str
    sweep: str


@dataclass(frozen=True)
class About:
    """What is known of a study when it begins.

    Attributes:
        command: that runs it.
        sweep: what W&B is told of its search; None for no sweep.
        agents: the run of W&B that its only trial is.
        here: whether its runs train on this machine, so that its statistics are theirs.
    """

    command: str = ""
    sweep: Row | None = None
    agents: AgentsRun | None = None
    here: bool = False


class Tracker(Protocol):
    """What the driver calls. No call waits, and none raises."""

    def begin(self, run_id: str, phase: Phase, config: Row, tags: Sequence[str] = ()) -> None:
        """Opens a run, whose job type in W&B is the phase.

        Where the folder has one of that id, which was interrupted, the new one takes its place.
        """

    def log(self, run_id: str, row: Row) -> None:
        """Logs one epoch: `row["epoch"]` is the step."""

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        """Closes a run."""

    def tag(self, run_ids: Sequence[str], tag: str) -> None:
        """Tags runs that have ended."""

    def conclude(self, config: Row, summary: Row, model: Path) -> None:
        """What the study has come to, with the folder of its best model."""

    def close(self, timeout: float) -> None:
        """Waits at most `timeout` seconds until all is written; runs that are still open count as interrupted."""


class Disabled:
    """Tracks nothing, and never imports the client."""

    def begin(self, run_id: str, phase: Phase, config: Row, tags: Sequence[str] = ()) -> None:
        pass

    def log(self, run_id: str, row: Row) -> None:
        pass

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        pass

    def tag(self, run_ids: Sequence[str], tag: str) -> None:
        pass

    def conclude(self, config: Row, summary: Row, model: Path) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass
