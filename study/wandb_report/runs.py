"""What a W&B report is about: the comparison of the records, and which W&B runs are theirs."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from study import tracking
from study.comparison import Comparison, compare
from study.results.point import fixed, metric, searched
from study.results.record import Record
from study.wandb_report.folders import folders_in
from trainables.metrics import Metric


@dataclass(frozen=True)
class Study:
    """A study with W&B runs.

    Attributes:
        label: what the comparison calls it; the name of its folder where it is not finished.
        searched: the hyperparameters of its search, each with whether it is on a log scale.
        fixed: the hyperparameters that were taken out of it.
        metric: what chose the best epochs, trials and the winner, on validation.
        seeds: of its test runs; empty where it is not finished.
        command: that ran it.
        classes: how many there are.
    """

    label: str
    tracked: tracking.Tracked
    searched: dict[str, bool]
    fixed: tuple[str, ...]
    metric: Metric
    seeds: tuple[int, ...]
    command: str
    classes: int


@dataclass(frozen=True)
class Runs:
    """Attributes:
    folder: that the user named.
    studies: at least one, in the order of the comparison's rows; then those that are not finished.
    without: names of studies that have no W&B runs.
    """

    folder: Path
    comparison: Comparison
    studies: tuple[Study, ...]
    without: tuple[str, ...]


def read(folder: Path) -> Runs:
    """The studies in a folder and their W&B runs. Raises ValueError where there are none."""
    folders = folders_in(folder)
    comparison = compare(folders)
    rows = {row.record.folder: row for row in comparison.rows}
    studies, without = [], []
    for path in dict.fromkeys([*rows, *folders]):
        row, tracked = rows.get(path), tracking.tracked(path)
        if tracked is None:
            without.append(path.name)
            continue
        record = row.record if row else Record(path)
        studies.append(
            Study(
                label=f"{row.label} on {row.dataset}" if row else path.name,
                tracked=tracked,
                searched={name: domain.get("log", False) for name, domain in searched(record).items()},
                fixed=tuple(fixed(record)),
                metric=metric(record),
                seeds=row.seeds if row else (),
                command=record.study.command or "",
                classes=len(record.data.classes),
            )
        )
    if not studies:
        raise ValueError(f"{folder} has no W&B runs: a study logs them unless --wandb or WANDB_MODE is disabled")
    return Runs(folder, comparison, tuple(studies), tuple(without))


def commands(runs: Runs) -> list[str]:
    """What uploads the runs that are on disk only, where there are any, and what saves the report."""
    waiting = [study.tracked.folder for study in runs.studies if study.tracked.waiting]
    inside = waiting and all(folder.parent == runs.folder for folder in waiting)
    places = [runs.folder] if inside else waiting
    publish = f"python -m study.wandb_report {shlex.quote(str(runs.folder))} --publish"
    return [*(f"python -m study.sync {shlex.quote(str(place))}" for place in places), publish]
