"""Trials an hour on 1, 2 and 4 nodes, beside what that many slots could do at best.

    python -m benchmarks.scaling              # 16, 32 and 64 slots; the last with 1,000 trials
    python -m benchmarks.scaling --profile    # and where the study's own process spends its time
    python -m benchmarks.scaling --nodes 4 --slots 8 --seconds 10    # as many trials an hour as 64 slots with 20 s

A slot is a process of 0.35 GB, so that 64 need 24 GB and more.

The trials sleep: what is measured is whether the study's process gives every slot its next trial in time. All else
is real: Ray nodes (all of them on this machine, so they may not compute), Tune, Optuna, results, the record.
At best a slot is never without a trial. The share of that is the time that trials had, of the time that slots had, from
when every slot had its first trial to when the first slot found none left.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter, sleep, time
from typing import Any

from benchmarks._searching import Searched, searched, some_digits
from study.cluster import connection
from study.design.recipes import RECIPES
from study.design.study import Study
from tests.nodes import ray_nodes
from trainables.images import SplitImages
from trainables.loop import Epoch
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import Report

GOAL = "at least 95 % of what the slots could do at best"

EPOCHS = 4
SECONDS = 20.0  # a trial, by default; real ones take minutes
SLOTS = 16  # on each node, by default
TRIALS = 1000  # on the most nodes; fewer on fewer, for the same time
NODES = (1, 2, 4)


def sleeping(
    run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources, report: Report, *, seconds: float
) -> Outcome:
    """A trial that takes its time and computes nothing."""
    start, outcome = perf_counter(), Outcome(run.run_id)
    begun = time()
    for number in range(1, EPOCHS + 1):
        sleep(seconds / EPOCHS)
        accuracy = 1 - 1 / (1 + number + run.hyperparameters.lr)
        epoch = Epoch(number, 1.0, 1 - accuracy, accuracy, accuracy, accuracy, 0.1, seconds / EPOCHS, seconds / EPOCHS)
        outcome.epochs.append(epoch)
        outcome.best = epoch
        outcome.total_seconds = perf_counter() - start
        outcome.notes = (f"{begun} {time()}",)  # a trial's own clock: when it began, and when it ended
        report({**outcome.summary(), "curve": asdict(epoch)})
    return outcome


def busy(search: Searched, slots: int) -> float:
    """The share of the slots' time that trials had, while there were trials for all of them."""
    spans = sorted(tuple(map(float, row["notes"][0].split())) for row in search.record.trials)
    start = spans[slots - 1][0]
    end = min(one for _, one in spans[-slots:])
    had = sum(max(0.0, min(last, end) - max(first, start)) for first, last in spans)
    return had / (slots * (end - start))


def search_on(nodes: int, slots: int, trials: int, seconds: float, profile: cProfile.Profile | None) -> Searched:
    """So many trials that take so many seconds each, on nodes with so many slots each."""
    recipe = replace(RECIPES["fair"], epochs=EPOCHS)
    study = Study("coatnet", "mini", "coatnet_mini", "digits", "bench", Path(), recipe, early_stopping="none")
    with (
        tempfile.TemporaryDirectory(prefix="bench-nodes-") as folder,
        ray_nodes(Path(folder), *[slots] * nodes) as there,
    ):
        os.environ["RAY_ADDRESS"] = there.cluster.address
        connection.quieten()
        with connection.connected():
            if profile:
                profile.enable()
            try:
                return searched(
                    study,
                    some_digits(100),
                    boundaries="off",
                    trials=trials,
                    threads=1,
                    resources=Resources(cpus=1),
                    max_concurrent=slots * nodes,
                    train=partial(sleeping, seconds=seconds),
                )
            finally:
                if profile:
                    profile.disable()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, metavar="N")
    parser.add_argument("--trials", type=int, default=TRIALS, help="on the most nodes (default %(default)s)")
    parser.add_argument("--slots", type=int, default=SLOTS, help="on each node (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a trial (default %(default)s)")
    parser.add_argument("--profile", action="store_true", help="say what the study's process does")
    given = parser.parse_args()
    results: dict[int, float] = {}
    for nodes in given.nodes:
        profile = cProfile.Profile() if given.profile else None
        trials = given.trials * nodes // max(given.nodes)
        search = search_on(nodes, given.slots, trials, given.seconds, profile)
        slots = given.slots * nodes
        share = results[nodes] = busy(search, slots)
        most = 3600 * slots / given.seconds
        print(
            f"round: {nodes} nodes, {slots} slots, {trials} trials of {given.seconds:.0f} s: "
            f"{most * share:,.0f} trials an hour, {share:.1%} of {most:,.0f}",
            flush=True,
        )
        if profile:
            show(profile)
    print("of the best that is possible: " + ", ".join(f"{share:.1%} on {nodes}" for nodes, share in results.items()))


def show(profile: cProfile.Profile) -> None:
    """What the study's process spent its time on."""
    stats: Any = pstats.Stats(profile)
    stats.sort_stats("cumulative").print_stats("study/|tune_controller|optuna", 30)


if __name__ == "__main__":
    main()
