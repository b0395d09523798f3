"""Faults at random moments of a real mini study, and what they cost it.

    make faults                                  # 500 faults: an hour and more on two cores
    make faults ARGS='--faults 40 --seed 7'
    make faults ARGS='--only "Ctrl-C" --only SIGTERM --faults 20'

A study is begun, a fault happens to it, the command is given again with --resume, the next fault happens, until it had
its share; then it is let finish, and its record has to be that of the same study undisturbed, but for what the machine
decides. A row for each fault: how often, results lost, runs trained twice, wrong rows, commands that ended in disorder,
stray processes and files, and the median seconds of the command that finished the study.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from tests.faults.suite.faults import FAULTS
from tests.faults.suite.verdict import Verdict, differences, files, finished_runs, left_files, tables
from tests.faults.suite.victim import Ended, Victim

AT_MOST = 3  # faults to one study
TRIES = 3  # of --resume without a fault, after which a study counts as one that cannot go on
COLUMNS = ("results lost", "trained twice", "wrong rows", "disorder", "strays")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=FAULTS, metavar="FAULT", help=", ".join(FAULTS))
    options = parser.parse_args(words)
    names = [name for name in options.only or FAULTS if FAULTS[name].needs()]
    with tempfile.TemporaryDirectory(prefix="faults", ignore_cleanup_errors=True) as folder:
        suite = Suite(Path(folder))
        print(f"undisturbed: {suite.seconds:.1f} s", flush=True)
        verdicts = suite.run(names, options.faults, options.seed, say=lambda line: print(line, flush=True))
    show(verdicts, options.seed)
    return 0 if all(verdict.good for found in verdicts.values() for verdict in found) else 1


class Suite:
    """
    Attributes:
        seconds: that the study takes undisturbed, when what it reads is cached.
        expected: its record.
        usual: the files that it leaves behind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        first = Victim(folder / "a")
        ended = first.finish()
        assert ended.code == 0, ended.said
        self.cache = first.cache
        again = self.victim("b")
        ended = again.finish()
        assert ended.code == 0, ended.said
        self.seconds = ended.seconds
        self.expected = tables(again.record)
        unequal = differences(tables(first.record), self.expected)
        assert not unequal, f"the same study twice is not the same study: {unequal}"
        self.usual = files(first) | files(again)
        again.strays()
        again.remove()

    def victim(self, name: str) -> Victim:
        victim = Victim(self.folder / name)
        shutil.copytree(self.cache, victim.cache)
        return victim

    def run(self, names: Sequence[str], faults: int, seed: int, say: object = None) -> dict[str, list[Verdict]]:
        """So many faults, of each as many as of any other. What they cost, by fault."""
        verdicts: dict[str, list[Verdict]] = defaultdict(list)
        queue = [names[number % len(names)] for number in range(faults)]
        Random(seed).shuffle(queue)
        number = 0
        while queue:
            share, queue = queue[:AT_MOST], queue[AT_MOST:]
            for name, verdict in zip(share, self.chain(share, f"{seed}.{number}"), strict=True):
                verdicts[name].append(verdict)
                if callable(say):
                    told = [f"{column}: {what}" for column, found in columns(verdict) for what in found]
                    say(f"{sum(map(len, verdicts.values())):4} {seed}.{number} {name}: {'; '.join(told) or 'nothing'}")
            number += 1
        return dict(verdicts)

    def chain(self, names: Sequence[str], seed: str) -> list[Verdict]:
        """Faults that happen to one study, one after the other."""
        random = Random(seed)
        victim = self.victim(f"v{seed.replace('.', '-')}")
        verdicts = [self.happens(victim, name, random) for name in names]
        last = verdicts[-1]
        for _ in range(TRIES):
            ended = victim.finish("--resume")
            last.seconds += ended.seconds
            if ended.code == 0:
                break
            last.disorder.append(f"--resume ended with {ended.code}: {ended.said.strip()[-300:]}")
        wrong = differences(self.expected, tables(victim.record))
        strays = [*victim.strays(), *left_files(victim, self.usual)]
        for verdict in verdicts:
            verdict.wrong, verdict.strays, verdict.seconds = wrong, strays, last.seconds
        victim.remove()
        return verdicts

    def happens(self, victim: Victim, name: str, random: Random) -> Verdict:
        """One fault: what it cost at once."""
        fault, verdict = FAULTS[name], Verdict()
        before, began = tables(victim.record), time.time()
        done = finished_runs(victim.record)
        try:
            ended = fault.happens(victim, random, self.seconds)
        except AssertionError as error:
            verdict.disorder.append(str(error))
            return verdict
        verdict.disorder += disorder(ended, fault.codes)
        if not fault.results_gone:
            verdict.disorder += unfinished_business(ended, victim.record)
            verdict.lost = differences(before, tables(victim.record))
            again = [run for when, what, run in victim.trained() if what == "begin" and when > began and run in done]
            verdict.twice = again
        return verdict


def disorder(ended: Ended, codes: Sequence[int]) -> list[str]:
    if ended.code is None:
        return [f"did not end: {ended.said.strip()[-300:]}"]
    if ended.code not in codes:
        return [f"ended with {ended.code}: {ended.said.strip()[-300:]}"]
    return [] if ended.in_order else [f"said: {ended.said.strip()[-600:]}"]


def unfinished_business(ended: Ended, record: Path) -> list[str]:
    """What a command that ended by itself left undone in the record that it wrote."""
    if ended.code is None or ended.code < 0 or ended.code == 2 or not (record / "study.json").exists():
        return []
    found = [] if (record / "report.html").exists() else ["the record has no page"]
    status = json.loads((record / "study.json").read_text())["status"]
    return [*found, *(["the record says that it runs"] if status == "running" else [])]


def columns(verdict: Verdict) -> list[tuple[str, list[str]]]:
    found = (verdict.lost, verdict.twice, verdict.wrong, verdict.disorder, verdict.strays)
    return list(zip(COLUMNS, found, strict=True))


def show(verdicts: dict[str, list[Verdict]], seed: int) -> None:
    table = Table("fault", "times", *COLUMNS, "seconds")
    rows = [(name, verdicts[name]) for name in FAULTS if name in verdicts]
    for name, found in [*rows, ("all", [verdict for _, several in rows for verdict in several])]:
        counts = [sum(len(dict(columns(verdict))[column]) for verdict in found) for column in COLUMNS]
        median = statistics.median(verdict.seconds for verdict in found)
        table.add_row(name, str(len(found)), *map(str, counts), f"{median:.1f}")
    print(f"seed {seed}")
    Console(width=150, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
