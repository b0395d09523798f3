"""The names that options take, and one way to say that a name is unknown.

Imports neither torch nor Ray: the command line checks its options with it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

SCALES = ("mini", "paper")
FAMILIES = ("convolution", "attention", "hybrid")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")  # and auto
GPU_PRECISIONS = ("tf32", "fp16")  # that a CPU has no arithmetic for
BOUNDARY_MODES = ("on", "off", "always")


def choose(kind: str, given: str, choices: Iterable[str]) -> str:
    """Returns `given` if it is one of `choices`, else raises ValueError naming the choices and the nearest."""
    choices = sorted(set(choices))
    if given in choices:
        return given
    nearest = get_close_matches(given, choices, n=1, cutoff=0.4)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(f"unknown {kind} {given!r}: choose one of {', '.join(choices)}{hint}")


def needs_gpu(precision: str) -> str:
    """What is said of a precision that a CPU has no arithmetic for."""
    return f"precision {precision} needs a GPU, a CPU takes minutes a step: choose bf16, fp32 or auto"
