"""The names that options take, and one way to say that a name is unknown.

Imports neither torch nor Ray: the command line checks its options with it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

SCALES = ("mini", "paper")
FAMILIES = ("convolution", "attention", "hybrid")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
PRECISIONS = ("fp32", "bf16", "fp16")  # and auto
BOUNDARY_MODES = ("on", "off", "always")


def choose(kind: str, given: str, choices: Iterable[str]) -> str:
    """Returns `given` if it is one of `choices`, else raises ValueError naming the choices and the nearest."""
    choices = sorted(set(choices))
    if given in choices:
        return given
    nearest = get_close_matches(given, choices, n=1, cutoff=0.4)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(f"unknown {kind} {given!r}: choose one of {', '.join(choices)}{hint}")
