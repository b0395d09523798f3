"""The names that options take, and one way to say that a name is unknown.

Imports neither torch nor Ray: the command line checks its options with it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

SCALES = ("mini", "paper")
FAMILIES = ("convolution", "attention", "hybrid", "other")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")  # and auto
GPU_PRECISIONS = ("tf32", "fp16")  # that a CPU has no arithmetic for
BOUNDARY_MODES = ("on", "off", "always")


NEAR = 0.65  # of 1: alex is alexnet, rnu is run; efficientnet_b0 is not coatnet


def choose(kind: str, given: str, choices: Iterable[str], *, elsewhere: str = "") -> str:
    """Returns `given` if it is one of `choices`, else raises ValueError naming the choices and the nearest.

    `elsewhere`: what would make the name valid, where that is known.
    """
    choices = sorted(set(choices))
    if given in choices:
        return given
    hint = f"; {elsewhere}" if elsewhere else did_you_mean(given, choices)
    raise ValueError(f"unknown {kind} {given!r}: choose one of {', '.join(choices)}{hint}")


def did_you_mean(given: str, choices: Iterable[str], prefix: str = "") -> str:
    """The end of a line about an unknown name: the one that is near, if one is."""
    nearest = get_close_matches(given, list(choices), n=1, cutoff=NEAR)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else ""


def needs_gpu(precision: str) -> str:
    """What is said of a precision that a CPU has no arithmetic for."""
    return f"precision {precision} needs a GPU, a CPU takes minutes a step: choose bf16, fp32 or auto"
