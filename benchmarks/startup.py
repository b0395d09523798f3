"""From the command to the first optimiser step of the first trial.

    python -m benchmarks.startup

`python -m study.run --model coatnet` as a user starts it, three times with an empty store of boundaries and three times
with what the first left in it; with a pause before each, for some of Ray's processes outlive the command that started
them. The first step began when the first trial's row was written, less its epoch: an upper bound, for Tune takes a
moment in between.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import sleep, time

import pyarrow.parquet as pq

GOAL = "under 12 s"

ROUNDS, PAUSE = 3, 12
STUDY = ["--model", "coatnet", "--scale", "mini", "--trials", "1", "--epochs", "1", "--seeds", "1", "--top-k", "1"]
OUTPUT = ["--wandb", "disabled", "--quiet"]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    pairs = []
    for turn in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            empty, kept = (first_step(Path(folder), name) for name in ("empty", "kept"))
        pairs.append((empty, kept))
        print(f"round {turn + 1}: empty store {empty:.1f} s, kept store {kept:.1f} s", flush=True)
    empty, kept = (median(side) for side in zip(*pairs, strict=True))
    print(f"median of {ROUNDS}: the first step after {empty:.1f} s with an empty store, {kept:.1f} s with a kept one")


def first_step(folder: Path, name: str) -> float:
    command = [sys.executable, "-m", "study.run", *STUDY, *OUTPUT, "--results", str(folder), "--name", name]
    sleep(PAUSE)
    environment = os.environ | {"STUDY_CACHE": str(folder / "store")}
    start = time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    (epoch,) = (row for row in pq.read_table(folder / name / "curves.parquet").to_pylist() if row["phase"] == "search")
    return (folder / name / "trials.parquet").stat().st_mtime - epoch["seconds"] - start


if __name__ == "__main__":
    main()
