"""A search over heads on a frozen ViT-S/16 at 224 px, with the boundary store and without it.

    python -m benchmarks.head_only

32 trials of 5 epochs, no early stopping, random weights, 400 of scikit-learn's digits at 224 px, one trial at a time on
all cores, Ray already started, an empty store. Without the store one trial is measured, and 31 more of what it took
itself are added. The plain forward pass is the backbone over the same 400 images in batches of 64, in this process.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from benchmarks._searching import emptied, ray_with_a_store, searched, some_digits
from study.data.reading import prepare
from study.data.splits import DatasetSplits
from study.design.recipes import RECIPES
from study.design.study import Study
from trainables import building
from trainables.decoded import load_in_memory
from trainables.precision import precision

GOAL = "at least 50 x less wall clock than without the store; at most 1.5 plain forward passes"

TRIALS, EPOCHS, IMAGES, ROUNDS = 32, 5, 400, 3
THREADS = os.cpu_count() or 1


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with ray_with_a_store() as store:
        splits, study = some_digits(IMAGES), described()
        rounds = []
        for turn in range(ROUNDS):
            emptied(store)
            on = searched(study, splits, boundaries="on", trials=TRIALS, threads=THREADS).seconds
            one = searched(study, splits, boundaries="off", trials=1, threads=THREADS)
            off = one.seconds + (TRIALS - 1) * one.trial_seconds
            plain = forward_pass(study, splits)
            rounds.append((off / on, on / plain))
            print(
                f"round {turn + 1}: on {on:.1f} s, off {off:.0f} s, one forward pass {plain:.1f} s: "
                f"{off / on:.0f} x less, {on / plain:.2f} forward passes",
                flush=True,
            )
    less, passes = (median(side) for side in zip(*rounds, strict=True))
    print(f"median of {ROUNDS}: {less:.0f} x less wall clock than --boundaries off; {passes:.2f} plain forward passes")


def described() -> Study:
    recipe = replace(RECIPES["fair"], epochs=EPOCHS)
    study = Study("vit", "paper", "vit_small_patch16_224", "digits", "bench", Path(), recipe, early_stopping="none")
    return replace(study, fixed={"freeze_depth": study.backbone_stages})


def forward_pass(study: Study, splits: DatasetSplits) -> float:
    """Seconds of the backbone over the images, which are in memory."""
    torch.set_num_threads(THREADS)
    variant = study.pretrained_variant
    images = [
        load_in_memory(dataset).images for dataset in prepare(splits, variant.preprocessing, ("train", "val")).values()
    ]
    model = building.assemble(study.architecture, variant, 10).to(memory_format=torch.channels_last).eval()
    choice = precision("auto", torch.device("cpu"))
    batches = torch.cat(images).split(64)
    with torch.inference_mode(), choice.autocast():
        model.between(0, model.backbone_stages, batches[-1])
        start = perf_counter()
        for batch in batches:
            model.between(0, model.backbone_stages, batch)
        return perf_counter() - start


if __name__ == "__main__":
    main()
