"""Rows whose seeds differ too much for few of them, and what is asked of whoever ran them."""

from collections.abc import Iterator, Sequence

from study.comparison.groups import Group
from study.statistics.stability import Seeds, unstable

ENOUGH = 10  # seeds, with which bad ones are seen as often as they are


def of(group: Group) -> dict[str, str]:
    """By row name, why it is unstable."""
    return unstable({row.name: Seeds(row.accuracies, row.n_test) for row in group.rows})


def notes(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        for name, why in of(group).items():
            row = group.row(name)
            more = f": run it with more seeds (--seeds {ENOUGH})" if len(row.seeds) < ENOUGH else ""
            what = f"{row.label} on {group.title} is unstable, {why}"
            yield f"{what}; its interval and verdicts are not to be relied on{more}"
