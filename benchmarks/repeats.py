"""How often intervals and differences over repeats are wrong, on simulated studies whose truth is known.

    python -m benchmarks.repeats

An answer is right where a sum of normal variates is above 0: the model's, the repeat's (its search and draw), the
seed's, the image's, and what is left. Two equal models share most of what makes an image hard. Either all repeats have
one test set; or each has a fifth of the images of one dataset, and what its training sets have in common is a fifth of
the variance between repeats (Nadeau and Bengio's correlation), which no repeat can see. A second replication of the
same data is asked for its difference. 400 studies for each line; a rate has a standard error of some 1 %. About five
minutes on one core.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np
from scipy.stats import norm

from study.statistics.repeats import Design, accuracy_of_repeats, difference_of_repeats

GOAL = "at most 5 % of equal models called different; 93 to 97 % of intervals hold the truth, and `again` a replication"
STUDIES, REPEATS, IMAGES = 400, (2, 3, 5, 10), (360, 2500)
SPREADS = (0.0, 0.001, 0.003, 0.006)  # standard deviation of the accuracy over repeats
SEEDS, SPREAD_OF_SEEDS, ACCURACY, SHARED, HARDNESS = 3, 0.002, 0.9, 0.7, 0.7
TEST_SHARE = 0.2
LEVEL = float(norm.ppf(ACCURACY))
POINT = float(norm.pdf(LEVEL))  # what a variate of 1 changes the accuracy by


@dataclass
class Data:
    """What a dataset is: how hard its images are for two models, and what all of its training sets have in common."""

    hard: np.ndarray
    common: np.ndarray
    same_images: bool
    images: int
    generator: np.random.Generator

    @classmethod
    def drawn(cls, images: int, generator: np.random.Generator, *, same_images: bool) -> "Data":
        whole = images if same_images else round(images / TEST_SHARE)
        shared = generator.standard_normal(whole)
        hard = [sqrt(SHARED) * shared + sqrt(1 - SHARED) * generator.standard_normal(whole) for _ in range(2)]
        common = sqrt(TEST_SHARE) * generator.standard_normal(2) if not same_images else np.zeros(2)
        return cls(np.array(hard), common, same_images, images, generator)

    def replication(self, repeats: int, spread: float) -> tuple[list[list[np.ndarray]], Design]:
        """The answers of both models in some repeats."""
        draw, whole = self.generator, self.hard.shape[1]
        index = [
            np.arange(whole) if self.same_images else draw.choice(whole, self.images, replace=False)
            for _ in range(repeats)
        ]
        own = 1.0 if self.same_images else sqrt(1 - TEST_SHARE)
        models = []
        for hard, common in zip(self.hard, self.common, strict=True):
            levels = LEVEL + spread / POINT * (common + own * draw.standard_normal(repeats))
            models.append([self.answers(level, hard[rows]) for level, rows in zip(levels, index, strict=True)])
        return models, Design.of(index, round(self.images * (1 - TEST_SHARE) / TEST_SHARE))

    def answers(self, level: float, hard: np.ndarray) -> np.ndarray:
        draw = self.generator
        seeds = SPREAD_OF_SEEDS / POINT * draw.standard_normal((SEEDS, 1))
        left = sqrt(1 - HARDNESS) * draw.standard_normal((SEEDS, len(hard)))
        right: np.ndarray = level + seeds + sqrt(HARDNESS) * hard + left > 0
        return right


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for same_images, repeats in product((True, False), REPEATS):
        found = []
        for images, spread in product(IMAGES, SPREADS):
            found.append(rates(images, repeats, spread, same_images=same_images))
            print(
                f"round: {images} images, repeats that differ by {100 * spread:.1f} points: {told([found[-1]])}",
                flush=True,
            )
        title = "one test set" if same_images else "a test set for each"
        print(f"{repeats} repeats, {title}: {told(found)}", flush=True)


def rates(images: int, repeats: int, spread: float, *, same_images: bool, studies: int = STUDIES) -> Sequence[float]:
    """Shares: equal models told apart, accuracy covered, another replication's difference held."""
    generator = np.random.default_rng([images, repeats, round(1e4 * spread), same_images])
    outcomes = []
    for _ in range(studies):
        data = Data.drawn(images, generator, same_images=same_images)
        (a, b), design = data.replication(repeats, spread)
        (c, d), _ = data.replication(repeats, spread)
        found, low_high = difference_of_repeats(a, b, design), accuracy_of_repeats(a, design)
        assert found.again
        other = difference_of_repeats(c, d, design).mean
        outcomes.append(
            (
                not found.interval.low <= 0 <= found.interval.high,
                low_high.low <= ACCURACY <= low_high.high,
                found.again.low <= other <= found.again.high,
            )
        )
    return [float(share) for share in np.mean(outcomes, axis=0)]


def told(found: Sequence[Sequence[float]]) -> str:
    apart, covered, held = np.array(found).T
    return (
        f"equal models called different {apart.mean():.1%} (worst setting {apart.max():.1%}); accuracy covered "
        f"{covered.mean():.1%} ({covered.min():.1%} to {covered.max():.1%}); another's difference held "
        f"{held.mean():.1%}"
    )


if __name__ == "__main__":
    main()
