"""Studies and jobs for a terminal: how far each is, what it found and cost, and what is left."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from study.results.progress import Progress
from study.text import duration
from trainables.metrics import Metric

UNIT = {"GPU": "GPU-h", "CPU thread": "thread-h"}


def show(studies: Sequence[Progress]) -> None:
    names = ("study", "status", "progress", "best", "test", "cost", "left")
    table = Table(*(Column(name, no_wrap=True) for name in names), "ran on", box=SIMPLE_HEAD)
    for one in studies:
        table.add_row(one.name, one.status, *(cells(one) if one.total else []))
    console().print(table)
    for one in studies:
        if one.problem:
            print(one.problem)


def console() -> Console:
    """As wide as the terminal; a file has room."""
    there = Console(highlight=False)
    return there if there.is_terminal else Console(highlight=False, width=200)


def cells(one: Progress) -> list[str]:
    return [
        f"{one.phase} {one.done}/{one.total}",
        "" if one.best is None else Metric(one.metric).show(one.best),
        "" if one.test_accuracy is None else f"{one.test_accuracy:.2%}",
        f"{one.device_hours:.3g} {UNIT.get(one.device, '')}".strip(),
        "" if one.seconds_left is None else duration(one.seconds_left),
        ", ".join(one.nodes),
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
