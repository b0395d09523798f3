"""A search over freeze depths as well, with the boundary store and without it.

    python -m benchmarks.mixed_depths mini     # the mini CoAtNet, the default space, all digits
    python -m benchmarks.mixed_depths late     # CoAtNet-1 at 224 px, training at most its last two backbone stages

32 trials of 5 epochs, no early stopping, one trial at a time on all cores, Ray already started, an empty store before
each search. Both sides try the same points; what the depths that they tried allow by their FLOPs, validation included,
is printed beside. At 224 px there are 48 digits and random weights; without the store one trial of each of the three
freeze depths is measured and scaled to the depths that the other side tried.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, median

from benchmarks._searching import Searched, all_digits, emptied, ray_with_a_store, searched, some_digits
from study.design.recipes import RECIPES
from study.design.space import Range, Space
from study.design.study import Study
from study.results import cost
from trainables.hyperparameters import Value

GOAL = "mini: at least 2 x less; late: at least 5 x less"

THREADS = os.cpu_count() or 1
TRIALS, EPOCHS, ROUNDS = 32, 5, 3
LATE_IMAGES = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["mini", "late"])
    with ray_with_a_store() as store:
        for which in parser.parse_args().which:
            ratios, allowed = [], 0.0
            for turn in range(ROUNDS):
                emptied(store)
                on, off, allowed = {"mini": mini, "late": late}[which]()
                ratios.append(off / on)
                print(f"{which}, round {turn + 1}: on {on:.0f} s, off {off:.0f} s: {off / on:.2f} x less", flush=True)
            reached = f"{median(ratios):.2f} x less wall clock than --boundaries off"
            print(f"{which}, median of {ROUNDS}: {reached}; FLOPs at the depths that were tried: {allowed:.2f} x less")


def mini() -> tuple[float, float, float]:
    recipe = replace(RECIPES["fair"], epochs=EPOCHS)
    variant = "coatnet_mini.fashion60k"
    study = Study("coatnet", "mini", variant, "digits", "bench", Path(), recipe, early_stopping="none")
    on, off = (searched(study, all_digits(), boundaries=mode, trials=TRIALS, threads=THREADS) for mode in ("on", "off"))
    return on.seconds, off.seconds, by_flops(study, on)


def by_flops(study: Study, searched: Searched) -> float:
    """What the frozen stages take of all epochs, at the depths of a search; for four training images one validates."""
    counted = cost.flops(study.model, study.scale, study.variant, 10)
    depths = [row["freeze_depth"] for row in searched.record.trials]

    def total(*, stored: bool) -> float:
        training = sum(counted.training(depth, stored=stored) for depth in depths)
        validation = sum(counted.forward * (1 - stored * counted.frozen_share(depth)) for depth in depths) / 4
        return training + validation

    return total(stored=False) / total(stored=True)


class Late(Study):
    """A study that trains at most its last two backbone stages."""

    @cached_property
    def space(self) -> Space:
        last = self.backbone_stages
        return {**super().space, "freeze_depth": Range(last - 2, last)}

    @cached_property
    def paper(self) -> Mapping[str, Value]:
        return {**super().paper, "freeze_depth": self.backbone_stages}


def late() -> tuple[float, float, float]:
    recipe = replace(RECIPES["fair"], epochs=EPOCHS).with_settings(batch_size=16)
    study = Study("coatnet", "paper", "coatnet_1_rw_224", "digits", "bench", Path(), recipe, early_stopping="none")
    last = study.backbone_stages
    images = some_digits(LATE_IMAGES)

    def at(depth: int, mode: str, trials: int) -> Searched:
        fixed = replace(study, fixed={"freeze_depth": depth})
        return searched(fixed, images, boundaries=mode, trials=trials, threads=THREADS)

    on = searched(
        Late(**{field.name: getattr(study, field.name) for field in fields(study)}),
        images,
        boundaries="on",
        trials=TRIALS,
        threads=THREADS,
    )
    off = {depth: at(depth, "off", 1) for depth in range(last - 2, last + 1)}
    start = fmean(one.seconds - one.trial_seconds for one in off.values())
    tried = [row["freeze_depth"] for row in on.record.trials]
    return on.seconds, start + sum(off[depth].trial_seconds for depth in tried), by_flops(study, on)


if __name__ == "__main__":
    main()
