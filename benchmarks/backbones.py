"""What a trial of a model whose stages were found costs besides its training, beside one whose stages are written.

    python -m benchmarks.backbones

The same one-epoch trials of the head alone on digits, one at a time, of the mini ResNet and of timm's test_resnet at
64 px, in turns in one run of Ray. The cost of a trial is as in `benchmarks.orchestration`: the slope of the wall clock
between a short and a longer search, less the training and evaluation that the trials measured. Only the head is
trained, for the noise of a second of training hides what takes hundredths. Finding the stages is done before.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks._searching import all_digits, ray_with_a_store, searched
from benchmarks.orchestration import described, slope
from study.data.splits import DatasetSplits
from study.design.study import Study
from trainables import architecture

GOAL = "a ratio of at most 1.1"

ROUNDS = 5
FOUND = "timm/test_resnet"
TRIALS = (10, 110)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    variant = architecture.get(FOUND).variant("mini", "none")
    written = described(trials=1)
    found = replace(written, model=FOUND, variant=variant.name, results=Path())
    with ray_with_a_store():
        splits = all_digits()
        pairs = []
        for turn in range(ROUNDS):
            theirs, ours = (
                slope(TRIALS, lambda trials, one=one: besides(one, trials, splits)) for one in (written, found)
            )
            pairs.append((ours, theirs))
            print(
                f"round {turn + 1}: found {ours:.3f} s a trial, written {theirs:.3f} s, {ours / theirs:.2f} x",
                flush=True,
            )
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    print(f"median of {ROUNDS}: found {ours:.3f} s a trial, written {theirs:.3f} s, ratio {ours / theirs:.2f}")


def besides(study: Study, trials: int, splits: DatasetSplits) -> float:
    """Wall clock of a search of heads less what its trials spent in training and evaluation."""
    heads = replace(study, trials=trials, fixed={"freeze_depth": study.backbone_stages})
    result = searched(heads, splits, boundaries="on", trials=trials, threads=1)
    return result.seconds - sum(row["seconds"] for row in result.record.curves)


if __name__ == "__main__":
    main()
