"""Whether anything grows with the number of trials and studies: memory, open files, threads, shared memory, seconds.

    python -m benchmarks.load                   # 2,000 trials in one study; 20 studies in one process; 4 at once
    python -m benchmarks.load --trials 400 --studies 4
    python -m benchmarks.load --parts studies at-once

The trials of the long study cost nothing, so that what is left is the study's own; those of the others train the mini
ResNet for an epoch of eighty images. Memory is what a process has alone (USS); a warm process is one that trains.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields, replace
from math import inf
from pathlib import Path
from time import perf_counter

import psutil
from ray import get_runtime_context

from benchmarks._searching import searched, some_digits
from study.cluster import connection
from study.design.recipes import RECIPES
from study.design.study import Study
from study.run import main as study_run
from trainables.images import SplitImages
from trainables.loop import Epoch
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import Report

GOAL = "after the first quarter nothing grows by more than a tenth, but for the record of the long study"

TRIALS, STUDIES, AT_ONCE = 2000, 20, 4
PARTS = ["trials", "studies", "at-once"]
TRAINS = ("ray::ImplicitFunc", "ray::TrainingProcess")
MB = 1e6


@dataclass(frozen=True)
class Held:
    """What this process holds, and the largest of its warm processes: MB, open files, threads."""

    driver_mb: float
    driver_files: int
    driver_threads: int
    warm_mb: float
    warm_files: int
    warm_threads: int
    shared_mb: float
    temporary_files: int

    @classmethod
    def now(cls, temporary: Path) -> "Held":
        warm = []
        for process in training():
            with suppress(psutil.Error):  # it has ended meanwhile
                warm.append(held(process))
        memory, files, threads = (max(column) for column in zip(*warm, (0.0, 0, 0), strict=True))
        shared = sum(path.stat().st_size for path in there(Path("/dev/shm"))) / MB
        left = sum(1 for _ in there(temporary))
        return cls(*held(psutil.Process()), memory, int(files), int(threads), shared, left)


def held(process: psutil.Process) -> tuple[float, int, int]:
    return process.memory_full_info().uss / MB, process.num_fds(), process.num_threads()


def training() -> Iterator[psutil.Process]:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.name().startswith(TRAINS) or " ".join(process.cmdline()).startswith(TRAINS):
                yield process


def there(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                yield path


def nothing(run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources, report: Report) -> Outcome:
    """A trial that computes nothing."""
    outcome, accuracy = Outcome(run.run_id), 1 / (1 + run.hyperparameters.lr)
    outcome.best = Epoch(1, 1.0, 1.0, accuracy, accuracy, accuracy, 0.1, 0.0, 0.0)
    outcome.epochs.append(outcome.best)
    report({**outcome.summary(), "curve": vars(outcome.best)})
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    if "trials" in given.parts:
        say(f"{given.trials} trials", long_study(given.trials))
    if "studies" in given.parts:
        say(f"{given.studies} studies", one_after_another(given.studies))
    if "at-once" in given.parts:
        say(f"{AT_ONCE} at once", at_once())


def say(name: str, grown: Mapping[str, float]) -> None:
    print(f"{name}: " + ", ".join(f"{what} {ratio:.2f} x" for what, ratio in grown.items()), flush=True)


@contextmanager
def ray() -> Iterator[Path]:
    """Ray, with a temporary folder of its own."""
    with tempfile.TemporaryDirectory(prefix="load-", ignore_cleanup_errors=True) as folder:
        os.environ["STUDY_CACHE"] = str(Path(folder) / "cache")
        os.environ["TMPDIR"] = tempfile.tempdir = folder  # so that nobody else's files are counted
        connection.quieten()
        try:
            with connection.connected():
                yield Path(folder)
        finally:
            del os.environ["TMPDIR"]
            tempfile.tempdir = None


class Table:
    """What is held after so many, as a row each."""

    def __init__(self, of: str, temporary: Path) -> None:
        self.temporary = temporary
        self.rows: list[tuple[float, ...]] = []
        self.since = perf_counter()
        print(f"round: {of:>8}  seconds each  " + "  ".join(name.replace("_", " ") for name in NAMES), flush=True)

    def add(self, number: int, more: int) -> None:
        """After `number` of them, of which `more` have come since the last row."""
        each = (perf_counter() - self.since) / more
        row = (each, *astuple(Held.now(self.temporary)))
        self.rows.append(row)
        print(f"round: {number:8}  " + "  ".join(f"{value:12.4g}" for value in row), flush=True)
        self.since = perf_counter()

    def growth(self) -> dict[str, float]:
        """The last row beside that after the first quarter."""
        first = self.rows[max(0, len(self.rows) // 4 - 1)]
        return {
            name: last / one if one else inf if last else 1.0
            for name, one, last in zip(("seconds", *NAMES), first, self.rows[-1], strict=True)
        }


NAMES = [one.name for one in fields(Held)]
SMALL = ["--model", "resnet", "--trials", "2", "--epochs", "1", "--top-k", "1", "--seeds", "1", "--quiet"]
SMALL += ["--max-concurrent", "1", "--wandb", "disabled", "--pretraining", "none", "--images-per-class", "8"]


def long_study(trials: int) -> dict[str, float]:
    recipe = replace(RECIPES["fair"], epochs=1)
    study = Study("resnet", "mini", "resnet_mini", "digits", "load", Path(), recipe, early_stopping="none")
    step = trials // 8
    with ray() as temporary:
        table, ended = Table("trials", temporary), 0

        def on_trial() -> None:
            nonlocal ended
            ended += 1
            if ended % step == 0:
                table.add(ended, step)

        searched(
            study,
            some_digits(100),
            boundaries="off",
            trials=trials,
            threads=1,
            resources=Resources(cpus=1),
            max_concurrent=2,
            train=nothing,
            on_trial=on_trial,
        )
        return table.growth()


def one_after_another(studies: int) -> dict[str, float]:
    with ray() as temporary, tempfile.TemporaryDirectory() as results:
        table = Table("studies", temporary)
        for number in range(studies):
            assert study_run([*SMALL, "--results", results, "--name", f"study-{number}"]) == 0
            table.add(number + 1, 1)
        return table.growth()


def at_once() -> dict[str, float]:
    """Several studies on one Ray, each a process, three times."""
    with ray() as temporary, tempfile.TemporaryDirectory() as results:
        table = Table("at once", temporary)
        for turn in range(3):
            names = [f"study-{turn}-{number}" for number in range(AT_ONCE)]
            command = [sys.executable, "-m", "study.run", *SMALL, "--results", results, "--name"]
            there = os.environ | {"RAY_ADDRESS": get_runtime_context().gcs_address}
            started = [subprocess.Popen([*command, name], env=there, stdout=subprocess.DEVNULL) for name in names]
            assert [process.wait() for process in started] == [0] * AT_ONCE
            table.add(AT_ONCE * (turn + 1), AT_ONCE)
        return table.growth()


if __name__ == "__main__":
    main()
