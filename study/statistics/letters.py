"""Compact letter display (Piepho 2004): models that share a letter are not distinguishable.

Ranks cannot say this: a first and a second may not be told apart, for a third may be better than the second alone.
"""

from collections.abc import Iterable, Sequence
from string import ascii_lowercase


def letters(names: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The letters of every name; two share one exactly where they are not among the pairs that differ.

    Insert and absorb: a set of all names is divided at each pair that differs, and a set within another is dropped.

    Args:
        names: in the order in which letters are given out, best first.
        different: pairs of names that are told apart.
    """
    sets = [frozenset(names)]
    for pair in different:
        if not any(one.issuperset(pair) for one in sets):
            continue
        divided: list[frozenset[str]] = []
        for one in sets:
            divided += [one - {name} for name in pair] if one.issuperset(pair) else [one]
        sets = absorbed(divided)
    place = {name: i for i, name in enumerate(names)}
    ordered = sorted(sets, key=lambda one: sorted(place[name] for name in one))
    return {name: "".join(letter(i) for i, one in enumerate(ordered) if name in one) for name in names}


def absorbed(sets: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The sets that lie in no other, each once."""
    once = list(dict.fromkeys(sets))
    return [one for one in once if one and not any(one < other for other in once)]


def letter(number: int) -> str:
    """`a` to `z`, then `a1` to `z1`, and on."""
    again, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(again) if again else "")
