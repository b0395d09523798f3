"""Rows that answered the same test images: their differences in pairs, their ranks, and which are not told apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from study.comparison import repeats
from study.comparison.rows import Row, common_metric
from study.statistics import Difference, Equivalence, adjusted, letters, ranks, within
from study.text import last_part
from trainables.metrics import Metric

MOST_IN_PAIRS = 100


@dataclass(frozen=True)
class Group:
    """Rows on one dataset and one test set, the most accurate first.

    Attributes:
        title: the dataset, of a place its last part; with a number where its rows have several test sets.
        differences: by two row names, of the more accurate one less the other. Empty with a single row, and where
            `not_paired` says why.
        ranks: by row name, 1 + the number of rows that are found to be better. Empty as `differences` is.
        letters: by row name; rows that share one are not distinguishable. Empty as `differences` is.
        equivalences: by two row names, whether they are equal within a margin; empty where none was given.
    """

    title: str
    dataset: str
    rows: tuple[Row, ...]
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    equivalences: dict[tuple[str, str], Equivalence] = field(default_factory=dict)
    not_paired: str | None = None

    @property
    def n_test(self) -> int:
        return self.rows[0].n_test

    @property
    def metric(self) -> Metric:
        """What its searches are shown by."""
        return common_metric(self.rows)

    @property
    def repeats(self) -> int:
        """Of the whole procedure, that what is said of all rows covers."""
        return min(row.number_of_repeats for row in self.rows)

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def between(self, better: Row, worse: Row) -> Difference:
        """Of two rows in the group's order."""
        return self.differences[better.name, worse.name]

    def beats(self, one: Row, other: Row) -> bool:
        """Whether one is found to be more accurate than the other."""
        difference = self.differences.get((one.name, other.name))
        return difference is not None and difference.different and difference.mean > 0

    def beats_all(self, one: Row) -> bool:
        """Whether one ranks first alone: it beats every other."""
        return all(self.beats(one, other) for other in self.rows if other is not one)

    def with_differences(self, compared: dict[tuple[str, str], Difference]) -> Self:
        """With these differences of its rows, and the ranks and letters that follow from them."""
        names = [row.name for row in self.rows]
        told_apart = [pair for pair, difference in compared.items() if difference.different]
        return replace(
            self,
            differences=compared,
            ranks=ranks(compared) or dict.fromkeys(names, 1),
            letters=letters(names, told_apart),
        )


def grouped(rows: Sequence[Row]) -> tuple[Group, ...]:
    """By dataset and test set, in the order in which they are first met."""
    by_images: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        by_images.setdefault(same_images(row), []).append(row)
    titles = titles_of([here[0].dataset for here in by_images.values()])
    groups = []
    for i, here in enumerate(by_images.values()):
        title = titles[i]
        if titles.count(title) > 1:
            title = f"{title} (test set {titles[: i + 1].count(title)} of {titles.count(title)})"
        groups.append(paired(title, here))
    return tuple(groups)


def titles_of(datasets: Sequence[str]) -> list[str]:
    """Of a place its last part, as long as no two places share it."""
    places = dict.fromkeys(datasets)
    short = [last_part(name) for name in places]
    return [last_part(name) if short.count(last_part(name)) == 1 else name for name in datasets]


def together(groups: Sequence[Group], margin: float | None = None) -> tuple[Group, ...]:
    """The same groups, each p adjusted by Holm over all pairs of all of them: one comparison, one family of tests.

    Args:
        margin: within which rows count as equal, a fraction; None where that is not asked.
    """
    pairs = {(i, pair): one for i, group in enumerate(groups) for pair, one in group.differences.items()}
    sure = adjusted(pairs)
    adjusted_groups = [
        group.with_differences({pair: sure[i, pair] for pair in group.differences}) if not group.not_paired else group
        for i, group in enumerate(groups)
    ]
    return tuple(replace(group, equivalences=equivalences(group, margin)) for group in adjusted_groups)


def equivalences(group: Group, margin: float | None) -> dict[tuple[str, str], Equivalence]:
    if margin is None:
        return {}
    return {
        pair: within(one.mean, one.variance, margin)
        for pair, one in group.differences.items()
        if one.covers_seeds and one.variance is not None
    }


def same_images(row: Row) -> tuple[object, ...]:
    """Equal for rows that can be paired by test image. A study of a part of train has the others' test set."""
    return row.dataset, row.classes, row.test_set, row.index.tobytes(), row.label_of.tobytes()


def paired(title: str, rows: Sequence[Row]) -> Group:
    ordered = distinct(sorted(rows, key=lambda row: (-row.accuracy.mean, row.name)))
    group = Group(title, ordered[0].dataset, tuple(ordered))
    if len(ordered) > MOST_IN_PAIRS:
        why = f"{len(ordered)} rows on {title} are not compared in pairs: at most {MOST_IN_PAIRS} are; choose some"
        return replace(group, not_paired=why)
    return group.with_differences(repeats.differences(ordered))


def distinct(rows: Sequence[Row]) -> list[Row]:
    """The rows, each with a label of its own: by its variant, by the part of train it used, at last by its name."""
    told = list(rows)
    for more in (variant, part_of_train, lambda row: row.name):
        alike: dict[str, set[str]] = {}
        for row in told:
            alike.setdefault(row.label, set()).add(more(row))
        told = [replace(row, label=f"{row.label}, {more(row)}") if len(alike[row.label]) > 1 else row for row in told]
    return told


def variant(row: Row) -> str:
    return row.variant


def part_of_train(row: Row) -> str:
    if fraction := row.config.train_fraction:
        return f"{100 * fraction:g} % of train"
    each = row.config.images_per_class
    return f"{each} images per class" if each else "all of train"
