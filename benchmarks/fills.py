"""What repeats cost in passes through frozen stages: the images of a dataset are carried once, whatever the split.

    python -m benchmarks.fills

Five splits of scikit-learn's digits (1,797 images), each with train, validation and test of its own, and for each the
features of CoAtNet mini: with the store as it is, where a new split is filled from what is stored of other ones; and
with splits that do not say of which dataset they are, as before. An empty store, one process.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import Tensor

from study.baselines.probe import run_of
from study.cluster import connection
from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import split
from study.design.recipes import RECIPES
from study.design.study import Study
from trainables import building, process
from trainables.features import features
from trainables.run import Model
from trainables.stages import StagedModel

GOAL = "five splits carry every image through the frozen stages once"
SPLITS = 5


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    connection.quieten()
    with connection.connected():
        found = {}
        for shared in (False, True):
            with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
                os.environ["STUDY_CACHE"] = folder
                found[shared] = filled(shared=shared)
                process.current().clear()
            rows, seconds = found[shared]
            print(f"round {'shared' if shared else 'as before'}: {rows:,} images carried, {seconds:.1f} s", flush=True)
    images = len(named.load("digits").labels)
    (before, took), (rows, seconds) = found[False], found[True]
    print(
        f"{SPLITS} splits of {images:,} images: {rows:,} carried through the frozen stages ({rows / images:.2f} "
        f"of each), {before:,} as before; {seconds:.1f} s instead of {took:.1f} s"
    )


def filled(*, shared: bool) -> tuple[int, float]:
    """Images that were carried, and the seconds of all."""
    study = Study("coatnet", "mini", "coatnet_mini.fashion60k", "digits", "bench", Path(), RECIPES["fair"])
    weights = connection.put(building.pretrained(study.architecture, study.pretrained_variant))
    model = Model(study.model, study.scale, study.variant, 10, weights)
    start = perf_counter()
    with counted() as rows:
        for seed in range(SPLITS):
            splits = split(named.load("digits"), seed=seed)
            run = run_of(model, splits, 0, "fp32")
            if not shared:
                digests = {name: replace(one, source="") for name, one in run.split_digests.items()}
                run = replace(run, split_digests=digests)
            features(run, datasets_of_study(splits, model.described.preprocessing, margin=False), os.cpu_count() or 1)
    return sum(rows), perf_counter() - start


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many rows each call of `frozen` carries from the images."""
    rows: list[int] = []
    carried: Any = StagedModel.frozen

    def frozen(self: StagedModel, start: int, stop: int, boundary: Tensor) -> Tensor:
        if start == 0 and stop:
            rows.append(len(boundary))
        out: Tensor = carried(self, start, stop, boundary)
        return out

    StagedModel.frozen = frozen  # type: ignore[method-assign]
    try:
        yield rows
    finally:
        StagedModel.frozen = carried  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
