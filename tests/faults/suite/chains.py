"""Which faults happen to which study, one after the other: a seed decides it, for as many chains as are wanted."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random

from tests.faults.suite.faults import Fault
from tests.faults.suite.worlds import ALIKE, WORLDS

ENDINGS = 3  # faults to a study that a next command goes on after
TOGETHER = 10  # that happen to one command and let it go on
OF_ANOTHER = 8  # faults to a world that takes another one's


@dataclass(frozen=True)
class Chain:
    """A victim, and the faults that happen to each of its commands."""

    number: int
    world: str
    commands: Sequence[Sequence[str]]

    @property
    def faults(self) -> list[str]:
        return [name for command in self.commands for name in command]


def chains(seed: int, faults: Mapping[str, Fault], worlds: Collection[str] = tuple(WORLDS)) -> Iterator[Chain]:
    """Every fault in every world that it is of, again and again, each time in another order."""
    number, turn = 0, 0
    while True:
        random = Random(f"{seed}.{turn}")
        found = [chain for world in worlds for chain in of_world(world, faults, random)]
        if not found:
            return
        random.shuffle(found)
        for world, commands in found:
            yield Chain(number, world, commands)
            number += 1
        turn += 1


def of_world(world: str, faults: Mapping[str, Fault], random: Random) -> list[tuple[str, list[list[str]]]]:
    """Some commands that are ended by a fault each, and a last one; others happen to each of them, so that all do.

    What is all of a command comes last: it is given again there until the study is finished.
    """
    own = [name for name, fault in faults.items() if world in fault.worlds]
    if world in ALIKE:  # a few of another world's
        others = [name for name, fault in faults.items() if ALIKE[world] in fault.worlds and not fault.whole]
        own = random.sample(others, min(OF_ANOTHER, len(others)))
    random.shuffle(own)
    ending = [name for name in own if faults[name].ends or faults[name].whole]
    passing = [name for name in own if name not in ending]
    many = max(ceil(len(ending) / ENDINGS), ceil(len(passing) / TOGETHER))
    found: list[list[list[str]]] = [[] for _ in range(many)]
    for number, name in enumerate(sorted(ending, key=lambda name: faults[name].whole is None)):
        found[number % many].insert(0, [name])
    for commands in found:
        if passing and not any(faults[name].whole for command in commands for name in command):
            commands.append([])
    shared = [command for commands in found for command in commands if not any(faults[name].alone for name in command)]
    add(shared, passing, faults)
    return [(world, commands) for commands in found]


def add(commands: Sequence[list[str]], passing: Sequence[str], faults: Mapping[str, Fault]) -> None:
    """As many as there is room for, those first that had none for longest."""
    waiting = list(passing)
    for command in commands:
        most = len(command) + TOGETHER
        for name in list(waiting):
            kinds = {faults[other].kind for other in command if faults[other].kind}
            if len(command) < most and faults[name].kind not in kinds:
                command.append(name)
                waiting.remove(name)
                waiting.append(name)
