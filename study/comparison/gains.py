"""What pretraining gives each model, and whether it gives one more than another: from a group of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from study.comparison.groups import Group
from study.comparison.repeats import contrasted
from study.comparison.rows import Row
from study.statistics import Contrast, adjusted


@dataclass(frozen=True)
class Gains:
    """Of every model that has rows with both of two pretrainings.

    Attributes:
        before, after: the pretrainings; the former is none, or else, on average over the models, the less accurate.
        each: by model's title, what it gains; the largest gain first.
        more: by two titles in that order, what the first gains more than the second.
    """

    before: str
    after: str
    each: dict[str, Contrast]
    more: dict[tuple[str, str], Contrast]


def gains(groups: Sequence[Group]) -> list[list[Gains]]:
    """Of each group, for any two pretrainings that several models share; p is adjusted by Holm over all of them."""
    found = [of_group(group) for group in groups]
    sure = adjusted(
        {
            (i, j, pair): one
            for i, here in enumerate(found)
            for j, gain in enumerate(here)
            for pair, one in gain.more.items()
        }
    )
    return [
        [
            Gains(gain.before, gain.after, gain.each, {pair: sure[i, j, pair] for pair in gain.more})
            for j, gain in enumerate(here)
        ]
        for i, here in enumerate(found)
    ]


def of_group(group: Group) -> list[Gains]:
    """No p is adjusted.

    Models that have several rows with one pretraining are left out: which of them gained cannot be said.
    """
    if group.not_paired:
        return []
    by_model: dict[str, dict[str, Row]] = {}
    for row in group.rows:
        by_model.setdefault(row.title, {})[row.pretraining] = row
    several = {row.title for row in group.rows} - {
        row.title for row in group.rows if by_model[row.title][row.pretraining] is not row
    }
    of_pretrainings = []
    for one, other in combinations(dict.fromkeys(row.pretraining for row in group.rows), 2):
        both = {name: rows for name in several if {one, other} <= (rows := by_model[name]).keys()}
        if len(both) < 2:
            continue
        total = sum(rows[one].accuracy.mean - rows[other].accuracy.mean for rows in both.values())
        before, after = (one, other) if one == "none" or (total < 0 and other != "none") else (other, one)
        terms = {name: [(1.0, rows[after]), (-1.0, rows[before])] for name, rows in both.items()}
        each = {name: contrasted(weighted) for name, weighted in terms.items()}
        order = sorted(each, key=lambda name: (-each[name].mean, name))
        more = {
            (a, b): contrasted([*terms[a], *((-weight, row) for weight, row in terms[b])])
            for a, b in combinations(order, 2)
        }
        of_pretrainings.append(Gains(before, after, {name: each[name] for name in order}, more))
    return of_pretrainings
