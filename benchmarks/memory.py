"""Memory of training on JPEG files of several times as many bytes as it takes, against a quarter of them.

    python -m benchmarks.memory

Photographs of 2,400 x 1,800 px, 1 MB each. A child process trains the head of AlexNet (random weights) for one epoch on
them at 224 px, from the files on: they are looked at, decoded by Ray Data into boundary 0, and read from there. What
counts is the memory that belongs to the training process and to Ray's processes that work for it, at its peak: pages
that a file backs can be dropped at any time, and are not in it. (A limit by RLIMIT_DATA was tried: it counts what
threads reserve and never touch, so that torch and Ray do not even start below 2 GiB.)
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, sleep

import psutil

from benchmarks._photographs import CLASSES, photographs

GOAL = "the same memory for four times the data"
LARGE = 4 << 30  # bytes of JPEGs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    folder = parser.parse_args().train
    if folder:
        train_on(folder)
        return
    peaks = {}
    for wanted in (LARGE // 4, LARGE):
        with tempfile.TemporaryDirectory(prefix="bench-memory-") as place:
            images, size = photographs(Path(place) / "images", width=2400, height=1800, distinct=24, size=wanted)
            start = perf_counter()
            one, together = peak_of([sys.executable, "-m", "benchmarks.memory", "--train", f"{place}/images"], place)
            seconds = perf_counter() - start
            peaks[wanted] = size, one, together
            print(
                f"round of {images:,} JPEGs, {size / 1e9:.1f} GB: peak of a process {one / 1e6:.0f} MB, of all "
                f"{together / 1e6:.0f} MB, {images / seconds:.0f} images/s from start to end",
                flush=True,
            )
    size, one, together = peaks[LARGE]
    _, one_of_quarter, together_of_quarter = peaks[LARGE // 4]
    print(
        f"{size / 1e9:.1f} GB of JPEGs: the largest process takes {one / 1e6:.0f} MB ({size / one:.1f} x less), "
        f"{one / one_of_quarter:.2f} x of what a quarter of them takes; all processes together "
        f"{together / together_of_quarter:.2f} x"
    )


def peak_of(command: list[str], cache: str) -> tuple[int, int]:
    """The most memory of its own that a process of the command had, and the most that all had at one time."""
    one = together = 0
    environment = os.environ | {"STUDY_CACHE": f"{cache}/cache"}
    with subprocess.Popen(command, env=environment) as child:
        over = threading.Event()
        while child.poll() is None and not over.is_set():
            each = [own(process) for process in family(child.pid)]
            one, together = max([one, *each]), max(together, sum(each))
            sleep(0.1)
    if child.returncode:
        sys.exit("the child process failed")
    return one, together


def family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def own(process: psutil.Process) -> int:
    """Anonymous memory, and pages shared with other processes that no file backs: Ray's object store."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return sum(int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssShmem")) * 1024


def train_on(folder: Path) -> None:
    from study.cluster import connection
    from study.data import resolve
    from study.data.reading import datasets_of_study
    from study.data.source import DatasetRequest
    from study.data.splits import split
    from study.design.recipes import RECIPES
    from trainables.hyperparameters import Hyperparameters
    from trainables.resources import Resources
    from trainables.run import Model, Run
    from trainables.trainer import train

    connection.quieten()
    with connection.connected():
        splits = split(resolve.load(str(folder), DatasetRequest()))
        model = Model("alexnet", "paper", "alexnet", CLASSES)
        run = Run("memory", model, Hyperparameters(1e-3, 0.0, 7), RECIPES["fair"], 0, splits.digests(), last_epoch=1)
        data = datasets_of_study(splits, model.described.preprocessing, margin=False)
        outcome = train(run, data, Resources(), report=lambda row: None)
        assert outcome.failure is None


if __name__ == "__main__":
    main()
