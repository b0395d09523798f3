"""A chain of faults that happen to one victim, and what they cost it."""

import fcntl
import pickle
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from math import ceil
from pathlib import Path
from random import Random

from study.design.states import StudyStatus
from study.report.study import PAGE
from study.results.study_file import StudyFile
from tests.faults.suite.chains import Chain
from tests.faults.suite.faults import FAULTS, Fault, Moment, Target
from tests.faults.suite.results import Happened
from tests.faults.suite.verdict import Rows, Verdict, differences, files, finished_runs, left_files, tables
from tests.faults.suite.victim import Ended, Victim
from tests.faults.suite.worlds import WORLDS, Nodes, two_nodes

TRIES = 3  # of a command without a fault, after which it counts as one that cannot go on
EARLY = 0.25  # of the moments that end a command are before any run has begun,
EARLY_WITH_OTHERS = 0.1  # or of those where others happen to it, which do not come to happen then
SOCKETS = shutil.ignore_patterns("sockets", "cache")
EVENTS = 4  # of a run: its beginning, two epochs, its end


class Undisturbed:
    """A world's command without a fault.

    Attributes:
        startup: seconds until its first run begins.
        runs: that it trains to their end, in their order, as the trace names them.
        usual: the files that it leaves behind.
    """

    def __init__(self, victim: Victim) -> None:
        began = time.time()
        ended = victim.finish()
        assert ended.code == 0, ended.said
        events = victim.trained()
        self.startup = events[0][0] - began
        self.runs = list(dict.fromkeys(run for _, what, run in events if what == "end"))
        self.expected: Rows = tables(victim)
        self.usual: Counter[str] = files(victim)
        self.cache, self.results = victim.cache, victim.results


class Suite:
    """Chains of faults, in a folder; what is undisturbed is trained when it is first needed, and kept there for others.

    Args:
        keep: where the folder of a victim goes that a fault has cost something; None: it is removed.
    """

    def __init__(self, folder: Path, keep: Path | None = None) -> None:
        self.folder, self.keep = folder, keep
        self.undisturbed = cache(self._undisturbed)

    def _undisturbed(self, world: str) -> Undisturbed:
        """Of a world, trained by the process that comes first."""
        self.folder.mkdir(exist_ok=True)
        kept = self.folder / f"{world.replace(' ', '-')}.undisturbed"
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                kept.write_bytes(pickle.dumps(self._trained(world)))
        undisturbed: Undisturbed = pickle.loads(kept.read_bytes())
        return undisturbed

    def _trained(self, world: str) -> Undisturbed:
        victim = WORLDS[world].victim(self.folder / f"undisturbed {world}".replace(" ", "-"), self.finished(world))
        try:
            with nodes_of(world, victim):
                undisturbed = Undisturbed(victim)
        except BaseException:  # the suite is ended, too
            victim.remove()
            raise
        strays = victim.strays()
        assert not strays, strays
        return undisturbed

    def finished(self, world: str) -> Path:
        """The results of the study that the world needs; any folder where it needs none."""
        victim = Victim(
            self.folder / f"before {world}".replace(" ", "-"), [*WORLDS[world].before, "--results", "results"]
        )
        if WORLDS[world].before and not victim.results.exists():
            ended = victim.finish()
            assert ended.code == 0, ended.said
        return victim.results

    def chain(self, chain: Chain, seed: int | str) -> list[Happened]:
        self.undisturbed(chain.world)
        victim = WORLDS[chain.world].victim(self.folder / f"v{chain.number}", self.finished(chain.world))
        try:
            happened = self.faults_of(chain, victim, seed)
            if self.keep and not all(one.verdict.good for one in happened):
                with suppress(shutil.Error):  # a socket
                    shutil.copytree(victim.folder, self.keep / f"{seed}.{chain.number}", symlinks=True, ignore=SOCKETS)
            return happened
        finally:
            victim.remove()

    def faults_of(self, chain: Chain, victim: Victim, seed: int | str) -> list[Happened]:
        usual, random, verdicts = self.undisturbed(chain.world), Random(f"{seed}.{chain.number}"), []
        if usual.cache.exists() and chain.world != "two nodes":
            shutil.copytree(usual.cache, victim.cache)
        with nodes_of(chain.world, victim) as nodes:
            for number, names in enumerate(chain.commands):
                share = min(
                    1.0, 2 / (len(chain.commands) - number + 1)
                )  # of what is left, so that all come to something
                verdicts += self.command(victim, names, random, usual, share, nodes)
            if always := WORLDS[chain.world].always:
                verdicts.append((always, Verdict()))
            if nodes:
                nodes.end_the_stopped()  # the next command sweeps what they have left
            last = verdicts[-1][1]
            for _ in range(TRIES):
                ended = victim.finish()
                last.seconds += ended.seconds
                if ended.code == 0:
                    break
                last.disorder.append(f"going on ended with {ended.code}: {ended.said.strip()[-300:]}")
        wrong = differences(usual.expected, tables(victim))
        strays = [*victim.strays(), *left_files(victim, usual.usual)]
        for _, verdict in verdicts:
            verdict.wrong, verdict.strays = wrong, strays
        return [
            Happened(int(seed) if str(seed).isdigit() else 0, chain.number, chain.world, name, verdict)
            for name, verdict in verdicts
        ]

    def command(
        self,
        victim: Victim,
        names: Sequence[str],
        random: Random,
        usual: Undisturbed,
        share: float,
        nodes: Nodes | None,
    ) -> list[tuple[str, Verdict]]:
        """One command, and the faults that happen to it: what they cost at once.

        Args:
            share: of what is left to do, in which they happen.
        """
        faults = [FAULTS[name] for name in names]
        before, began, done = tables(victim), time.time(), finished_runs(victim)
        pageless = without_a_page(victim)
        left = [run for run in usual.runs if run not in done]
        within = left[: ceil(share * len(left))]
        ends = len(faults) > 1 and any(fault.ends for fault in faults)
        passing = within[: ceil(len(within) / 2)] if ends else within
        target = Target(victim, passing, nodes.lose if nodes else None)
        verdict = Verdict()
        struck = [False] * len(faults)
        try:
            ended, struck = happen(faults, target, random, moments(faults, random, usual, len(passing), len(within)))
        except AssertionError as error:
            verdict.disorder.append(str(error))
        else:
            verdict.seconds = ended.seconds
            verdict.disorder += disorder(ended, [code for fault in faults for code in fault.codes])
            if not any(fault.results_gone for fault in faults):
                full = any(fault.kind == "disk" for fault in faults)
                had_none = (
                    pageless if ended.code else []
                )  # a disk that was full before: it is made by who ends in order
                verdict.disorder += unfinished_business(ended, victim, page=not full and not had_none)
                if ended.code != 2:
                    verdict.lost = differences(before, tables(victim))
                events = victim.trained()
                verdict.twice = [run for when, what, run in events if what == "begin" and when > began and run in done]
        return [
            (name, Verdict(**{**vars(verdict), "struck": happened}))
            for name, happened in zip(names, struck, strict=True)
        ]


@contextmanager
def nodes_of(world: str, victim: Victim) -> Iterator[Nodes | None]:
    with ExitStack() as stack:
        yield stack.enter_context(two_nodes(victim)) if WORLDS[world].nodes else None


def moments(faults: Sequence[Fault], random: Random, usual: Undisturbed, passing: int, within: int) -> list[Moment]:
    """Of each fault one, within so many runs. One that ends a command on which others happen comes after these.

    Args:
        passing: runs in which those happen that a command goes on after.
        within: those, and the runs after them in which it is ended.
    """
    others = len(faults) > 1

    def of(fault: Fault) -> Moment:
        early = fault.ends and random.random() < (EARLY_WITH_OTHERS if others else EARLY)
        if early or not passing:
            return Moment(-1, random.uniform(0, usual.startup))
        events = EVENTS * (max(within - passing, 1) if fault.ends and others else passing)
        return Moment(random.randrange(events), random.uniform(0, 0.4))

    return [of(fault) for fault in faults]


def happen(faults: Sequence[Fault], target: Target, random: Random, when: Sequence[Moment]) -> tuple[Ended, list[bool]]:
    """How the command ended, and which of the faults did happen."""
    if faults[0].whole:
        how, did = faults[0].whole(target, random, when[0])
        return how, [did]
    with ExitStack() as stack:
        given = [stack.enter_context(fault.around(target, random)) for fault in faults]
        variables = {name: value for one in given for name, value in one.variables.items()}
        command = target.victim.start(*(word for one in given for word in one.words), **variables)
        struck = [fault.at is None for fault in faults]
        after = [len(faults) > 1 and fault.ends and one.events >= 0 for fault, one in zip(faults, when, strict=True)]
        for number in sorted(range(len(faults)), key=lambda number: (after[number], when[number])):
            fault, moment = faults[number], when[number]
            if after[number]:
                inside = [one for other, one in zip(faults, given, strict=True) if other.inside and other is not fault]
                while command.sleep(0.05) and not command.hangs and not all(one.struck() for one in inside):
                    pass
                moment = Moment(len(target.victim.trained()) - command.seen + moment.events, moment.seconds)
            if fault.at and not command.hangs:  # else it hangs, and must not be saved by its end
                struck[number] = moment.comes(command) and fault.happens(command, random, target)
        ended = command.wait()
    return ended, [happened and one.struck() for happened, one in zip(struck, given, strict=True)]


def disorder(ended: Ended, codes: Sequence[int]) -> list[str]:
    if ended.code is None:
        return [f"did not end: {ended.said.strip()[-3000:]}"]
    if ended.code not in codes:
        return [f"ended with {ended.code}: {ended.said.strip()[-300:]}"]
    return [] if ended.in_order else [f"said: {ended.said.strip()[-600:]}"]


def without_a_page(victim: Victim) -> list[Path]:
    return [record for record in victim.records if not (record / PAGE).exists()]


def unfinished_business(ended: Ended, victim: Victim, *, page: bool) -> list[str]:
    """What a command that ended by itself left undone in the records that it wrote, as who reads them sees it.

    Args:
        page: there was room for one.
    """
    if ended.code is None or ended.code < 0 or ended.code == 2:
        return []
    found = []
    for record in victim.records:
        if page and record in without_a_page(victim):
            found.append(f"{record.name} has no page")
        if StudyFile.read(record).status is StudyStatus.RUNNING:
            found.append(f"{record.name} says that it runs")
    return found
