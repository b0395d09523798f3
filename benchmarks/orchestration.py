"""What a trial costs besides its training: ours beside the pattern of Ray's documentation.

    python -m benchmarks.orchestration

Both run the same one-epoch trials of the mini ResNet on digits, one at a time, through Ray Tune, in turns. The cost
of a trial is the slope of the wall clock between a short and a longer search, less the training and evaluation that
the trials themselves measured: so Ray's start and the first process's imports, paid once, are in neither figure.

- documented: a Tune function that starts a TorchTrainer with a worker group of one, and reports through
  TuneReportCallback (Ray's user guide, "Hyperparameter Tuning with Ray Tune")
- ours: study.search, local mode in a warm process
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import uuid4

from ray import tune

from benchmarks._documented import train_by_ray
from benchmarks._searching import all_digits, ray_with_a_store, searched
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits
from study.design.recipes import RECIPES
from study.design.study import Study
from trainables.run import Model, Run
from trainables.splits import ImagesKey

GOAL = "at most 0.25 s a trial, at least 50 x less than the documented pattern"

ROUNDS = 3
OURS = (4, 24)
DOCUMENTED = (1, 3)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with ray_with_a_store():
        splits = all_digits()
        study = described(trials=1)
        data = datasets_of_study(splits, study.pretrained_variant.preprocessing, margin=False)
        model = Model(study.model, study.scale, study.variant, len(splits.source.classes))
        run = Run("", model, study.point({}), study.recipe, seed=0, split_digests=splits.digests())
        pairs = []
        for turn in range(ROUNDS):
            ours = slope(OURS, lambda trials: our_search(trials, splits))
            theirs = slope(DOCUMENTED, lambda trials: documented_search(trials, run, data))
            pairs.append((ours, theirs))
            spent = f"ours {ours:.3f} s a trial, documented {theirs:.2f} s a trial"
            print(f"round {turn + 1}: {spent}, {theirs / ours:.0f} x", flush=True)
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    ratio = median(documented / own for own, documented in pairs)
    print(f"median of {ROUNDS}: ours {ours:.3f} s, documented {theirs:.2f} s, {ratio:.0f} x less")


def slope(sizes: tuple[int, int], run: Any) -> float:
    """Seconds a trial besides its own training, from a short and a longer search."""
    (few, few_seconds), (many, many_seconds) = ((trials, run(trials)) for trials in sizes)
    return (many_seconds - few_seconds) / (many - few)


def described(trials: int) -> Study:
    recipe = replace(RECIPES["fair"], epochs=1)
    return Study(
        "resnet", "mini", "resnet_mini", "digits", "bench", Path(), recipe, trials=trials, early_stopping="none"
    )


def our_search(trials: int, splits: DatasetSplits) -> float:
    """Wall clock of our search less what its trials spent in training and evaluation."""
    ours = searched(described(trials), splits, boundaries="on", trials=trials, threads=1)
    return ours.seconds - sum(row["seconds"] for row in ours.record.curves)


def documented_search(
    trials: int, run: Run, data: dict[ImagesKey, Any], *, workers: int = 1, cpus: float = 0.5
) -> float:
    """The same trials as Ray's documentation would run them, less what they spent in training and evaluation."""

    def trial(config: dict[str, Any]) -> None:
        point = replace(
            run.hyperparameters,
            lr=config["lr"],
            weight_decay=config["weight_decay"],
            freeze_depth=int(config["freeze_depth"]),
        )
        outcome = train_by_ray(replace(run, hyperparameters=point), data, workers=workers, cpus=cpus)
        (spent / uuid4().hex).write_text(str(sum(epoch.seconds for epoch in outcome.epochs)))

    with tempfile.TemporaryDirectory() as folder:
        spent = Path(folder) / "spent"
        spent.mkdir()
        start = perf_counter()
        results = tune.Tuner(
            tune.with_resources(trial, {"CPU": 0.1}),
            param_space={"lr": tune.loguniform(1e-4, 1e-2), "weight_decay": 1e-2, "freeze_depth": tune.randint(0, 6)},
            tune_config=tune.TuneConfig(metric="val_accuracy", mode="max", num_samples=trials, max_concurrent_trials=1),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        assert results.num_errors == 0
        seconds = [float(path.read_text()) for path in spent.iterdir()]
        assert len(seconds) == trials
        return perf_counter() - start - sum(seconds)


if __name__ == "__main__":
    main()
