"""TensorBoard's event files: a folder for each run, with its curves, and its point and result for the HParams view.

    tensorboard --logdir results/NAME/tensorboard

The driver writes them itself: a row costs a fraction of a millisecond, and nobody is asked over a network.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.design.states import Phase, RunStatus
from study.tracking.media import picture, report_of
from study.tracking.tracker import Predictions, Row, Tracker
from trainables.hyperparameters import DECLARED

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

HPARAMS = "hparam"  # what a run has come to, apart from its curves
TOLD = ("seed", "trial_id")  # beside its hyperparameters


@dataclass(frozen=True)
class Open:
    """A run that is open."""

    writer: "SummaryWriter"
    config: Row


class EventFiles:
    """Writes event files below a folder.

    Args:
        folder: of the study's event files.
        metric: of validation, which the HParams view shows of every run, beside the test accuracy.
    """

    def __init__(self, folder: Path, metric: str) -> None:
        self._folder, self._metric = folder, metric
        self._runs: dict[str, Open] = {}

    def begin(self, run_id: str, phase: Phase, config: Row, tags: Sequence[str] = ()) -> None:
        from tensorboardX import SummaryWriter

        self._close(run_id)
        place = self._folder / run_id
        shutil.rmtree(place, ignore_errors=True)  # of a run that was interrupted
        told = {name: config[name] for name in (*DECLARED, *TOLD) if config.get(name) is not None}
        self._runs[run_id] = Open(SummaryWriter(str(place), flush_secs=10), {**told, "phase": str(phase)})

    def log(self, run_id: str, row: Row) -> None:
        run = self._runs[run_id]
        for name, value in numbers(row).items():
            if name not in ("epoch", "seed"):
                run.writer.add_scalar(name, value, row["epoch"])

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        from tensorboardX.summary import hparams

        run, values = self._runs[run_id], numbers(summary)
        metrics = {f"{HPARAMS}/{name}": values[name] for name in (self._metric, "test_accuracy") if name in values}
        for part in hparams({**run.config, "status": str(status)}, metrics):
            run.writer.file_writer.add_summary(part)
        for name, value in metrics.items():
            run.writer.add_scalar(name, value, int(values.get("epochs", 0)))
        if test:
            run.writer.add_image("confusion_matrix", picture(test.counts()), dataformats="HW")
            run.writer.add_text("classification_report", report_of(test))
        self._close(run_id)

    def tag(self, run_ids: Sequence[str], tag: str) -> None:
        """Event files have no tags."""

    def conclude(self, config: Row, summary: Row, model: Path) -> None:
        """What the study has come to is in its runs."""

    def close(self, timeout: float) -> None:
        for run_id in list(self._runs):
            self._close(run_id)

    def _close(self, run_id: str) -> None:
        if run := self._runs.pop(run_id, None):
            run.writer.close()


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """What of a row can be drawn."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    }


@dataclass(frozen=True)
class Both:
    """Two trackers as one."""

    first: Tracker
    second: Tracker

    def begin(self, run_id: str, phase: Phase, config: Row, tags: Sequence[str] = ()) -> None:
        self.first.begin(run_id, phase, config, tags)
        self.second.begin(run_id, phase, config, tags)

    def log(self, run_id: str, row: Row) -> None:
        self.first.log(run_id, row)
        self.second.log(run_id, row)

    def finish(self, run_id: str, summary: Row, status: RunStatus, test: Predictions | None = None) -> None:
        self.first.finish(run_id, summary, status, test)
        self.second.finish(run_id, summary, status, test)

    def tag(self, run_ids: Sequence[str], tag: str) -> None:
        self.first.tag(run_ids, tag)
        self.second.tag(run_ids, tag)

    def conclude(self, config: Row, summary: Row, model: Path) -> None:
        self.first.conclude(config, summary, model)
        self.second.conclude(config, summary, model)

    def close(self, timeout: float) -> None:
        self.first.close(timeout)
        self.second.close(timeout)
