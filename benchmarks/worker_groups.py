"""What a trial of two workers costs besides its training: in our warm group beside Ray Train's worker group.

    python -m benchmarks.worker_groups

Both run the same one-epoch trials of the mini ResNet on digits, each shared by two workers with gloo, one trial at a
time through Ray Tune. The cost of a trial is what it takes after the first one, less the training and evaluation that
its first worker measured; of Ray Train's, whose trials are long, it is the slope of the wall clock between a short and
a longer search. Ray Train starts a controller and new workers for every trial; ours are those of the trial before.
"""

import argparse
from statistics import median

from benchmarks._searching import all_digits, ray_with_a_store, searched
from benchmarks.orchestration import described, documented_search, slope
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits
from trainables.resources import Resources
from trainables.run import Model, Run

GOAL = "at most 1 s a trial after the first, at least 10 x less than Ray Train's worker group"

ROUNDS = 2
OURS = 10
RAYS = (1, 2)
WORKERS, CPUS = 2, 0.4


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with ray_with_a_store():
        splits = all_digits()
        study = described(trials=1)
        images = datasets_of_study(splits, study.pretrained_variant.preprocessing, margin=False)
        model = Model(study.model, study.scale, study.variant, len(splits.source.classes))
        run = Run("", model, study.point({}), study.recipe, seed=0, split_digests=splits.digests())
        pairs = []
        for turn in range(ROUNDS):
            ours = our_search(splits)
            rays = slope(RAYS, lambda trials: documented_search(trials, run, images, workers=WORKERS, cpus=CPUS))
            pairs.append((ours, rays))
            spent = f"ours {ours:.3f} s a trial, Ray Train's {rays:.2f} s a trial"
            print(f"round {turn + 1}: {spent}, {rays / ours:.0f} x", flush=True)
    ours, rays = (median(side) for side in zip(*pairs, strict=True))
    ratio = median(theirs / own for own, theirs in pairs)
    print(f"median of {ROUNDS}: ours {ours:.3f} s, Ray Train's {rays:.2f} s, {ratio:.0f} x less")


def our_search(splits: DatasetSplits) -> float:
    """Seconds between the ends of trials, from the first on, less what they spent in training and evaluation."""
    together = Resources(workers=WORKERS, cpus=CPUS)
    ours = searched(described(OURS), splits, boundaries="on", trials=OURS, threads=1, resources=together)
    later = [row["trial_id"] for row in ours.record.trials][1:]
    spent = sum(epoch["seconds"] for trial in later for epoch in ours.record.curve(trial))
    return ours.pace - spent / len(later)


if __name__ == "__main__":
    main()
