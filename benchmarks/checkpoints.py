"""What checkpoints cost: a training that is kept every 30 s beside one that never is; and one checkpoint of each model.

    python -m benchmarks.checkpoints
    python -m benchmarks.checkpoints --models        # only the training

First the mini ResNet on digits, fully fine-tuned on one thread for 35 s, with and without, in turns. Then the models of
the paper scale, all of each trained with AdamW: three steps on two images, each of them kept, on this disk. A model
whose checkpoint takes longer than 0.3 s is kept less often than every 30 s, so that it takes 1 % of the time as well.
"""

import argparse
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from benchmarks.training_loop import FP32, POINT, digits, untrained
from study.design.recipes import RECIPES
from trainables import architecture, building
from trainables.batches import CachedSplit
from trainables.checkpoint import SHARE, Keeper
from trainables.checkpoint_folder import Checkpoints
from trainables.loop import Training, fit
from trainables.stages import StagedModel
from trainables.world import World

GOAL = "at most 1.01 x the time without"

ROUNDS, SECONDS, EVERY = 3, 35.0, 30.0
STEPS, IMAGES = 3, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = architecture.names()
    parser.add_argument("--models", nargs="*", choices=names, default=names, help="of the paper scale; all by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    split, ratios, shares = digits(), [], []
    for turn in range(ROUNDS):
        none, some = (kept(untrained("resnet"), split, every, seconds=SECONDS) for every in (inf, EVERY))
        ratios.append(some.seconds_a_step / none.seconds_a_step)
        shares.append(some.keeping / some.seconds)
        print(
            f"round {turn + 1}: a step {none.seconds_a_step * 1000:.2f} ms without, {some.seconds_a_step * 1000:.2f} "
            f"with checkpoints, which took {some.keeping:.3f} s of {some.seconds:.0f} s",
            flush=True,
        )
    print(
        f"median of {ROUNDS}: with a checkpoint every {EVERY:g} s {median(ratios):.3f} x the time without; "
        f"keeping took {median(shares):.3%} of the time",
        flush=True,
    )
    for name in given.models:
        variant = architecture.get(name).variant("paper", "none")
        model = building.assemble(architecture.get(name), variant, 10).to(memory_format=torch.channels_last)
        cost = kept(model, random_images(variant.preprocessing.size), 0.0, steps=STEPS)
        each = cost.keeping / STEPS
        print(
            f"{variant.name}: {cost.bytes / 1e6:.0f} MB in {each:.2f} s, every {max(EVERY, SHARE * each):.0f} s: "
            f"{each / max(EVERY, SHARE * each):.2%} of the time",
            flush=True,
        )


@dataclass(frozen=True)
class Cost:
    """Of a training: its seconds and its steps, the seconds of them for checkpoints, and the bytes of the last."""

    seconds: float
    steps: int
    keeping: float
    bytes: int

    @property
    def seconds_a_step(self) -> float:
        return self.seconds / self.steps


class Enough(Exception):
    pass


def kept(model: StagedModel, split: CachedSplit, every: float, *, seconds: float = inf, steps: float = inf) -> Cost:
    """A training of so many seconds or steps."""
    done = 0
    with TemporaryDirectory(dir=".") as folder:
        checkpoints = Checkpoints(Path(folder) / "kept", every=every)
        keeper = Keeper(checkpoints, "run", "this", POINT, World(), FP32.device, describe=dict)
        keeper.load()
        start = perf_counter()

        def after_step(training: Training) -> None:
            nonlocal done
            keeper.after_step(training)
            done += 1
            if perf_counter() - start >= seconds or done >= steps:
                raise Enough

        with suppress(Enough):
            fit(
                model,
                split,
                None,
                hyperparameters=replace(POINT, batch_size=min(POINT.batch_size, len(split))),
                recipe=replace(RECIPES["fair"], epochs=10_000),
                precision=FP32,
                seed=0,
                report=lambda epoch: None,
                after_step=after_step,
            )
        return Cost(perf_counter() - start, done, keeper.seconds, len(checkpoints.read("run") or b""))


def random_images(size: int) -> CachedSplit:
    return CachedSplit(
        torch.randint(0, 256, (IMAGES, 3, size, size), dtype=torch.uint8), torch.arange(IMAGES), np.arange(IMAGES)
    )


if __name__ == "__main__":
    main()
