"""Which faults happen to which study, one after the other: a seed decides it, for as many chains as are wanted."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random

from tests.faults.suite.faults import Fault
from tests.faults.suite.worlds import ALIKE, WORLDS

ENDINGS = 3  # faults to a study that a next command goes on after
TOGETHER = 3  # that happen to its last command, as a rule


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
    own = [name for name, fault in faults.items() if world in fault.worlds]
    if world in ALIKE:  # a few of another world's
        others = [name for name, fault in faults.items() if ALIKE[world] in fault.worlds and not fault.whole]
        own = random.sample(others, min(3, len(others)))
    random.shuffle(own)
    ending = [name for name in own if faults[name].ends or faults[name].whole]
    passing = [name for name in own if name not in ending]
    kinds = Counter(faults[name].kind for name in passing)
    many = max([ceil(len(ending) / ENDINGS), ceil(len(passing) / TOGETHER), *kinds.values()])
    found: list[tuple[list[list[str]], list[str]]] = [([], []) for _ in range(many)]
    for number, name in enumerate(ending):
        found[number % many][0].append([name])
    for name in sorted(passing, key=lambda name: -kinds[faults[name].kind]):
        free = [last for _, last in found if faults[name].kind not in {faults[other].kind for other in last}]
        min(free, key=len).append(name)
    return [(world, [*commands, last] if last else commands) for commands, last in found]
