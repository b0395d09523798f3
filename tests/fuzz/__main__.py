"""`make fuzz`: damages the files of every reader, each for some time, and prints how often what came of it.

Then it draws folders of images as people might have them, and compares what a study takes them for with what they are.

    make fuzz ARGS="--minutes 1"
    make fuzz ARGS="--reader parquet --seed 7 --case 1234"     # one of them again

A reader is in a process of its own, so that a crash of a library is one damage's outcome, and known by its number.
Exits with 1 if any outcome was wrong.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from tests.fuzz import layouts
from tests.fuzz.cases import SECONDS, Outcomes, damage
from tests.fuzz.readers import READERS

LAYOUTS = "layouts"
SHOWN = ("same", "other", "refused", "wrong")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.2, metavar="M", help="of each reader (default %(default)s)")
    parser.add_argument("--reader", choices=[*READERS, LAYOUTS], action="append", help="only this one")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--case", type=int, metavar="N", help="only this one")
    parser.add_argument("--from", type=int, metavar="N", dest="first", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first is not None:
        return one(options.reader[0], options.seed, options.first, 60 * options.minutes, options.case)
    all_wrong: list[str] = []
    print(f"seed {options.seed}, {options.minutes:g} minutes each")
    print(f"{'':<26}{'damages':>9}" + "".join(f"{name:>9}" for name in SHOWN), flush=True)
    for name in options.reader or [*READERS, LAYOUTS]:
        if name == LAYOUTS:
            all_wrong += of_layouts(options.seed, 60 * options.minutes, options.case)
            continue
        outcomes = in_a_process(name, options.seed, 60 * options.minutes, options.case)
        counts = "".join(f"{outcomes.counts[shown]:>9,}" for shown in SHOWN)
        print(f"{name:<26}{outcomes.counts.total():>9,}{counts}", flush=True)
        all_wrong += outcomes.wrong
    print("\n".join(all_wrong))
    return 1 if all_wrong else 0


def of_layouts(seed: int, seconds: float, only: int | None) -> list[str]:
    """What was taken for something else, of folders that are drawn as long as there is time."""
    wrong, case, until = [], only or 0, monotonic() + seconds
    with tempfile.TemporaryDirectory() as place:
        os.environ["STUDY_CACHE"] = f"{place}/cache"
        while True:
            found = layouts.one(seed, case, Path(place) / "images")
            wrong += [f"{LAYOUTS} {found}"] if found else []
            case += 1
            if only is not None or monotonic() >= until:
                break
    print(f"{LAYOUTS:<26}{case - (only or 0):>9,}{'':>27}{len(wrong):>9,}", flush=True)
    return wrong


def in_a_process(name: str, seed: int, seconds: float, case: int | None) -> Outcomes:
    """The outcomes of one reader; where its process crashes, another goes on after the damage that did it."""
    found, first, until = Outcomes(), case or 0, monotonic() + seconds
    while True:
        left = max(0.0, until - monotonic())
        words = ["--reader", name, "--seed", str(seed), "--from", str(first), "--minutes", str(left / 60)]
        words += [] if case is None else ["--case", str(case)]
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", *words]
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as said:
            given = os.environ | {"STUDY_CACHE": cache}
            try:
                ran = subprocess.run(
                    command, env=given, stdout=subprocess.PIPE, stderr=said, timeout=left + 10 * SECONDS, check=False
                )
                printed, how = ran.stdout.splitlines(), f"the process ended with {ran.returncode}"
            except subprocess.TimeoutExpired as hung:
                printed, how = (hung.stdout or b"").splitlines(), "the process hung in a library"
        last = first
        for line in printed:
            content = json.loads(line)
            if "counts" in content:
                found.counts.update(content["counts"])
                found.wrong += content["wrong"]
                return found
            last = content["begins"]
        found.counts.update({"wrong": 1})
        found.wrong.append(f"{name} --seed {seed} --case {last}: {how}")
        if case is not None or not printed:
            return found
        first = last + 1


def one(name: str, seed: int, first: int, seconds: float, case: int | None) -> int:
    """In its own process: tells each damage before it is read, and at the end what became of all."""
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    until = monotonic() + seconds

    def cases() -> Iterator[int]:
        number = first
        while case is None and (monotonic() < until or number == first):
            yield number
            number += 1
        if case is not None:
            yield case

    def begin(number: int) -> None:
        print(json.dumps({"begins": number}), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        outcomes = damage(name, READERS[name], Path(folder), cases(), seed=seed, begin=begin)
    print(json.dumps({"counts": Counter(outcomes.counts), "wrong": outcomes.wrong}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
