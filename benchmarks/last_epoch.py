"""Which rule for the last epoch of a test run is as accurate as any, and steadier over searches.

    python -m benchmarks.last_epoch                       # head-only: whole studies
    python -m benchmarks.last_epoch --fine-tuned          # nothing frozen: replicates and tests of the starting point

Every mini model, 60 images of every class of Fashion-MNIST that no weights have seen, a split and a draw of its own for
each study. The winner's test runs train to the end of the schedule, and are tested after every epoch, which no study
does: the accuracy that a rule would have had is that of its epoch. Beside the mean over studies stands the standard
deviation between studies of one model, and the share of epochs that a rule trains. `--keep FILE` keeps what was seen.
"""

import argparse
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import _whole_studies
from benchmarks._whole_studies import MODELS, Trainer
from study.design.study import Study
from study.execution import evaluate
from study.execution.last_epoch import RULES, Curves
from study.files import replacing

GOAL = "as accurate as the best of them within its standard error, and the least spread between searches"
STUDIES = 10  # of each model


@dataclass(frozen=True)
class Seen:
    """Of one study: the winner's replicates on validation, and (seeds, epochs) accuracies of its test runs."""

    model: str
    replicates: Curves
    tests: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fine-tuned", action="store_true", help="nothing is frozen, and nothing searched")
    parser.add_argument("--studies", type=int, default=STUDIES, metavar="N", help="of each model (default %(default)s)")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, metavar="MODEL")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="of what was seen, which is not trained again")
    options = parser.parse_args()
    start = perf_counter()
    kept: dict[tuple[str, int], Seen] = {}
    if options.keep and options.keep.exists():
        kept = pickle.loads(options.keep.read_bytes())
    wanted = [(model, seed) for model in options.models for seed in range(options.studies)]
    for model, seed in wanted:
        if (model, seed) not in kept:
            kept[model, seed] = fine_tuned(model, seed) if options.fine_tuned else head_only(model, seed)
            print(f"round of {model}, study {seed}, after {perf_counter() - start:.0f} s", flush=True)
            if options.keep:
                with replacing(options.keep) as part:
                    part.write_bytes(pickle.dumps(kept))
    report([kept[one] for one in wanted])


def head_only(model: str, seed: int) -> Seen:
    done = _whole_studies.run(_whole_studies.described(model, seed=seed, split_seed=seed))
    winner = done.record.winner["trial_id"]
    ids = [row["run_id"] for row in done.record.runs if row["trial_id"] == winner]
    curves = [[epoch["val_accuracy"] for epoch in done.record.curve(run_id)] for run_id in ids]
    return Seen(model, curves, tested(done.study, dict(done.record.winner)))


def fine_tuned(model: str, seed: int) -> Seen:
    study = _whole_studies.described(model, seed=seed, split_seed=seed, fixed={"freeze_depth": 0}, seeds=2)
    trainer = Trainer(study, _whole_studies.splits_of(study))
    curves = []
    for number in study.replicate_seeds:
        _, curve = trainer.recorded(replace(trainer.template, run_id=f"replicate-{number}", seed=number))
        curves.append([epoch["val_accuracy"] for epoch in curve])
    return Seen(model, curves, tested(study, {**trainer.template.hyperparameters.__dict__}))


def tested(study: Study, point: dict[str, object]) -> np.ndarray:
    """The accuracy after every epoch of the test runs of a point."""
    trainer = Trainer(study, _whole_studies.splits_of(study))
    winner = {**point, "last_epoch": study.recipe.epochs}
    each = []
    for _, run in evaluate.test_runs(study, winner, trainer.template).values():
        _, curve = trainer.recorded(replace(run, validate_on="test", predict_on=None))
        each.append([epoch["val_accuracy"] for epoch in curve])
    return np.array(each)


def report(found: Sequence[Seen]) -> None:
    models = list(dict.fromkeys(one.model for one in found))
    reached: dict[str, np.ndarray] = {}
    for name, rule in RULES.items():
        epochs = [rule(one.replicates) for one in found]
        reached[name] = np.array([100 * one.tests[:, last - 1].mean() for one, last in zip(found, epochs, strict=True)])
        spread = [reached[name][[one.model == model for one in found]].std(ddof=1) for model in models]
        beyond = reached[name] - reached["median of best"]
        each = ", ".join(f"{model} {one:.2f}" for model, one in zip(models, spread, strict=True))
        error = beyond.std(ddof=1) / np.sqrt(len(beyond))
        print(
            f"{name}: {reached[name].mean():.2f} %, {beyond.mean():+.2f} +- {error:.2f} beside the median of best; "
            f"between studies sd {np.sqrt(np.mean(np.square(spread))):.2f} ({each}); "
            f"last epoch {np.mean(epochs):.1f} (sd {np.std(epochs):.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
