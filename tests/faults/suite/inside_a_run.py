"""Faults of a run's own code, of its numbers and of its memory: see `inside/sitecustomize.py`."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

import psutil

from tests.faults.suite.faults import FAULTS, SINGLE, Fault, Given, Target
from tests.faults.suite.victim import Command

STUDY_TAKES = 4 << 30  # bytes, with Ray and all its processes
SOME = 1 << 30
numbers = itertools.count()


@contextmanager
def inside(what: str, target: Target, random: Random, **variables: str) -> Iterator[Given]:
    number = next(numbers)
    done = target.victim.folder / f"done-{number}"
    run = random.choice(target.runs) if target.runs else ""
    yield Given(variables={f"FAULTS_INSIDE_{number}": f"{what}@{run}@{done}", **variables}, struck=done.exists)


def having(what: str, *words: str) -> Callable[[Target, Random], AbstractContextManager[Given]]:
    @contextmanager
    def around(target: Target, random: Random) -> Iterator[Given]:
        with inside(what, target, random) as given:
            yield Given(words, given.variables, given.struck)

    return around


for what in ("an exception in the model", "no memory for Python", "the process ends itself", "a segmentation fault"):
    FAULTS[f"in a run: {what}"] = Fault(worlds=SINGLE, around=having(what), inside=True)
for what in ("it hangs in Python", "it hangs in a read"):
    FAULTS[f"in a run: {what}"] = Fault(around=having(what, "--stall-timeout", "15"), inside=True)


@contextmanager
def stopped_as_it_starts(target: Target, random: Random) -> Iterator[Given]:
    number = next(numbers)
    done = target.victim.folder / f"done-{number}"
    yield Given(("--stall-timeout", "15"), {f"FAULTS_INSIDE_{number}": f"stop@@{done}"}, done.exists)


FAULTS["SIGSTOP of a process that starts"] = Fault(
    worlds=("study", "workers"), around=stopped_as_it_starts, inside=True
)
FAULTS["in a run: a slow finally"] = Fault(around=having("slow finally"), inside=True)


def interrupt(command: Command, random: Random, target: Target) -> bool:
    command.signal(signal.SIGINT)
    return command.running


FAULTS["Ctrl-C while a run cleans up slowly"] = Fault(
    codes=(0, 130),
    ends=True,
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


FAULTS["out of memory on the host"] = Fault(around=on_the_host, inside=True)
