"""Studies and jobs for a terminal: how far each is, what it found and cost, and what is left."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from study.results import place
from study.results.progress import Progress
from study.results.together import Together
from study.text import duration
from trainables.metrics import Metric

WIDE = 110  # columns of a terminal, from which on it has room for what studies cost, and where they ran
UNIT = {"GPU": "GPU-h", "CPU thread": "thread-h"}


def show(found: Sequence[Progress | Together]) -> None:
    """A line for each study by its folder, below one of the comparison, or of the repeats, that it belongs to."""
    to = console()
    wide = to.width >= WIDE
    names = ("status", "progress", "best", "test", "left", *(("cost",) if wide else ()))
    columns = [Column("study", overflow="fold"), *(Column(name, no_wrap=True) for name in names)]
    table = Table(*columns, *(("ran on",) if wide else ()), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for one in found:
        if isinstance(one, Progress):
            table.add_row(place.shown(one.folder), *cells(one, wide=wide))
            continue
        table.add_row(*of_all(one, wide=wide), style="bold")
        for study in one.studies:
            table.add_row(f"  {study.folder.name}", *cells(study, wide=wide))
        for name in one.waiting:
            table.add_row(f"  {name}", "not begun")
    to.print(table)
    for one in found:
        for study in [one] if isinstance(one, Progress) else one.studies:
            if study.problem:
                print(study.problem)


def of_all(one: Together, *, wide: bool) -> list[str]:
    """The line of those that belong together; what they cost as far as it is of one kind of device."""
    devices = {study.device for study in one.studies if study.device}
    hours = sum(study.device_hours for study in one.studies)
    cost = f"{hours:.3g} {UNIT.get(devices.pop(), '')}".strip() if len(devices) == 1 else ""
    left = "" if one.seconds_left is None else duration(one.seconds_left)
    progress = f"{len(one.finished)}/{one.total} {one.kind}"
    return [place.shown(one.folder), one.status, progress, "", "", left, *((cost,) if wide else ())]


def console() -> Console:
    """As wide as the terminal; a file has room."""
    there = Console(highlight=False)
    return there if there.is_terminal else Console(highlight=False, width=200)


def cells(one: Progress, *, wide: bool) -> list[str]:
    if not one.total:
        return [one.status]
    cost = f"{one.device_hours:.3g} {UNIT.get(one.device, '')}".strip()
    return [
        one.status,
        f"{one.phase} {one.done}/{one.total}",
        "" if one.best is None else Metric(one.metric).show(one.best),
        "" if one.test_accuracy is None else f"{one.test_accuracy:.2%}",
        "" if one.seconds_left is None else duration(one.seconds_left),
        *((cost, ", ".join(one.nodes)) if wide else ()),
    ]


def show_jobs(jobs: Sequence[Mapping[str, Any]]) -> None:
    table = Table(
        *(Column(name, no_wrap=True) for name in ("job", "status", "since")), "command", "says", box=SIMPLE_HEAD
    )
    for job in jobs:
        since = datetime.fromtimestamp(job["started"]).strftime("%Y-%m-%d %H:%M") if job["started"] else ""
        table.add_row(job["job"], job["status"], since, job["command"], job["says"])
    console().print(table)


def show_run(row: Mapping[str, Any]) -> None:
    width = max(map(len, row))
    for name, value in row.items():
        print(f"  {name:<{width}}  {value}")
