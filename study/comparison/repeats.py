"""Rows that are repeats of one study become one row: one procedure with other searches, splits, draws and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from study.comparison.rows import Row, Score
from study.statistics import Contrast, Difference, adjusted, contrast
from study.statistics.comparison import difference
from study.statistics.confidence import mean_confidence
from study.statistics.repeats import (
    Design,
    accuracy_of_repeats,
    contrast_of_repeats,
    difference_of_repeats,
    scores_of_repeats,
)

ITS_OWN = ("name", "seed", "split_seed", "max_concurrent", "protocol")  # of a repeat's configuration
Pairs = dict[tuple[str, str], Difference]


def merged(rows: Sequence[Row]) -> list[Row]:
    """The rows, of those that are repeats of one study one; in the order in which their first ones come.

    A study that is there twice, with the same seeds, is no repeat: both stay.
    """
    alike: dict[str, list[Row]] = {}
    for row in rows:
        alike.setdefault(identity(row), []).append(row)
    found: list[Row] = []
    for same in alike.values():
        seeds = [(row.config.split_seed, row.config.seed) for row in same]
        apart = len(same) > 1 and len(set(seeds)) == len(seeds)
        found += [together([row for _, row in sorted(zip(seeds, same, strict=True), key=first)])] if apart else same
    return found


def first(pair: tuple[Any, Row]) -> Any:
    return pair[0]


def identity(row: Row) -> str:
    """The same for repeats of one study: everything that it is, but for what each has for itself."""
    study = row.record.study
    asked = msgspec.to_builtins(row.config)
    for name in ITS_OWN:
        asked.pop(name, None)
    weights = study.model.weights if study.model else None
    return msgspec.json.encode([asked, study.space, row.dataset, row.classes, weights], order="sorted").decode()


def together(repeats: Sequence[Row]) -> Row:
    """One row of several; what is of one study alone (its curves, its cost, its model) is the first one's."""
    head, how = repeats[0], design(repeats)
    intervals = scores_of_repeats(
        [row.label_of for row in repeats], [row.predicted for row in repeats], len(head.classes), how
    )
    accuracy = accuracy_of_repeats([row.correct for row in repeats], how)
    whole = replace(
        head,
        repeats=tuple(repeats),
        seeds=tuple(seed for row in repeats for seed in row.seeds),
        accuracies=tuple(one for row in repeats for one in row.accuracies),
        accuracy=Score(mean([row.accuracy for row in repeats]), accuracy),
        mean_class_accuracy=Score(mean([row.mean_class_accuracy for row in repeats]), intervals["mean_class_accuracy"]),
        macro_f1=Score(mean([row.macro_f1 for row in repeats]), intervals["macro_f1"]),
        confidence=mean_confidence([row.confidence for row in repeats]),
    )
    if not how.same_images:
        return whole
    recall = {
        name: None if known is None else float(np.mean([row.recall[name] or 0.0 for row in repeats]))
        for name, known in head.recall.items()
    }
    return replace(whole, predicted=np.concatenate([row.predicted for row in repeats]), recall=recall)


def mean(scores: Sequence[Score]) -> float:
    return float(np.mean([score.mean for score in scores]))


def design(repeats: Sequence[Row]) -> Design:
    """How repeats are related: whether they have one test set, and how large it is beside what was trained on."""
    head = repeats[0]
    sizes = head.record.data.sizes
    trained = sizes["train"] + (0 if head.config.part_of_train else sizes["val"])
    return Design.of([row.index for row in repeats], trained)


def images(row: Row) -> tuple[bytes, bytes]:
    """The test images of a row that is one study."""
    return row.index.tobytes(), row.label_of.tobytes()


def each(row: Row) -> tuple[Row, ...]:
    """The studies that a row is of."""
    return row.repeats or (row,)


def shared(rows: Sequence[Row]) -> list[list[Row]]:
    """Of each row the repeats to compare it by: where they have one test set all, else those whose images all have."""
    if all(design(each(row)).same_images for row in rows):
        return [list(each(row)) for row in rows]
    of_images = [{images(one): one for one in each(row)} for row in rows]
    common = [key for key in of_images[0] if all(key in others for others in of_images)]
    return [[here[key] for key in common] for here in of_images]


def differences(rows: Sequence[Row]) -> Pairs:
    """Of every two rows, in their order; p is adjusted by Holm over all of them."""
    return adjusted({(a.name, b.name): between(a, b) for a, b in combinations(rows, 2)})


def between(a: Row, b: Row) -> Difference:
    """One pair: over repeats where both have several, else given the search, split and draw of the first one."""
    of_a, of_b = shared([a, b])
    if min(len(of_a), len(of_b)) < 2:
        return difference(of_a[0].correct, of_b[0].correct)
    return difference_of_repeats([row.correct for row in of_a], [row.correct for row in of_b], design(of_a))


def contrasted(weighted: Sequence[tuple[float, Row]]) -> Contrast:
    """A weighted sum of rows; p is not adjusted."""
    found = shared([row for _, row in weighted])
    if min(map(len, found)) < 2:
        return contrast([(weight, rows[0].correct) for (weight, _), rows in zip(weighted, found, strict=True)])
    answers = [(weight, [row.correct for row in rows]) for (weight, _), rows in zip(weighted, found, strict=True)]
    return contrast_of_repeats(answers, design(found[0])).contrast(repeats=min(map(len, found)))


def notes(rows: Sequence[Row]) -> list[str]:
    """What of a row's repeats should be known."""
    sentences = []
    for row in rows:
        if row.number_of_repeats < 2:
            continue
        if again := overlapping(row.repeats):
            sentences.append(
                f"{row.name}: repeats share run seeds ({', '.join(map(str, again))}), so they agree too well"
            )
    number = {len(each(row)) for row in rows}
    if any(repeats > 1 for repeats in number):
        sentences.append("curves, costs and pictures are those of each row's first repeat")
    if len(number) > 1:
        counts: Mapping[int, list[str]] = {n: [row.name for row in rows if len(each(row)) == n] for n in sorted(number)}
        words = "; ".join(f"{n} of {', '.join(names)}" for n, names in counts.items())
        sentences.append(
            f"rows have different numbers of repeats ({words}): pairs have the fewer, by their test images"
        )
    return sentences


def overlapping(repeats: Sequence[Row]) -> list[int]:
    seeds = [seed for row in repeats for seed in row.seeds]
    return sorted({seed for seed in seeds if seeds.count(seed) > 1})
