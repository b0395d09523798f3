"""What a candidate may have at most, as far as that is known before anything is measured.

Imports neither torch nor timm before a limit asks for what only they know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.selection import counting
from study.selection.candidates import Candidate, is_timm
from study.text import plural
from trainables.backbones.declared import NONE


@dataclass(frozen=True)
class Limits:
    """What a candidate may have at most; None for anything.

    Attributes:
        parameters, flops: of the whole model, an image.
        size: of its images, px.
        latency: seconds for one image, measured here.
        licences: of which its weights must have one, in lower case; none for any.
    """

    parameters: float | None = None
    flops: float | None = None
    size: int | None = None
    latency: float | None = None
    licences: tuple[str, ...] = ()


def within(field: Sequence[Candidate], limits: Limits) -> tuple[list[Candidate], list[str]]:
    """Those within the limits that are known before anything is measured; and a line about the others.

    What is cheap to know is asked first. Raises ValueError where nobody is left.
    """
    kept, notes = list(field), []
    size, parameters, flops = limits.size, limits.parameters, limits.flops
    tests: list[tuple[str, Callable[[Candidate], bool]]] = []
    if limits.licences:
        tests.append(
            (
                f"--licence {','.join(limits.licences)}",
                lambda one: one.pretraining == NONE or licence(one) in limits.licences,
            )
        )
    if size is not None:
        tests.append((f"--max-size {size}", lambda one: counting.input_size(one) <= size))
    if parameters is not None:
        tests.append((f"--max-params {brief(parameters)}", lambda one: counting.parameters(one) <= parameters))
    if flops is not None:
        tests.append((f"--max-flops {brief(flops)}", lambda one: counting.flops(one) <= flops))
    for limit, allowed in tests:
        of_before, before = kept, len(kept)
        kept = [one for one in kept if holds(allowed, one)]
        if not kept:
            there = sorted({licence(one) or "none" for one in of_before}) if limit.startswith("--licence") else []
            way = f"they have {', '.join(there)}" if there else "raise it, or name other --models"
            raise ValueError(f"{limit} leaves none of {plural(before, 'model')}: {way}")
        if len(kept) < before:
            notes.append(f"{limit} leaves {len(kept)} of {plural(before, 'model')}")
    if parameters is not None or flops is not None:  # they are counted now: the smaller ones go first
        kept = [replace(one, parameters=counting.parameters(one)) for one in kept]
    return kept, notes


def holds(allowed: Callable[[Candidate], bool], one: Candidate) -> bool:
    """Not of a model that cannot be used: of hundreds, one is no reason to stop."""
    try:
        return allowed(one)
    except ValueError:
        return False


def brief(number: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:g}{unit}"
    return f"{number:g}"


def licence(candidate: Candidate) -> str:
    """Of the weights, as timm has it; ours are of this package."""
    if not is_timm(candidate.model):
        return "apache-2.0" if candidate.scale == "mini" else ""
    return str(getattr(config(candidate), "license", None) or "").lower()


def config(candidate: Candidate) -> Any:
    from timm.models import get_pretrained_cfg

    return get_pretrained_cfg(candidate.timm_name)
