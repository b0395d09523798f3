"""How often a test set was looked at on this machine: a line per run that was tested on it, by the test set's hash.

A study looks once a seed, after its choice is made. But whoever runs ten studies and reports one has looked ten times,
and no record of a single study can say so. The lines lie beside the cached activations, in $STUDY_CACHE/test-sets; they
are not what `study.cache clear` removes. A line is written whole, under the file's lock: other processes may write too.
"""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trainables.cache_folder import cache_folder


@dataclass(frozen=True)
class Looks:
    """Attributes:
    studies: those whose winner was tested, each by its name and when it started.
    others: how often other commands looked: at parts of train, or for a ridge regression.
    runs: predictions of the whole test set, by all of these.
    """

    studies: frozenset[tuple[str, str]] = frozenset()
    others: int = 0
    runs: int = 0


def path(test_set: str) -> Path:
    return cache_folder() / "test-sets" / f"{test_set}.jsonl"


def note(test_set: str, *, what: str, study: str, started: str, run: str) -> None:
    """One run has predicted the test set. A folder that cannot be written is no reason to end a study.

    Args:
        what: `test` where a winner was tested, else the command that looked.
        study, started: which study, and when it began, so that going on with it is no other one.
        run: its id.
    """
    words = {"what": what, "study": study, "started": started, "run": run}
    line = json.dumps(words | {"at": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n"
    with suppress(OSError):
        place = path(test_set)
        place.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            torn = size and os.pread(file, 1, size - 1) != b"\n"  # by a power cut
            os.write(file, (b"\n" if torn else b"") + line.encode())
            os.fsync(file)
        finally:
            os.close(file)


def looks(test_set: str) -> Looks:
    """All that was noted of a test set here; a line that is no line of ours is passed over."""
    studies, others, runs = set(), set(), set()
    try:
        lines = path(test_set).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return Looks()
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            words = json.loads(line)
            who = (str(words["study"]), str(words["started"]))
            if words["what"] == "test":
                studies.add(who)
            else:
                others.add((words["what"], *who))
            runs.add((words["what"], *who, words["run"]))
    return Looks(frozenset(studies), len(others), len(runs))
