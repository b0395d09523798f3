"""Which runs tell how accuracy depends on the amount of data: images of every class, freeze depths, seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from study.data.splits import DatasetSplits, subset
from study.design.study import Study
from study.options.arguments import ALL
from study.results.record import Row
from trainables.run import Run

MOST_EPOCHS = 100  # measured: docs/protocol.md


@dataclass(frozen=True)
class Amount:
    """So many images of every class, None for all of train; and how many images that is."""

    images_per_class: int | None
    images: int


@dataclass(frozen=True)
class Planned:
    """One run; its seed draws the images too."""

    amount: Amount
    freeze_depth: int
    seed: int

    @property
    def run_id(self) -> str:
        images = self.amount.images_per_class or ALL
        return f"data_efficiency-{images}-depth{self.freeze_depth}-seed{self.seed}"


def plan(study: Study, amounts: Sequence[Amount], depths: Sequence[int]) -> list[Planned]:
    """A run for every amount, freeze depth and seed."""
    return [Planned(amount, depth, seed) for amount in amounts for depth in depths for seed in study.test_seeds]


def amounts(splits: DatasetSplits, chosen: Sequence[int | None] | None) -> list[Amount]:
    """What was chosen, or else the ladder; the fewest images first, each once. Raises ValueError."""
    classes, everything = len(splits.source.classes), len(splits.train)
    found = {}
    for n in chosen or ladder(splits):
        subset(splits, images_per_class=n)  # raises where no class may have so many
        images = everything if n is None else n * classes
        found[images] = Amount(None if images == everything else n, images)
    return [found[images] for images in sorted(found)]


def ladder(splits: DatasetSplits) -> list[int | None]:
    """1, 2, 5, 10, 20, 50... up to the smallest class, and everything."""
    smallest = np.bincount(splits.source.labels[splits.train]).min()
    steps = [step * 10**power for power in range(8) for step in (1, 2, 5)]
    return [*(n for n in steps if n <= smallest), None]


def depths(asked: Sequence[str], study: Study, winner: Row) -> list[int]:
    """Freeze depths from `winner`, `all` and numbers. Raises ValueError."""
    named = {"winner": winner["freeze_depth"], ALL: study.backbone_stages}
    found = set()
    for depth in asked:
        if depth not in named and not (depth.isdecimal() and int(depth) <= study.backbone_stages):
            raise ValueError(
                f"{study.folder}: freeze-depths are winner, all, or 0 to {study.backbone_stages}, got {depth!r}"
            )
        found.add(named[depth] if depth in named else int(depth))
    return sorted(found)


def epochs(schedule: int, last: int, *, batch_size: int, images: int, of: int) -> tuple[int, int]:
    """Epochs of the schedule and the last one that is trained, for a part of the images.

    As many optimiser steps as `schedule` and `last` epochs of all images are; but at most MOST_EPOCHS epochs, unless
    the study itself has more.
    """
    as_many_steps = round(schedule * steps(of, batch_size) / steps(images, batch_size))
    longer = max(schedule, min(as_many_steps, MOST_EPOCHS))
    return longer, max(1, round(last * longer / schedule))


def steps(images: int, batch_size: int) -> int:
    """Of an epoch."""
    return ceil(images / batch_size)


def run(planned: Planned, study: Study, splits: DatasetSplits, winner: Row, template: Run) -> Run:
    """The winner's hyperparameters on a part of train; it looks at validation and at the test set once, at its end."""
    images_per_class, images = planned.amount.images_per_class, planned.amount.images
    point = study.point_of(winner)
    size, everything = point.batch_size, len(splits.train)
    longer, last = epochs(study.recipe.epochs, winner["last_epoch"], batch_size=size, images=images, of=everything)
    chosen = subset(splits, images_per_class=images_per_class, seed=planned.seed).chosen
    return replace(
        template,
        run_id=planned.run_id,
        hyperparameters=replace(point, freeze_depth=planned.freeze_depth),
        recipe=replace(study.recipe, epochs=longer),
        last_epoch=last,
        seed=planned.seed,
        split_digests={**template.split_digests, "train": replace(template.split_digests["train"], chosen=chosen)},
        validate_every_epoch=False,
        predict_on="test",
    )
