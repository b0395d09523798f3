"""Rows whose seeds differ too much for few of them, and what is asked of whoever ran them."""

from collections.abc import Iterator, Sequence

from study.comparison.groups import Group
from study.comparison.repeats import each
from study.statistics.stability import Seeds, unstable

ENOUGH = 10  # seeds or repeats, with which bad ones are seen as often as they are


def of(group: Group) -> dict[str, str]:
    """By row name, why it is unstable: by its repeats where every row has some, else by its seeds.

    Seeds of one repeat have its search, its split and its test images in common: they are not so many values.
    """
    if group.repeats == 1:
        return unstable({row.name: Seeds(row.accuracies, row.n_test) for row in group.rows})
    means = {row.name: [one.accuracy.mean for one in each(row)] for row in group.rows}
    return unstable({name: Seeds(values, group.n_test) for name, values in means.items()}, of="repeat")


def notes(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        for name, why in of(group).items():
            row = group.row(name)
            number, option = (len(row.seeds), "seeds") if group.repeats == 1 else (len(each(row)), "repeats")
            more = f": run it with more {option} (--{option} {ENOUGH})" if number < ENOUGH else ""
            what = f"{row.label} on {group.title} is unstable, {why}"
            yield f"{what}; its interval and verdicts are not to be relied on{more}"
