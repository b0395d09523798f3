"""One way to say that a name is unknown: what it is, what was given, what there is, and the nearest."""

from collections.abc import Iterable
from difflib import get_close_matches


def choose(kind: str, given: str, choices: Iterable[str]) -> str:
    """Returns `given` if it is one of `choices`, else raises ValueError naming the choices and the nearest."""
    choices = sorted(set(choices))
    if given in choices:
        return given
    nearest = get_close_matches(given, choices, n=1, cutoff=0.4)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(f"unknown {kind} {given!r}: choose one of {', '.join(choices)}{hint}")
