"""Faults of a run's own code, of its numbers and of its memory: see `inside/sitecustomize.py`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random

import psutil

from tests.faults.suite.faults import FAULTS, SINGLE, Fault, Given, Target
from tests.faults.suite.victim import Command

STUDY_TAKES = 4 << 30  # bytes, with Ray and all its processes
SOME = 1 << 30


@contextmanager
def inside(what: str, target: Target, random: Random, **variables: str) -> Iterator[Given]:
    victim, done = target.victim, f"{target.victim.folder}/done-{target.victim.commands}"
    run = random.choice(target.runs) if target.runs else ""
    given = {"FAULTS_INSIDE": f"{what}@{run}", "FAULTS_DONE": done, **variables}
    yield Given(variables=given, struck=lambda: Path(f"{done}-0").exists())
    assert victim.folder.exists()


def having(what: str, *words: str) -> Callable[[Target, Random], AbstractContextManager[Given]]:
    @contextmanager
    def around(target: Target, random: Random) -> Iterator[Given]:
        with inside(what, target, random) as given:
            yield Given(words, given.variables, given.struck)

    return around


for what in ("an exception in the model", "no memory for Python", "the process ends itself", "a segmentation fault"):
    FAULTS[f"in a run: {what}"] = Fault(worlds=SINGLE, kind="inside", around=having(what))
for what in ("it hangs in Python", "it hangs in a read"):
    FAULTS[f"in a run: {what}"] = Fault(kind="inside", around=having(what, "--stall-timeout", "15"))
FAULTS["in a run: a slow finally"] = Fault(kind="inside", around=having("slow finally"))


def interrupt(command: Command, random: Random, target: Target) -> bool:
    command.signal(signal.SIGINT)
    return command.running


FAULTS["Ctrl-C while a run cleans up slowly"] = Fault(
    codes=(0, 130),
    ends=True,
    kind="moment",
    at=interrupt,
    around=having("slow finally"),
)


@contextmanager
def on_the_host(target: Target, random: Random) -> Iterator[Given]:
    """Ray ends a process that takes the host's last memory, of which it is told that there is little."""
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + STUDY_TAKES + SOME) / memory.total
    with inside(
        "it takes the host's memory", target, random, RAY_memory_usage_threshold=f"{min(limit, 0.95):.3f}"
    ) as given:
        yield given


FAULTS["out of memory on the host"] = Fault(kind="inside", around=on_the_host)
