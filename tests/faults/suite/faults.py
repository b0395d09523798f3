"""What a fault is, and those that happen to processes. Others are in `inside_a_run`, `places` and `services`."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from random import Random

import psutil

from tests.faults.suite.victim import Command, Ended, Victim

TRIAL = ("ray::ImplicitFunc", "ray::TrainingProcess")  # processes that train: the search's, and the pool's
WORKER = "ray::Member"  # of a group
OF_RAY = ("Agent", "agent.py", "monitor.py", "ray::IDLE", "ray::_", "log_monitor")
SINGLE = ("study", "comparison", "data efficiency")  # worlds of one machine
EVERYWHERE = (*SINGLE, "images", "two nodes", "workers")


@dataclass
class Given:
    """What a fault adds to a command.

    Attributes:
        struck: whether it has happened, when the command has ended.
    """

    words: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    struck: Callable[[], bool] = lambda: True


@dataclass
class Target:
    """A victim, for faults.

    Attributes:
        runs: those that it has still to train, by the name that the trace has for them.
        lose_a_node: of those that have two, by "kill" or "stop".
    """

    victim: Victim
    runs: Sequence[str]
    lose_a_node: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Fault:
    """
    Attributes:
        codes: with which a command may end that it happens to.
        worlds: in which it can happen.
        ends: the study goes on with the next command only.
        kind: no two faults of one kind, where it has one, happen to one command.
        at: happens at a random moment; returns whether it did.
        around: what it is before the command begins and after it has ended.
        whole: all of a command, in its own order; returns how it ended, and whether the fault happened.
        results_gone: it takes results away itself.
        inside: it is a run's own, which says when it has happened.
    """

    codes: Sequence[int] = (0,)
    worlds: Sequence[str] = ("study",)
    ends: bool = False
    kind: str = ""
    at: Callable[[Command, Random, Target], bool] | None = None
    around: Callable[[Target, Random], AbstractContextManager[Given]] = lambda target, random: nullcontext(Given())
    whole: Callable[[Target, Random, "Moment"], tuple[Ended, bool]] | None = None
    results_gone: bool = False
    needs: Callable[[], bool] = lambda: True
    inside: bool = False

    @property
    def alone(self) -> bool:
        """Whether no other fault happens to the same command."""
        return self.whole is not None or self.results_gone or self.kind == "disk"

    def happens(self, command: Command, random: Random, target: "Target") -> bool:
        """Now, or as soon as there is what it happens to; whether it did before the command's end."""
        while self.at and command.sleep(0.05) and not command.hangs:
            if self.at(command, random, target):
                return True
        return False


@dataclass(frozen=True, order=True)
class Moment:
    """After so many beginnings, epochs and ends of runs, and then some seconds; -1 events: of the command's start."""

    events: int
    seconds: float

    def comes(self, command: Command) -> bool:
        """Waits for it; whether the command still runs."""
        return (self.events < 0 or command.trains(self.events)) and command.sleep(self.seconds)


FAULTS: dict[str, Fault] = {}


def at_a_moment(
    name: str,
    *codes: int,
    worlds: Sequence[str] = ("study",),
    ends: bool = False,
    words: Sequence[str] = (),
    needs: Callable[[], bool] = lambda: True,
    results_gone: bool = False,
    kind: str = "",
) -> Callable[[Callable[[Command, Random, Target], bool]], None]:
    """Declares a fault that happens to a command which runs: at its moment, or when there is what it happens to."""

    @contextmanager
    def around(target: Target, random: Random) -> Iterator[Given]:
        yield Given(words)

    def declare(at: Callable[[Command, Random, Target], bool]) -> None:
        FAULTS[name] = Fault(codes or (0,), worlds, ends, kind, at, around, needs=needs, results_gone=results_gone)

    return declare


def kill(found: Sequence[psutil.Process], random: Random, number: signal.Signals = signal.SIGKILL) -> bool:
    if not found:
        return False
    with suppress(psutil.Error):
        random.choice(found).send_signal(number)
        return True
    return False


def stop(found: Sequence[psutil.Process], random: Random) -> bool:
    return kill(found, random, signal.SIGSTOP)


def lose_a_node(how: str, command: Command, target: Target) -> bool:
    if not command.running or target.lose_a_node is None:
        return False
    target.lose_a_node(how)
    return True


def to_the_command(command: Command, number: signal.Signals) -> bool:
    running = command.running
    with suppress(ProcessLookupError):
        command.process.send_signal(number)
    return running


@at_a_moment("SIGKILL of the process of a run", worlds=EVERYWHERE)
def _(command: Command, random: Random, target: Target) -> bool:
    return kill(command.members(*TRIAL), random)


@at_a_moment("SIGKILL of a command", -9, 0, worlds=EVERYWHERE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return to_the_command(command, signal.SIGKILL)


@at_a_moment("SIGKILL of the process that works for it", 1, 0, worlds=EVERYWHERE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return kill([command.worker] if command.worker else [], random)


@at_a_moment("SIGKILL of the raylet", 0, 1, worlds=SINGLE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return kill(command.members("raylet/raylet"), random)


@at_a_moment("SIGKILL of the GCS", 0, 1, worlds=SINGLE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return kill(command.members("gcs_server"), random)


@at_a_moment("SIGKILL of the raylet, Ray started again", 0, words=("--retries-of-ray", "2"))
def _(command: Command, random: Random, target: Target) -> bool:
    return kill(command.members("raylet/raylet"), random)


@at_a_moment("SIGSTOP of the raylet", 0, 1, worlds=SINGLE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return stop(command.members("raylet/raylet"), random)


@at_a_moment("SIGSTOP of the GCS", 0, 1, worlds=SINGLE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return stop(command.members("gcs_server"), random)


@at_a_moment("SIGSTOP of another process of Ray's", 0, 1, words=("--stall-timeout", "15"))
def _(command: Command, random: Random, target: Target) -> bool:
    return stop(command.members(*OF_RAY), random)


@at_a_moment("SIGKILL of another process of Ray's", 0, 1)
def _(command: Command, random: Random, target: Target) -> bool:
    return kill(command.members(*OF_RAY), random)


@at_a_moment("a Ray node of two is killed", worlds=("two nodes",))
def _(command: Command, random: Random, target: Target) -> bool:
    return lose_a_node("kill", command, target)


@at_a_moment("a Ray node of two is stopped", worlds=("two nodes",))
def _(command: Command, random: Random, target: Target) -> bool:
    return lose_a_node("stop", command, target)


@at_a_moment("SIGKILL of one of two workers", worlds=("workers",))
def _(command: Command, random: Random, target: Target) -> bool:
    return kill(command.members(WORKER), random)


@at_a_moment("SIGSTOP of one of two workers", worlds=("workers",), words=("--stall-timeout", "15"))
def _(command: Command, random: Random, target: Target) -> bool:
    return stop(command.members(WORKER), random)


@at_a_moment("SIGSTOP of the process of a run", words=("--stall-timeout", "15"))
def _(command: Command, random: Random, target: Target) -> bool:
    for process in command.members(*TRIAL):
        with suppress(psutil.Error):
            process.suspend()
            return True
    return False


@at_a_moment("SIGSTOP of the process that works, for five seconds", worlds=SINGLE)
def _(command: Command, random: Random, target: Target) -> bool:
    worker = command.worker
    if worker is None:
        return False
    with suppress(psutil.Error):
        worker.suspend()
        command.sleep(5)
        worker.resume()
        return True
    return False


@at_a_moment("SIGTERM", 0, 130, 143, worlds=EVERYWHERE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    return to_the_command(command, signal.SIGTERM)


@at_a_moment("Ctrl-C", 0, 130, worlds=EVERYWHERE, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    running = command.running
    command.signal(signal.SIGINT)
    return running


@at_a_moment("Ctrl-C twice", 0, 130, ends=True)
def _(command: Command, random: Random, target: Target) -> bool:
    running = command.running
    command.signal(signal.SIGINT)
    command.sleep(random.uniform(0.05, 1.5))
    command.signal(signal.SIGINT)
    return running
