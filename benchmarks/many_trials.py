"""What a trial costs in a search of a thousand, beside a search of 32: nothing may grow with the number of trials.

    python -m benchmarks.many_trials

Trials of one epoch of a head on stored features of the mini CoAtNet, one at a time, on a small part of digits: as close
to nothing as a trial gets. Seconds a trial are those between the first and the last trial's row in the record, so the
start of the first process is in neither figure.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks._searching import ray_with_a_store, searched, some_digits
from study.design.recipes import RECIPES
from study.design.study import Study

GOAL = "at most 1.3 x"

FEW, MANY, ROUNDS = 32, 1000, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=MANY)
    many = parser.parse_args().many
    recipe = replace(RECIPES["fair"], epochs=1)
    study = Study("coatnet", "mini", "coatnet_mini", "digits", "bench", Path(), recipe, early_stopping="none")
    study = replace(study, fixed={"freeze_depth": study.backbone_stages})
    with ray_with_a_store():
        images = some_digits(100)
        ratios = []
        for turn in range(ROUNDS):
            few, lots = (searched(study, images, boundaries="on", trials=n, threads=1).pace for n in (FEW, many))
            ratios.append(lots / few)
            print(f"round {turn + 1}: {FEW} trials {few:.3f} s each, {many} trials {lots:.3f} s each", flush=True)
    print(f"median of {ROUNDS}: a trial of {many} takes {median(ratios):.2f} x that of one of {FEW}")


if __name__ == "__main__":
    main()
