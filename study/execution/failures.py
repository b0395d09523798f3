"""Why a run failed: the one line that says it, out of the many that Ray wraps around it; and what is no failure."""

import re
from collections import Counter
from collections.abc import Callable
from time import monotonic

from study.terminal.mistake import Failed
from study.text import plural, shorten
from trainables.preemption import LEAVES

UNREADABLE = "study.data.decoding.Unreadable: "
# As Ray says it. The last is of a process that cannot be reached though nobody says that it ended: so it is on a dead
# node until the head misses that, some seconds later
NODE_LOST = (
    "its node has died",
    "the actor's node was terminated",
    "local raylet died",
    "The task may or may not have been executed on the actor",
    LEAVES,
)
PROCESS_DIED = ("its worker process has died", "The actor died unexpectedly before finishing this task")
NO_MEMORY = re.compile(r"Memory on the node \(IP: (\S+), ID: \w+\) was ([\d.]+)GB used / ([\d.]+)GB limit")
HELD = re.compile(r"Selected to kill: \([^\n]*actual memory used=([\d.]+)GB")
MOST_LOST = 10  # nodes, for one run
GATHERED = 1.0  # seconds in which the runs of one node are heard of


class NoCompletedRuns(Failed):
    """Every run of a step failed, so the next one has nothing to work on."""


class Unfinished(NoCompletedRuns):
    """A step ended without some of its runs, which are not in the record, so that the study can go on with them."""


class NodesLost(Unfinished):
    """Runs lost one node after the other."""


def failure_reason(traceback: str) -> str:
    """What is said of an image that cannot be read any more, of a node's memory, of a process; else the last line."""
    lines = [line.strip() for line in traceback.strip().splitlines()]
    if images := [line.split(UNREADABLE)[1] for line in lines if UNREADABLE in line]:
        return images[-1]
    if killed := NO_MEMORY.search(traceback):
        return no_memory(*killed.groups(), held=HELD.findall(traceback))
    if process_died(traceback):
        return "its process died: it was killed, or lacked memory, or crashed"
    return lines[-1] if lines else "its process died"


def process_died(traceback: str) -> bool:
    """The run's own, or that of another worker of its group, as the one that waited for it tells in many lines."""
    return any(words in traceback for words in PROCESS_DIED)


def no_memory(node: str, used: str, limit: str, *, held: list[str]) -> str:
    """What Ray's memory monitor did, without its advice."""
    own = f", of which the run had {held[0]} GB" if len(held) == 1 else ""
    return (
        f"Ray ended it, for node {node} ran out of memory: {used} of {limit} GB were in use{own}; "
        "let fewer runs go at a time (--max-concurrent)"
    )


def lost_node(traceback: str) -> bool:
    """Whether a run ended because its node did, or will: preempted, out of power or of reach."""
    return any(words in traceback for words in NODE_LOST)


class LostRuns:
    """The runs whose nodes were lost: told of in one line a node, and given up after too many."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._times: Counter[str] = Counter()
        self._untold: list[str] = []
        self._since = 0.0
        self.given_up: list[str] = []

    def may_go_on(self, run_id: str) -> bool:
        """A run lost its node: whether to try it again."""
        self._times[run_id] += 1
        if self._times[run_id] > MOST_LOST:
            self.given_up.append(run_id)
            return False
        if not self._untold:
            self._since = monotonic()
        self._untold.append(run_id)
        return True

    def tell(self, *, at_once: bool = False) -> None:
        """Says what has not been said yet, when all runs of that node are likely to be known."""
        if self._untold and (at_once or monotonic() - self._since > GATHERED):
            self._say(f"a node was lost, and what it ran goes on elsewhere: {shorten(sorted(self._untold), 8)}")
            self._untold = []

    def check(self) -> None:
        """Raises NodesLost for the runs that were given up."""
        self.tell(at_once=True)
        if self.given_up:
            runs = plural(len(self.given_up), "run")
            raise NodesLost(f"{runs} lost {MOST_LOST} nodes each: --resume goes on with {shorten(self.given_up)}")
