"""Studies that belong together: the rows of a comparison, and the repeats of a study; how far they are as one."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from study.design.states import StudyStatus
from study.files import write_json
from study.results.progress import Progress

ROWS = "rows.json"  # in the folder of a comparison: what it is made of, also of what has not begun
REPEAT = re.compile(r"(.+)-repeat(\d+)")


@dataclass(frozen=True)
class Together:
    """Attributes:
    kind: `rows` or `repeats`.
    studies: those that have begun.
    waiting: the names of those that have not.
    """

    folder: Path
    name: str
    kind: str
    studies: tuple[Progress, ...]
    waiting: tuple[str, ...]

    @property
    def total(self) -> int:
        return len(self.studies) + len(self.waiting)

    @property
    def finished(self) -> list[Progress]:
        return [one for one in self.studies if one.status == StudyStatus.FINISHED]

    @property
    def status(self) -> str:
        """Of one that runs, or failed, or cannot be read, is theirs; between two of them nothing runs."""
        there = [one.status for one in self.studies]
        if not self.waiting and len(self.finished) == len(there):
            return StudyStatus.FINISHED
        order = (StudyStatus.RUNNING, StudyStatus.FAILED, "unreadable")
        return next((status for status in order if status in there), StudyStatus.INTERRUPTED)

    @property
    def seconds_left(self) -> float | None:
        """While one runs: its own, and for each that has not begun what those that are finished took."""
        running = [one for one in self.studies if one.status == StudyStatus.RUNNING]
        known = [one.seconds_left for one in running if one.seconds_left is not None]
        if not running or len(known) < len(running) or (self.waiting and not self.finished):
            return None
        return sum(known) + (len(self.waiting) * fmean(one.seconds for one in self.finished) if self.waiting else 0.0)


def write(folder: Path, names: Sequence[str], command: str) -> None:
    """What a comparison is made of. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ROWS, {"format": 1, "rows": list(names), "command": command})


def planned(folder: Path) -> tuple[str, ...]:
    """The rows of the comparison in a folder; none where it does not say."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return tuple(map(str, json.loads((folder / ROWS).read_text(encoding="utf-8"))["rows"]))
    return ()


def grouped(found: Sequence[Progress], place: Path) -> list[Progress | Together]:
    """Studies as they belong together, in their order; `place` is where they were looked for."""
    groups: dict[tuple[Path, str], list[Progress]] = {}
    for one in found:
        groups.setdefault(key(one, place), []).append(one)
    return [each for (folder, base), studies in groups.items() for each in group(folder, base, studies)]


def key(one: Progress, place: Path) -> tuple[Path, str]:
    """Of a comparison its folder, of a repeat the first one's name."""
    folder = one.folder.parent
    if folder != place or (folder / ROWS).exists():
        return folder, ""
    repeat = REPEAT.fullmatch(one.folder.name)
    return folder, repeat[1] if repeat else one.folder.name


def group(folder: Path, base: str, studies: Sequence[Progress]) -> list[Progress | Together]:
    names = {one.folder.name for one in studies}
    if base:
        number = max(repeats(studies), len(studies))
        if number == 1:
            return list(studies)
        every = [base, *(f"{base}-repeat{one}" for one in range(2, number + 1))]
        return [Together(folder / base, base, "repeats", tuple(studies), tuple(n for n in every if n not in names))]
    waiting = tuple(name for name in planned(folder) if name not in names)
    return [Together(folder, folder.name, "rows", tuple(studies), waiting)]


def repeats(studies: Sequence[Progress]) -> int:
    """How many a command asked for, at most."""
    asked = [re.search(r"--repeats[ =](\d+)", one.command or "") for one in studies]
    return max((int(found[1]) for found in asked if found), default=1)
