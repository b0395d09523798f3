"""How often the intervals and the test of `study.statistics` are wrong, on simulated studies whose truth is known.

    python -m benchmarks.calibration

An answer is right where the sum of four normal variates is above 0: the model's, the seed's, the image's, and what is
left. So the expected accuracy of a recipe is known exactly. Two models share most of what makes an image hard. Goals:
of equal models at most 5 % are called different; intervals cover the truth in 93 to 97 % of studies. Settings with
fewer than five wrong answers are counted apart: there are too few outcomes to come near 5 %.
A rate of one setting has a standard error of 0.6 %, so the worst of many lies beyond its truth. About a minute on one
core.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt
from time import perf_counter
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from study.statistics import expected_best, score_intervals
from study.statistics.comparison import SIGNIFICANCE, contrast_variance, difference_bounds
from study.statistics.intervals import accuracy_bounds
from study.statistics.stability import Seeds, unstable

GOAL = "at most 5 % false positives, 93 to 97 % coverage"

IMAGES, SEEDS, ACCURACIES = (100, 360, 1000, 6000), (3, 5, 10), (0.6, 0.9, 0.98)
SPREADS = (0.0, 0.002, 0.01, 0.02)  # standard deviation of the accuracy over seeds
HARDNESS = (0.4, 0.7, 0.95)  # how much of an answer the image decides
SHARED = 0.7  # how much of what makes an image hard two models share
STUDIES, AT_ONCE = 1200, 50
AHEAD, POWER_STUDIES = (0.005, 0.01, 0.02, 0.03), 400
CLASSES, SCORED_STUDIES = 10, 400
BAD, DROP = 0.1, 0.04  # how many seeds are bad, and by how much
TRIALS, SEARCHES = 20, 2000


@dataclass(frozen=True)
class Truth:
    """Two recipes on one test set; the second is more accurate by `ahead`, and a share of its seeds may be bad."""

    images: int
    accuracy: float
    spread: float
    hardness: float
    ahead: float = 0.0
    spread_of_second: float | None = None
    bad: float = 0.0

    def levels(self, accuracy: float, bad: np.ndarray) -> np.ndarray:
        """Of seeds of which some are bad, so that all of them together have the accuracy."""
        apart = norm.ppf(accuracy) - norm.ppf(accuracy - DROP)

        def expected(good: float) -> float:
            return float((1 - self.bad) * norm.cdf(good) + self.bad * norm.cdf(good - apart) - accuracy)

        good = brentq(expected, norm.ppf(accuracy), norm.ppf(accuracy) + apart)
        return np.where(bad, good - apart, good)


@dataclass(frozen=True)
class Rates:
    """What share of simulated studies covered the accuracy and the difference, and told the models apart."""

    truth: Truth
    seeds: int
    accuracy: float
    difference: float
    told_apart: float


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    start = perf_counter()
    usual: list[Rates] = []
    few: list[Rates] = []
    for turn, images in enumerate(IMAGES, 1):
        for truth in settings(images):
            (few if images * (1 - truth.accuracy) < 5 else usual).extend(rates(truth, STUDIES))
        print(f"round {turn}: {images} images, after {perf_counter() - start:.0f} s", flush=True)
    for seeds in SEEDS:
        report(f"{seeds} seeds", (one for one in usual if one.seeds == seeds))
    for images in IMAGES:
        report(f"{images} images", (one for one in usual if one.truth.images == images))
    report("seeds alike", (one for one in usual if one.truth.spread == 0))
    report("seeds differ", (one for one in usual if one.truth.spread > 0))
    report("all of these", usual)
    report("fewer than 5 errors", few)
    f1, recall = scored()
    print(f"coverage of macro-F1 {f1:.1%}, of mean class accuracy {recall:.1%} (360 images, 3 seeds, accuracy 90 %)")
    for seeds in SEEDS:
        print(f"false positives of gains, {seeds} seeds: {gained(seeds):.1%}", flush=True)
    for images in (1000, 6000):
        unstable_models(images)
    bands()
    for images in (360, 1000, 6000):
        power(images)


def settings(images: int) -> Iterator[Truth]:
    for accuracy, spread, hardness in product(ACCURACIES, SPREADS, HARDNESS):
        vary_beyond_100 = accuracy == 0.98 and spread == 0.02
        slow = images == 6000 and hardness != 0.7
        if not (vary_beyond_100 or slow):
            yield Truth(images, accuracy, spread, hardness)


def rates(truth: Truth, studies: int) -> list[Rates]:
    """One for each number of seeds: the first ones of those that were simulated."""
    generator = np.random.default_rng([truth.images, round(1000 * truth.accuracy), round(1000 * truth.spread)])
    batches = [(seeds, outcome(truth, seeds, a, b)) for a, b in answers(truth, studies, generator) for seeds in SEEDS]
    return [
        Rates(truth, seeds, *np.mean([outcomes for of, outcomes in batches if of == seeds], axis=0)) for seeds in SEEDS
    ]


def answers(truth: Truth, studies: int, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(studies, seeds, images) bool of the two models, some studies at a time."""

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, dtype=np.float32)

    for _ in range(studies // AT_ONCE):
        shared = normal(AT_ONCE, 1, truth.images)
        both: list[np.ndarray] = []
        second = truth.spread if truth.spread_of_second is None else truth.spread_of_second
        for accuracy, spread in ((truth.accuracy, truth.spread), (truth.accuracy + truth.ahead, second)):
            of_seed = float(spread / norm.pdf(norm.ppf(accuracy))) ** 2  # variances, which add to 1
            level: Any = norm.ppf(accuracy)
            if truth.bad and both:  # the second model has bad seeds, and in the mean the same accuracy
                level = truth.levels(accuracy, generator.random((AT_ONCE, SEEDS[-1], 1)) < truth.bad)
            of_image = truth.hardness * (1 - of_seed)
            image = sqrt(SHARED) * shared + sqrt(1 - SHARED) * normal(AT_ONCE, 1, truth.images)
            known = level + sqrt(of_seed) * normal(AT_ONCE, SEEDS[-1], 1) + sqrt(of_image) * image
            both.append(normal(*known.shape) > known / -sqrt(1 - of_seed - of_image))
        yield both[0], both[1]


def outcome(truth: Truth, seeds: int, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    low, high = accuracy_bounds(a[:, :seeds])
    below, above = difference_bounds(b[:, :seeds], a[:, :seeds])
    covered = (low <= truth.accuracy) & (truth.accuracy <= high)
    difference = (below <= truth.ahead) & (truth.ahead <= above)
    return float(covered.mean()), float(difference.mean()), float(((below > 0) | (above < 0)).mean())


def unstable_models(images: int) -> None:
    """Models that the intervals do not hold for: what is flagged of them, and how wrong the others are."""
    usual = Truth(images, 0.9, 0.003, 0.7)
    cases = {
        "stable": usual,
        "unequal spreads": replace(usual, spread=0.001, spread_of_second=0.02),
        f"{BAD:.0%} bad seeds": replace(usual, bad=BAD),
    }
    for name, truth in cases.items():
        generator = np.random.default_rng(images)
        told: dict[int, list[tuple[bool, bool]]] = {seeds: [] for seeds in SEEDS}
        for a, b in answers(truth, STUDIES, generator):
            for seeds in SEEDS:
                below, above = difference_bounds(b[:, :seeds], a[:, :seeds])
                flags = [
                    bool(unstable({"a": Seeds(one, images), "b": Seeds(other, images)}))
                    for one, other in zip(a[:, :seeds].mean(axis=2), b[:, :seeds].mean(axis=2), strict=True)
                ]
                told[seeds] += zip(((below > 0) | (above < 0)).tolist(), flags, strict=True)
        for seeds, found in told.items():
            rest = [wrong for wrong, flagged in found if not flagged]
            print(
                f"{name}, {images} images, {seeds} seeds: false positives {np.mean([w for w, _ in found]):.1%}; "
                f"flagged {np.mean([flagged for _, flagged in found]):.1%}, of the others {np.mean(rest):.1%}",
                flush=True,
            )


def bands() -> None:
    """How often the spread of the expected best holds what such searches reach on average."""
    generator = np.random.default_rng(0)
    searches = generator.beta(6, 2, (SEARCHES, TRIALS))
    for n in (2, 5, 10, 20):
        reached = generator.beta(6, 2, (100_000, n)).max(axis=1).mean()
        held = []
        for search in searches:
            spread = expected_best(search, 1.0, replicates=200).interval(n)
            held.append(spread.low <= reached <= spread.high)
        print(f"the spread of the expected best of {n} of {TRIALS} trials holds it in {np.mean(held):.0%}", flush=True)


def report(name: str, chosen: Iterable[Rates]) -> None:
    found = list(chosen)
    wrong, accuracy, difference = (
        np.array([getattr(one, name) for one in found]) for name in ("told_apart", "accuracy", "difference")
    )
    print(
        f"{name}: false positives {wrong.mean():.1%} (worst setting {wrong.max():.1%}); coverage of accuracy "
        f"{accuracy.mean():.1%} ({accuracy.min():.1%} to {accuracy.max():.1%}), of differences {difference.mean():.1%}",
        flush=True,
    )


def scored() -> tuple[float, float]:
    """Coverage of the intervals over classes; where all classes are alike, both truths are the accuracy."""
    truth, generator = Truth(360, 0.9, 0.01, 0.7), np.random.default_rng(0)
    covered = []
    for several, _ in answers(truth, SCORED_STUDIES, generator):
        for right in several[:, :3]:
            label = generator.integers(CLASSES, size=truth.images)
            other = (label + generator.integers(1, CLASSES, size=right.shape)) % CLASSES
            found = score_intervals(label, np.where(right, label, other), CLASSES, replicates=200)
            each = (found["macro_f1"], found["mean_class_accuracy"])
            covered.append([low <= truth.accuracy <= high for low, high in each])
    f1, recall = np.mean(covered, axis=0)
    return float(f1), float(recall)


def gained(seeds: int) -> float:
    """How often two models that gain the same five points are told to gain otherwise: 1,000 images, unequal models."""
    generator, found = np.random.default_rng(seeds), []
    better, worse = (Truth(1000, accuracy, 0.01, 0.7, ahead=0.05) for accuracy in (0.85, 0.7))
    for (a, b), (c, d) in zip(answers(better, STUDIES, generator), answers(worse, STUDIES, generator), strict=True):
        mean, variance = contrast_variance(
            [(1, b[:, :seeds]), (-1, a[:, :seeds]), (-1, d[:, :seeds]), (1, c[:, :seeds])]
        )
        found.append(abs(mean) > variance.critical(SIGNIFICANCE / 2) * np.sqrt(variance.total))
    return float(np.mean(found))


def power(images: int) -> None:
    """How often a real difference is found: from 90 % on, seeds that vary by half a point."""
    truth = Truth(images, 0.9, 0.005, 0.7)
    found = [rates(replace(truth, ahead=ahead), POWER_STUDIES) for ahead in AHEAD]
    for i, seeds in enumerate(SEEDS):
        each = ", ".join(f"{ahead:.1%} {of[i].told_apart:.0%}" for ahead, of in zip(AHEAD, found, strict=True))
        print(f"power with {images} images, {seeds} seeds: {each}", flush=True)


if __name__ == "__main__":
    main()
