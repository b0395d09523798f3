"""What early stopping gains or loses: the best point found with and without it, at equal training.

    python -m benchmarks.early_stopping

Searches of up to 30 trials of 10 epochs, head-only on cached features, every mini model, splits and draws of their own;
trials one after the other. After so many epochs of training in all, of however many trials, the best candidate is
trained again from three new seeds to the end and tested: what a study would replicate. Three ways: without early
stopping; ASHA as it is (no rung stops a trial before three others have reached it, stopped trials are candidates);
and ASHA as it was (the second trial at a rung was compared with one number, completed trials alone were candidates).
Regret is what a way reaches less than without early stopping. About four minutes on one core.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks import _whole_studies
from benchmarks._whole_studies import MODELS, Trainer
from study.design.states import RunStatus
from study.design.study import Study
from study.execution.candidates import eligible
from study.results.record import Record

GOAL = "at equal training no worse than without early stopping"
WAYS = {"none": ("none", 2), "asha": ("asha", 2), "asha as it was": ("asha", 1)}  # early stopping, protocol
BUDGETS = (50, 100, 200)  # epochs in all
TRIALS, SEARCHES = 30, 5
SEEDS = (9001, 9002, 9003)  # of the tests: the same for every way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--searches", type=int, default=SEARCHES, metavar="N", help="of each model (default %(default)s)"
    )
    options = parser.parse_args()
    start = perf_counter()
    reached: dict[tuple[str, int], list[float]] = {}
    completed: dict[tuple[str, int], list[int]] = {}
    for model in MODELS:
        for seed in range(options.searches):
            for way, (stopping, protocol) in WAYS.items():
                study = _whole_studies.described(
                    model, seed=seed, split_seed=seed, trials=TRIALS, early_stopping=stopping, protocol=protocol
                )
                for budget, accuracy, done in one(study):
                    reached.setdefault((way, budget), []).append(accuracy)
                    completed.setdefault((way, budget), []).append(done)
        print(f"round of {model}, after {perf_counter() - start:.0f} s", flush=True)
    report(reached, completed)


def one(study: Study) -> Iterator[tuple[int, float, int]]:
    """Of one search: each budget, the test accuracy of what was found, how many trials were completed."""
    with TemporaryDirectory(prefix="early-stopping-") as folder:
        study = replace(study, results=Path(folder))
        study.folder.mkdir()
        record = Record(study.folder)
        trainer = Trainer(study, _whole_studies.splits_of(study))
        _whole_studies.search(study, record, trainer)
        known: dict[str, float] = {}
        for budget in BUDGETS:
            trials = within(record.trials, budget)
            best = eligible(study, SimpleNamespace(trials=trials, curve=record.curve))  # type: ignore[arg-type]
            name = best[0]["trial_id"] if best else trials[0]["trial_id"]
            if name not in known:
                point = next(row for row in trials if row["trial_id"] == name)
                known[name] = tested(study, trainer, point)
            yield budget, known[name], sum(row["status"] == RunStatus.COMPLETED for row in trials)


def within(trials: Sequence[Any], budget: int) -> list[Any]:
    """The first ones, of so many epochs in all; at least one."""
    trained = np.cumsum([row["epochs"] for row in trials])
    return list(trials[: max(1, int((trained <= budget).sum()))])


def tested(study: Study, trainer: Trainer, point: Any) -> float:
    accuracies = []
    for seed in SEEDS:
        run = replace(trainer.template, hyperparameters=study.point_of(point), seed=seed)
        seen = trainer.train(replace(run, validate_on=None, predict_on="test"))
        assert seen
        accuracies.append(seen.accuracy)
    return float(np.mean(accuracies))


def report(reached: dict[tuple[str, int], list[float]], completed: dict[tuple[str, int], list[int]]) -> None:
    for budget in BUDGETS:
        without = 100 * np.array(reached["none", budget])
        for way in WAYS:
            here = 100 * np.array(reached[way, budget])
            regret = without - here
            error = regret.std(ddof=1) / np.sqrt(len(regret))
            done = np.array(completed[way, budget])
            print(
                f"{budget} epochs in all, {way}: {here.mean():.2f} % on test, regret {regret.mean():+.2f} +- "
                f"{error:.2f} points; {done.mean():.1f} trials completed, fewer than three in {(done < 3).mean():.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
