"""Which rows stand for their families where families are set against each other: with the same pretraining."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from study.comparison import Group, Row
from study.report.comparison.styles import families

ORDER = ("attention", "hybrid", "convolution")


def representatives(rows: Iterable[Row], wanted: Sequence[str]) -> dict[str, Row]:
    """By family its most accurate row, of the pretraining that has the most of these families; of several such, the
    one whose rows are the most accurate.
    """
    ordered = sorted(rows, key=lambda row: -row.accuracy.mean)
    best: dict[str, dict[str, Row]] = {}
    for row in ordered:
        if row.family in wanted:
            best.setdefault(row.pretraining, {}).setdefault(row.family, row)
    if not best:
        return {}
    chosen = max(best.values(), key=lambda rows: (len(rows), sum(row.accuracy.mean for row in rows.values())))
    return {name: chosen[name] for name in wanted if name in chosen}


def opposed(group: Group) -> list[tuple[Row, Row]]:
    """Pairs of rows of two families each; of a single family its two most accurate rows; none of a single row."""
    there = families(group.rows)
    pairs = []
    for pair in combinations([name for name in ORDER if name in there], 2):
        chosen = representatives(group.rows, pair)
        if len(chosen) == 2:
            pairs.append((chosen[pair[0]], chosen[pair[1]]))
    pairs.sort(key=lambda pair: {row.family for row in pair} != {"attention", "convolution"})
    return pairs or ([(group.rows[0], group.rows[1])] if len(group.rows) > 1 else [])
