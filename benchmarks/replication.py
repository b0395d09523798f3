"""How often a conclusion is reached again: many whole studies, compared as a comparison compares them.

    python -m benchmarks.replication                      # one test set, draws and train/validation splits of their own
    python -m benchmarks.replication --dataset digits     # a test set of its own for every split
    python -m benchmarks.replication --fine-tuned --studies 48 --models alexnet resnet     # nothing frozen, smaller

Four mini models, head-only on cached features, 10 trials, ASHA, the best two and the starting point replicated, 3 seeds
(docs/protocol.md). A replication is a comparison of the four models over R repeats; no two replications share a search,
a split, a draw or a seed of a run. R = 1 is a comparison as it was before there were repeats, of the same studies.

(a) the same model in two replications is called different; goal: at most 5 %
(b) a difference that one replication finds (after Holm) is found again by another, or contradicted; goal: at most 5 %
    contradicted
(c) the interval for another replication's difference (`again`) holds it; goal: 93 to 97 %. Beside it the interval of
    the truth, which need not: another replication has an error of its own

With `--fine-tuned` nothing is frozen, and a study is smaller: 20 images of every class, 5 trials, the best one and the
starting point replicated, 2 seeds.

Rates of (a) are of replications of one model in pairs, which are not independent: ten give 45 pairs. With one test set,
200 studies take about 7 minutes on one core; `--keep FILE` keeps their answers, and asks nothing twice.
"""

import argparse
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations, count, permutations
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import _whole_studies
from benchmarks._whole_studies import MODELS
from study.files import replacing
from study.statistics.comparison import Difference, adjusted, difference
from study.statistics.repeats import Design, difference_of_repeats
from study.statistics.stability import Seeds, unstable

GOAL = "(a) at most 5 %, (b) at most 5 % contradicted, (c) 93 to 97 %"
STUDIES, REPEATS = 200, (1, 2, 3, 5)


@dataclass(frozen=True)
class Answers:
    """Of one study on its test images: (seeds, images) bool, (images,) which these are, how many it trained on."""

    correct: np.ndarray
    index: np.ndarray
    trained: int


Kept = dict[tuple[str, int], Answers]  # by model and seed
Replication = Mapping[str, Sequence[Answers]]  # by model, of each repeat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=("fashion_unseen", "digits"), default="fashion_unseen")
    parser.add_argument("--fine-tuned", action="store_true", help="nothing is frozen, and a study is smaller")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, metavar="MODEL")
    parser.add_argument("--studies", type=int, default=STUDIES, metavar="N", help="default %(default)s")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="default %(default)s")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="of answers, which are not asked for again")
    options = parser.parse_args()
    ask = partial(one, options.dataset, options.fine_tuned)
    seeds = options.studies // len(options.models)
    kept = answers(ask, options.models, seeds, options.processes, options.keep)
    for repeats in REPEATS:
        if seeds >= 2 * repeats:
            for line in report(kept, options.models, repeats):
                print(line, flush=True)
    for line in each_pair(kept, options.models, max(each for each in REPEATS if seeds >= 2 * each)):
        print(line, flush=True)


def answers(
    ask: Callable[[str, int], Answers], models: Sequence[str], seeds: int, processes: int, keep: Path | None
) -> Kept:
    """Of every model under every seed.

    Args:
        ask: one of them.
        models: which.
        seeds: how many, from 0 on.
        processes: that ask at a time.
        keep: the file of those that were asked before, and of these; None for none.

    Returns:
        All that are known, also beyond these seeds.
    """
    kept: Kept = pickle.loads(keep.read_bytes()) if keep and keep.exists() else {}
    wanted = [(model, seed) for seed in range(seeds) for model in models if (model, seed) not in kept]
    start = perf_counter()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        asked = pool.map(ask, *zip(*wanted, strict=True)) if wanted else ()
        for number, (key, found) in enumerate(zip(wanted, asked, strict=True), 1):
            kept[key] = found
            if number % 20 == 0 or number == len(wanted):
                print(f"round {number} of {len(wanted)} studies, after {perf_counter() - start:.0f} s", flush=True)
            if keep:
                with replacing(keep) as part:
                    part.write_bytes(pickle.dumps(kept))
    return kept


def one(dataset: str, fine_tuned: bool, model: str, seed: int) -> Answers:
    each = None if dataset == "digits" else 20 if fine_tuned else 60
    smaller = {"fixed": {"freeze_depth": 0}, "trials": 5, "top_k": 1, "seeds": 2} if fine_tuned else {}
    study = _whole_studies.described(
        model, dataset=dataset, seed=seed, split_seed=seed, images_per_class=each, **smaller
    )
    done = _whole_studies.run(study)
    sizes = _whole_studies.splits_of(study).sizes()
    return Answers(done.correct, done.index, sizes["train"] + (sizes["val"] if each is None else 0))


def report(kept: Kept, models: Sequence[str], repeats: int) -> Iterator[str]:
    """Of all replications of so many repeats, none of which shares a study with another."""
    replications = grouped(kept, models, repeats)
    found = [compared(one) for one in replications]
    flags = [set(unstable({model: seeds_of(several) for model, several in one.items()})) for one in replications]
    number = len(replications)
    head = f"{repeats} repeats, {number} replications" if repeats > 1 else f"as before, {number} comparisons"
    same = [
        between(one[model], other[model])
        for one, other in combinations(replications, 2)
        for model in models
        if one_test_set([*one[model], *other[model]])
    ]
    if same:
        rates = [np.mean([pair.p < 0.05 for pair in same[place :: len(models)]]) for place in range(len(models))]
        each = ", ".join(f"{model} {rate:.1%}" for model, rate in zip(models, rates, strict=True))
        yield f"{head}: (a) the same model is called different in {np.mean(rates):.1%} of {len(same)} pairs ({each})"
    again, against, sure, truth = 0, 0, 0, 0
    held = np.full((number, number, len(found[0])), np.nan)  # by replication, the other one, pair of models
    flagged = np.zeros(held.shape, bool)
    for i, j in permutations(range(number), 2):
        for place, (pair, first) in enumerate(found[i].items()):
            second = found[j][pair]
            held[i, j, place] = first.again is not None and first.again.low <= second.mean <= first.again.high
            flagged[i, j, place] = not flags[i].isdisjoint(pair)
            truth += first.interval.low <= second.mean <= first.interval.high
            if first.different:
                sure += 1
                again += second.different and (first.mean > 0) == (second.mean > 0)
                against += second.different and (first.mean > 0) != (second.mean > 0)
    share = np.mean([one.different for pairs in found for one in pairs.values()])
    width = 100 * np.mean([(one.interval.high - one.interval.low) / 2 for pairs in found for one in pairs.values()])
    yield (
        f"{head}: (b) {share:.0%} of differences are found; of these {again / max(sure, 1):.1%} again, "
        f"{against / max(sure, 1):.1%} contradicted ({sure} of pairs of comparisons)"
    )
    asked = number * (number - 1) * len(found[0])
    holds = f"that for another replication {np.nanmean(held):.1%}{uncertain(held)}, " if repeats > 1 else ""
    yield f"{head}: (c) another's difference is in {holds}that of the truth {truth / asked:.1%} (+- {width:.2f} points)"
    if repeats > 1 and flagged.any():
        rest = held[~flagged & ~np.isnan(held)]
        others = f"of the others {rest.mean():.1%}" if rest.size else "there are no others"
        yield f"{head}: {flagged.sum() / asked:.0%} of pairs have a model flagged as unstable; {others}"


def uncertain(held: np.ndarray) -> str:
    """A standard error of the share: the jackknife's over replications, each of which is in many pairs."""
    number = len(held)
    if number < 3:
        return ""
    without = [np.nanmean(np.delete(np.delete(held, i, axis=0), i, axis=1)) for i in range(number)]
    return f" (standard error {np.sqrt((number - 1) * np.var(without)):.1%})"


def grouped(kept: Kept, models: Sequence[str], repeats: int) -> list[Replication]:
    """As many replications as there are answers for, none of which shares a study with another."""
    seeds = next(seed for seed in count() if any((model, seed) not in kept for model in models))
    numbers = [range(first, first + repeats) for first in range(0, seeds - repeats + 1, repeats)]
    return [{model: [kept[model, seed] for seed in each] for model in models} for each in numbers]


def each_pair(kept: Kept, models: Sequence[str], repeats: int) -> Iterator[str]:
    """Of every two models: how large their difference is over all repeats, and how many replications find it."""
    found = [compared(one) for one in grouped(kept, models, repeats)]
    for a, b in found[0]:
        each = [one[a, b] for one in found]
        means = [100 * one.mean for one in each]
        yield (
            f"{a} less {b}: {np.mean(means):+.2f} points ({min(means):+.2f} to {max(means):+.2f} over {len(means)} "
            f"replications of {repeats} repeats), found by {sum(one.different for one in each)} of them"
        )


def compared(one: Replication) -> dict[tuple[str, str], Difference]:
    return adjusted({(a, b): between(one[a], one[b]) for a, b in combinations(one, 2)})


def between(a: Sequence[Answers], b: Sequence[Answers]) -> Difference:
    if len(a) == 1:
        return difference(a[0].correct, b[0].correct)
    design = Design.of([one.index for one in a], a[0].trained)
    return difference_of_repeats([one.correct for one in a], [one.correct for one in b], design)


def seeds_of(several: Sequence[Answers]) -> Seeds:
    each = [one.correct.mean() for one in several] if len(several) > 1 else several[0].correct.mean(axis=1)
    return Seeds([float(one) for one in each], several[0].correct.shape[1])


def one_test_set(several: Sequence[Answers]) -> bool:
    return all(np.array_equal(one.index, several[0].index) for one in several)


if __name__ == "__main__":
    main()
