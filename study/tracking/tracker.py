"""What the driver calls, and what it hands over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


class Tracker(Protocol):
    """What the driver calls. No call waits, and none raises."""

    def begin(self, run_id: str, phase: Phase, config: Row) -> None:
        """Opens a run, whose job type in W&B is the phase.

        Where the folder has one of that id, which was interrupted, the new one takes its place.
        """

    def log(self, run_id: str, row: Row) -> None:
        """Logs one epoch: `row["epoch"]` is the step."""

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        """Closes a run."""

    def close(self, timeout: float) -> None:
        """Waits at most `timeout` seconds until all is written; runs that are still open count as interrupted."""


class Disabled:
    """Tracks nothing, and never imports the client."""

    def begin(self, run_id: str, phase: Phase, config: Row) -> None:
        pass

    def log(self, run_id: str, row: Row) -> None:
        pass

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass
