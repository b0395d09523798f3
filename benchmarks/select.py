"""Which backbone: what the race costs against measuring everything, and what it may lose.

    python -m benchmarks.select                # all of it; the first run computes features, which it then keeps
    python -m benchmarks.select --only regret --draws 20

Some 50 candidates of 16 families whose weights need no network: the four of the mini scale with what ships with them,
and small models of timm at 64 px with random weights.

(a) Wall clock of the features of all candidates of all training images and a regression each; then a race in a tenth of
    that time, and what it chose. Both in one process, a candidate at a time, with an empty store.
(b) Regret, over datasets and draws of the training images: the test accuracy of the candidate that is best there, less
    that of the chosen one, each by ridge regression on all of train. Features are computed once and kept in --cache;
    the race runs over them, in a tenth of the CPU seconds that everything cost. What is best on a test set is that
    partly by luck, so beside it stands the regret of measuring everything on all of train.
(c) The same for choosing by score (of the weights on what they were trained for, random ones last), and for two
    heuristics of VIBES in as many seconds as the race took: candidates in random order, each on all of train; and all
    candidates on subsets so small that the seconds suffice.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from time import perf_counter, process_time

import numpy as np

from study.baselines.ridge import Ridge
from study.cluster import connection
from study.data import named
from study.data.source import Arrays, ExampleSource
from study.data.splits import DatasetSplits
from study.selection import race, regret
from study.selection.candidates import Candidate, candidates, in_turn
from study.selection.measuring import Block, Known, Task, best_boundary, digest_of, measure
from study.selection.race import Measured, Race, Rules
from study.selection.subsets import nested, sizes
from study.statistics.comparison import adjusted, difference
from trainables import process
from trainables.cache_folder import cache_folder
from trainables.images import SplitImages
from trainables.pooled import Pooled

GOAL = "10 times less; at most 0.5 points lost in 95 % of runs, none established; better than score and VIBES"
OURS = ("alexnet", "resnet", "vit", "coatnet")
PRETRAININGS = ("fashion60k", "fashion6k", "none")
TIMM = (
    *("test_byobnet", "test_convnext", "test_convnext2", "test_convnext3", "test_efficientnet", "test_efficientnet_gn"),
    *("test_efficientnet_ln", "test_efficientnet_evos", "test_mambaout", "test_nfnet", "test_resnet", "test_vit"),
    *("test_vit2", "test_vit3", "test_vit4", "test_vit_relpos", "mobilenetv3_small_050", "mobilenetv3_small_100"),
    *("mobilenetv4_conv_small_050", "lcnet_050", "lcnet_075", "tinynet_e", "mobilenetv2_035", "regnetx_002"),
    *("starnet_s050", "repghostnet_050", "edgenext_xx_small", "convnext_atto", "convnextv2_atto", "resnet10t"),
)
IMAGES = 2500  # of a base, or as many as there are; two in five to test on
DRAWN = 0.85  # of the others, for one draw of training images
DATASETS = {
    **{"digits": "digits", "holes": "digits", "parity": "digits"},
    **{"fashion": "fashion", "garments": "fashion", "kinds": "fashion"},
}
COARSE = {  # the class of each class
    "holes": [1, 0, 0, 0, 0, 0, 1, 0, 2, 1],
    "parity": [0, 1, 0, 1, 0, 1, 0, 1, 0, 1],
    "kinds": [0, 1, 0, 2, 0, 3, 0, 3, 4, 3],  # tops, trousers, dress, shoes, bag
}
TOLERATED = 0.005
TENTH = 10  # the race may take so many times less than everything


# What is classified: real images that need no network, and that no weights were trained on


def pixels_and_labels(base: str, images: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    source = named.load("digits" if base == "digits" else "fashion_unseen")
    assert isinstance(source.images, Arrays)
    some = np.random.default_rng(0).permutation(len(source.labels))[:images]
    pixels = source.images.pixels[some]
    return pixels, source.labels[some], source.classes


@dataclass(frozen=True)
class Data:
    """Rows of a base to draw training images from, and to test on, with labels of all its images."""

    labels: np.ndarray
    pool: np.ndarray
    test: np.ndarray
    classes: int

    @classmethod
    def of(cls, name: str, images: int) -> "Data":
        _, labels, classes = pixels_and_labels(DATASETS[name], images)
        rows = np.arange(len(labels))
        if name == "garments":  # T-shirt, pullover, dress, coat, shirt: those that are confused
            wanted = [0, 2, 3, 4, 6]
            rows = rows[np.isin(labels, wanted)]
            labels, count = np.searchsorted(wanted, labels), len(wanted)
        elif name in COARSE:
            labels, count = np.array(COARSE[name])[labels], max(COARSE[name]) + 1
        else:
            count = len(classes)
        test = 2 * len(rows) // 5
        return cls(labels, rows[test:], rows[:test], count)


def field_of() -> list[Candidate]:
    return in_turn(candidates([*OURS, *(f"timm/{name}" for name in TIMM)], PRETRAININGS, "mini"))


# Features, once


@dataclass(frozen=True)
class Features:
    """Of one candidate, of every image of a base; and the seconds of one image."""

    values: Block
    image_seconds: float


def features(candidate: Candidate, base: str, cache: Path, brings: "Brings") -> Features | None:
    """Kept, or else computed; None for a candidate that cannot be measured."""
    place = cache / f"{base} {candidate.name}.npz".replace("/", "-").replace(" ", "-")
    if not place.exists():
        start = process_time()  # of one thread: what else this machine does counts for nothing
        try:
            found = brings.measured(candidate, np.arange(len(brings.splits.train)), store=False)
        except Exception as error:
            print(f"{candidate.name} is left out: {str(error).splitlines()[0][:120]}", flush=True)
            np.savez(place)
            return None
        seconds = (process_time() - start) / len(found.values[0])
        np.savez(place, *[values.astype(np.float32) for values in found.values], seconds=seconds)
        process.current().clear()
        print(f"  {base}: {candidate.name} {1000 * seconds:.2f} ms an image", flush=True)
    with np.load(place) as kept:
        if "seconds" not in kept:
            return None
        return Features(tuple(kept[name] for name in kept if name != "seconds"), float(kept["seconds"]))


@dataclass
class Brings:
    """Images of a base, in Ray's object store."""

    splits: DatasetSplits
    images: SplitImages

    @classmethod
    def of(cls, pixels: np.ndarray, labels: np.ndarray, classes: Sequence[str], name: str) -> "Brings":
        source = ExampleSource(name, tuple(classes), labels, Arrays(pixels), f"{name} {os.getpid()}")
        rows = np.arange(len(labels))
        [images] = SplitImages.put(source.images, labels, [(rows, np.asarray)])
        return cls(DatasetSplits(source, rows, rows[:0], rows[:0]), images)

    def task(self, candidate: Candidate, rows: np.ndarray, known: Known, *, store: bool) -> Task:
        return Task(
            candidate=candidate,
            shared=self.images.shared[0],
            home=self.images.home,
            seen=self.images.seen,
            rows=rows,
            digest=digest_of(self.splits, rows),
            known=known,
            precision="fp32",
            threads=1,
            store=store,
            offline=True,
        )

    def measured(self, candidate: Candidate, rows: np.ndarray, *, store: bool) -> Pooled:
        from study.selection.measuring import carried

        return carried(self.task(candidate, rows, Known(self.splits.source.labels, 10, None), store=store))


# The race over features that are there


@dataclass
class Kept:
    """A course over features that are there, on a clock of its own."""

    features: Mapping[str, Features]
    rows: np.ndarray
    labels: np.ndarray
    classes: int
    sizes: tuple[int, ...]
    clock: float = 0.0
    found: dict[tuple[str, int], Measured] = field(default_factory=dict)

    def now(self) -> float:
        return self.clock

    def measured(self, names: Iterable[str], round: int) -> Iterator[tuple[str, Measured | str]]:
        for name in names:
            one = self.at(name, self.sizes[round])
            new = self.sizes[round] - (self.sizes[round - 1] if round else 0)
            seconds = self.cost(name, new)
            self.clock += seconds
            yield name, replace(one, seconds=seconds)

    def cost(self, name: str, images: int) -> float:
        return images * self.features[name].image_seconds

    def at(self, name: str, images: int) -> Measured:
        """What a candidate comes to on the first so many images."""
        if (name, images) not in self.found:
            block = tuple(values[self.rows[:images]] for values in self.features[name].values)
            numbers = tuple(range(len(block), 0, -1))
            known = Known(self.labels[self.rows[:images]], self.classes, None)
            self.found[name, images] = best_boundary(Pooled(numbers, block, 0.0, 0), [block], known)[0]
        return self.found[name, images]

    def tested(self, name: str, test: np.ndarray) -> np.ndarray:
        """(M,) bool: its answers to the test images, fitted to all of train at the boundary that does best there."""
        best = self.at(name, len(self.rows))
        values = self.features[name].values[len(self.features[name].values) - best.boundary]
        fit = Ridge.of(values[self.rows], self.labels[self.rows], self.classes)
        [predicted] = fit.predict(values[test], [best.penalty])
        return predicted.argmax(axis=1) == self.labels[test]


@dataclass(frozen=True)
class Choice:
    """What one way of choosing came to: regret, whether it is established, and its cost."""

    way: str
    regret: float
    established: bool
    seconds: float
    expected: float = 0.0
    high: float = 0.0


WAYS = ("race", "everything", "score", "random order", "small subsets")


def choices(data: Data, everyone: Mapping[str, Features], field: Sequence[Candidate], draw: int) -> list[Choice]:
    """Each way of choosing on one draw of the training images."""
    rng = np.random.default_rng([draw, 7])
    rows = rng.permutation(data.pool)[: int(DRAWN * len(data.pool))]
    rows = rows[nested(data.labels[rows], draw)]
    steps = sizes(len(rows), data.classes)
    course = Kept(everyone, rows, data.labels, data.classes, steps)
    order = [one.name for one in field if one.name in everyone]
    whole = {name: course.cost(name, len(rows)) for name in order}
    ran = race.run(Race(order, Rules(steps, sum(whole.values()) / TENTH)), course)
    chosen, spent = ran.leader, ran.seconds
    assert chosen is not None
    accuracy = {name: course.at(name, len(rows)).merit for name in order}
    picked = {
        "race": (chosen, spent),
        "everything": (max(order, key=accuracy.__getitem__), sum(whole.values())),
        "score": (by_score(field, order, rng), 0.0),
        "random order": (by_random_order(order, whole, accuracy, spent, rng), spent),
        "small subsets": (by_small_subsets(course, order, sum(whole.values()), spent), spent),
    }
    answers = {name: course.tested(name, data.test) for name in order}
    tested = {name: float(one.mean()) for name, one in answers.items()}
    best = max(order, key=tested.__getitem__)
    cost = regret.expected(ran, chosen)
    found = []
    for way, (name, seconds) in picked.items():
        pairs = {
            (other, name): difference(answers[other][None], answers[name][None]) for other in order if other != name
        }
        # one seed each: what is established here is of these models, so that a loss is found sooner
        lost = any(pair.mean > 0 and pair.p_adjusted < 0.05 for pair in adjusted(pairs).values())
        of_race = (cost.mean, cost.high) if way == "race" else (0.0, 0.0)
        found.append(Choice(way, tested[best] - tested[name], lost, seconds, *of_race))
    return found


def by_score(field: Sequence[Candidate], order: Sequence[str], rng: np.random.Generator) -> str:
    """The best score there is; at equal any."""
    scores = {one.name: one.score or 0.0 for one in field if one.name in order}
    best = max(scores.values())
    return str(rng.choice([name for name, score in scores.items() if score == best]))


def by_random_order(
    order: Sequence[str],
    whole: Mapping[str, float],
    accuracy: Mapping[str, float],
    seconds: float,
    rng: np.random.Generator,
) -> str:
    """Of those that can be measured on all of train in the time, the most accurate; one at least.

    Args:
        order: the candidates.
        whole: seconds of each on all of train.
        accuracy: of each.
        seconds: there are.
        rng: draws the order.
    """
    there: list[str] = []
    left = seconds
    for name in rng.permutation(order):
        if there and whole[name] > left:
            break
        left -= whole[name]
        there.append(str(name))
    return max(there, key=accuracy.__getitem__)


def by_small_subsets(course: Kept, order: Sequence[str], of_all: float, seconds: float) -> str:
    images = max(2 * course.classes, int(len(course.rows) * min(1.0, seconds / of_all)))
    return max(order, key=lambda name: course.at(name, images).merit)


# (a)


@dataclass
class Live:
    """A course that measures now, in this process, one at a time."""

    brings: Brings
    candidates: Mapping[str, Candidate]
    rows: np.ndarray
    sizes: tuple[int, ...]
    start: float = field(default_factory=perf_counter)
    blocks: dict[str, list[object]] = field(default_factory=dict)

    def now(self) -> float:
        return perf_counter() - self.start

    def measured(self, names: Iterable[str], round: int) -> Iterator[tuple[str, Measured | str]]:
        import ray

        source = self.brings.splits.source
        for name in names:
            start = self.sizes[round - 1] if round else 0
            rows = self.rows[start : self.sizes[round]]
            known = Known(source.labels[self.rows[: self.sizes[round]]], len(source.classes), None)
            task = self.brings.task(self.candidates[name], rows, known, store=round > 0)
            answer, block = measure(task, self.blocks.setdefault(name, []))
            self.blocks[name].append(ray.put(block))
            yield name, answer.measured


def wall_clock(field: Sequence[Candidate], base: str, images: int) -> tuple[Race, Race]:
    """Everything on so many images, and a race in a tenth of that time; each with a store of its own, models known."""
    pixels, labels, classes = pixels_and_labels(base, images)
    rows = nested(labels, 0)
    steps, by_name = sizes(len(rows), len(classes)), {one.name: one for one in field}
    everything = live(Brings.of(pixels, labels, classes, f"{base} whole"), by_name, rows, Rules(steps[-1:], 1e9))
    budget = everything.seconds / TENTH
    return everything, live(Brings.of(pixels, labels, classes, f"{base} race"), by_name, rows, Rules(steps, budget))


def live(brings: Brings, field: Mapping[str, Candidate], rows: np.ndarray, rules: Rules) -> Race:
    before = os.environ.get("STUDY_CACHE")
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        keep_found_cuts(Path(folder))
        os.environ["STUDY_CACHE"] = folder
        try:
            process.current().clear()
            return race.run(Race(list(field), rules), Live(brings, field, rows, rules.sizes))
        finally:
            os.environ.pop("STUDY_CACHE") if before is None else os.environ.update(STUDY_CACHE=before)


def keep_found_cuts(folder: Path) -> None:
    """The stages that were found in timm's models: both would find them, which is not what is measured."""
    found = cache_folder() / "backbones"
    if found.is_dir():
        (folder / "backbones").symlink_to(found)


# All of it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10, metavar="N", help="of each dataset (default %(default)s)")
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help="of a base (default %(default)s)")
    parser.add_argument("--cache", type=Path, default=cache_folder() / "bench-select", metavar="DIR")
    parser.add_argument("--only", choices=("features", "clock", "regret"))
    options = parser.parse_args()
    options.cache /= str(options.images)
    options.cache.mkdir(parents=True, exist_ok=True)
    connection.quieten()
    with connection.connected():
        everyone = {
            base: all_features(base, options.images, options.cache) for base in dict.fromkeys(DATASETS.values())
        }
        field = [one for one in field_of() if all(one.name in found for found in everyone.values())]
        print(f"{len(field)} candidates of {len({one.group for one in field})} families", flush=True)
        if options.only in (None, "clock"):
            everything, ours = wall_clock(field, "fashion", options.images)
            chosen, best = (str(one.leader) for one in (ours, everything))
            lost = everything.measured[best][0].accuracy - everything.measured[chosen][0].accuracy
            print(
                f"(a) {options.images:,} training images: everything {everything.seconds:.0f} s, race "
                f"{ours.seconds:.0f} s, {everything.seconds / ours.seconds:.1f} times less; it chose {chosen}, "
                f"{100 * lost:.2f} points behind {best}"
            )
    if options.only in (None, "regret"):
        show(dict(all_choices(everyone, field, options.images, options.draws)))


def all_features(base: str, images: int, cache: Path) -> dict[str, Features]:
    brings = Brings.of(*pixels_and_labels(base, images), base)
    each = {one.name: features(one, base, cache, brings) for one in field_of()}
    return {name: found for name, found in each.items() if found is not None}


def all_choices(
    everyone: Mapping[str, Mapping[str, Features]], field: Sequence[Candidate], images: int, draws: int
) -> Iterator[tuple[tuple[str, int], list[Choice]]]:
    for name, base in DATASETS.items():
        data = Data.of(name, images)
        each = []
        for draw in range(draws):
            each.append(choices(data, everyone[base], field, draw))
            yield (name, draw), each[-1]
        line = ", ".join(
            f"{way} {100 * fmean(one[place].regret for one in each):.2f}" for place, way in enumerate(WAYS)
        )
        faster = median(one[1].seconds / one[0].seconds for one in each)
        print(f"round {name}: mean regret in points: {line}; {faster:.1f} times less", flush=True)


def show(found: Mapping[tuple[str, int], Sequence[Choice]]) -> None:
    by_way = {way: [one[place] for one in found.values()] for place, way in enumerate(WAYS)}
    faster = median(one[1].seconds / one[0].seconds for one in found.values())
    mine = by_way["race"]
    datasets = len({name for name, _ in found})
    print(f"(b) {len(mine)} runs, {datasets} datasets; {faster:.1f} times less than everything, by what images cost")
    for way, each in by_way.items():
        lost = np.array([one.regret for one in each])
        print(
            f"({'b' if way in WAYS[:2] else 'c'}) {way}: regret {100 * lost.mean():.2f} points on average, at most "
            f"{100 * TOLERATED:g} in {np.mean(lost <= TOLERATED):.0%}, {100 * np.quantile(lost, 0.95):.2f} in 95 %; "
            f"established losses {sum(one.established for one in each)}"
        )
    more = np.array([a.regret - b.regret for a, b in zip(mine, by_way["everything"], strict=True)])
    print(
        f"(b) the race lost to everything {100 * more.mean():.2f} points on average, at most {100 * TOLERATED:g} in "
        f"{np.mean(more <= TOLERATED):.0%}; it expected a regret of {100 * fmean(one.expected for one in mine):.2f}"
    )


if __name__ == "__main__":
    main()
