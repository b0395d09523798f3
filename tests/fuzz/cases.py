"""One reader and damage after damage to its files: what became of each."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz.readers import Reader

SECONDS = 20  # for one file
LONGEST = 2000  # letters of a refusal


class TooSlow(BaseException):
    """A reader that has not come to an end: no reader may take it for an error of its own."""


@dataclass
class Outcomes:
    """How often what was read was the same, was refused in one line, or was something else; and what was wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def damage(
    name: str,
    reader: Reader,
    folder: Path,
    cases: Iterator[int],
    *,
    seed: int,
    begin: Callable[[int], object] = lambda case: None,
) -> Outcomes:
    """Reads files that are damaged in one way after another.

    Args:
        folder: an empty one.
        cases: the numbers of the damages, each of which is the same again.
        begin: told of each before it is read.
    """
    outcomes = Outcomes()
    reader.write(folder)
    files = sorted(path for path in folder.glob(reader.files) if path.is_file() and not path.is_symlink())
    assert files, name
    with reader.stands(folder):
        whole = reader.read(folder)
        for case in cases:
            begin(case)
            random = Random(f"{name} {seed} {case}")
            path = random.choice(files)
            before = path.read_bytes()
            path.write_bytes(reader.change(before, random))
            try:
                outcome, what = outcome_of(reader, folder, whole)
            finally:
                path.write_bytes(before)
            outcomes.counts[outcome] += 1
            if outcome == "wrong":
                outcomes.wrong.append(f"{name} --seed {seed} --case {case} ({path.name}): {what}")
    return outcomes


def outcome_of(reader: Reader, folder: Path, whole: str) -> tuple[str, str]:
    try:
        with in_time():
            found = reader.read(folder)
    except ValueError as refusal:
        said = str(refusal)
        if "\n" in said or not said or len(said) > LONGEST or isinstance(refusal, UnicodeError):
            return "wrong", f"refused by {type(refusal).__name__} {said[:200]!r}"
        return "refused", said
    except (Exception, TooSlow) as error:
        return "wrong", f"{type(error).__name__}: {str(error)[:200]!r} at {where(error)}"
    if found == whole:
        return "same", ""
    return ("wrong", "read otherwise than it was written") if reader.checked else ("other", "")


def where(error: BaseException) -> str:
    """The last line of ours that it came through."""
    place, trace = "nowhere", error.__traceback__
    while trace:
        path = trace.tb_frame.f_code.co_filename
        if f"{os.sep}study{os.sep}" in path or f"{os.sep}trainables{os.sep}" in path:
            place = f"{Path(path).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


@contextmanager
def in_time() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"not read within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
