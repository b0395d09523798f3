"""Faults at random moments of real mini studies, and what they cost.

    make faults                                  # 500 faults: hours on two cores
    make faults ARGS='--at-once 4'               # an hour
    make faults ARGS='--faults 40 --seed 7'
    make faults ARGS='--only "Ctrl-C" --only SIGTERM --faults 20'

A study is begun, a fault ends it, the command is given again with --resume, the next fault ends that. Up to ten
others, which it goes on after, happen to each command, at moments of their own. Then its record has to be that of the
same study undisturbed, but for what the machine decides. The same for a comparison, data efficiency, a folder of
images, two workers a run, and two Ray nodes. A row for each fault: how often, results lost, runs trained twice, wrong
rows, commands that ended in disorder, stray processes and files, and the median seconds of the command that came to
the end.

What happened is added to a file, faults-SEED.jsonl: ended by Ctrl-C or SIGTERM, the same command goes on where it was.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.faults.suite import results
from tests.faults.suite.faults import FAULTS
from tests.faults.suite.streams import side_by_side
from tests.faults.suite.worlds import WORLDS


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=FAULTS, metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS), help=", ".join(WORLDS))
    parser.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="studies side by side (default %(default)s)"
    )
    parser.add_argument("--into", type=Path, metavar="FILE", help="where what happened is added to")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where studies go that a fault has cost something")
    parser.add_argument("--show", action="store_true", help="only the table of what the file has")
    options = parser.parse_args(words)
    into = options.into or Path(f"faults-{options.seed}.jsonl")
    if not options.show:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="f", ignore_cleanup_errors=True) as folder:
            side_by_side(options, into, Path(folder))
    happened = results.read(into)
    print(f"seed {options.seed}, {version()}")
    order = [*FAULTS, *(world.always for world in WORLDS.values() if world.always)]
    results.show(happened, order)
    return 0 if all(one.verdict.good for one in happened) else 1


def version() -> str:
    said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "no version"


if __name__ == "__main__":
    sys.exit(main())
