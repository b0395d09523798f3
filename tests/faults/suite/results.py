"""Faults that have happened, a line of JSON each in a file that later runs of the suite add to; and their table."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from tests.faults.suite.verdict import Verdict

COLUMNS = {
    "lost": "results lost",
    "twice": "trained twice",
    "wrong": "wrong rows",
    "disorder": "disorder",
    "strays": "strays",
}


@dataclass(frozen=True)
class Happened:
    """A fault that was to happen to the study of a chain."""

    seed: int
    chain: int
    world: str
    fault: str
    verdict: Verdict

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        return cls(**{**content, "verdict": Verdict(**content["verdict"])})

    def __str__(self) -> str:
        cost = [f"{title}: {what}" for name, title in COLUMNS.items() for what in getattr(self.verdict, name)]
        told = "; ".join(cost) or ("nothing" if self.verdict.struck else "it did not come to that")
        return f"{self.seed}.{self.chain} {self.world}, {self.fault}: {told}"


def read(path: Path) -> list[Happened]:
    if not path.exists():
        return []
    return [Happened.of(json.loads(line)) for line in path.read_text().splitlines() if line.endswith("}")]


def add(path: Path, several: Iterable[Happened]) -> None:
    """All faults of a chain at once: a chain counts as a whole, or will be run again."""
    with path.open("a") as file:
        file.write("".join(json.dumps(asdict(one)) + "\n" for one in several))


def show(happened: Iterable[Happened], order: Iterable[str]) -> None:
    """A row for each fault, of those that did happen."""
    struck = [one for one in happened if one.verdict.struck or not one.verdict.good]
    table = Table("fault", "times", *COLUMNS.values(), "seconds")
    rows = {name: [one.verdict for one in struck if one.fault == name] for name in order}
    for name, found in [*rows.items(), ("all", [one.verdict for one in struck])]:
        if found:
            counts = [str(sum(len(getattr(verdict, column)) for verdict in found)) for column in COLUMNS]
            median = statistics.median(verdict.seconds for verdict in found)
            table.add_row(name, str(len(found)), *counts, f"{median:.1f}")
    Console(width=150, highlight=False).print(table)
