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

LONGER = "give the same command again, which goes on counting, or a longer --budget"


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


@dataclass(frozen=True)
class Limit:
    """One of them.

    Attributes:
        words: as it was given.
        allowed: whether a candidate is within it.
        counted: what has to be counted for that, if anything.
    """

    words: str
    allowed: Callable[[Candidate], bool]
    counted: str = ""


def each(limits: Limits) -> list[Limit]:
    """What is cheap to know first."""
    licences, size, parameters, flops = limits.licences, limits.size, limits.parameters, limits.flops
    found = []
    if licences:
        words = f"--licence {' '.join(licences)}"
        found.append(Limit(words, lambda one: one.pretraining == NONE or licence(one) in licences))
    if size is not None:
        found.append(Limit(f"--max-size {size}", lambda one: counting.input_size(one) <= size))
    if parameters is not None:
        words = f"--max-params {brief(parameters)}"
        found.append(Limit(words, lambda one: counting.parameters(one) <= parameters, counting.PARAMETERS))
    if flops is not None:
        found.append(Limit(f"--max-flops {brief(flops)}", lambda one: counting.flops(one) <= flops, counting.FLOPS))
    return found


def within(
    field: Sequence[Candidate], limits: Limits, *, in_time: Callable[[], bool] = lambda: True
) -> tuple[list[Candidate], list[str]]:
    """Those within the limits that are known before anything is measured; and a line about the others.

    Args:
        field: those that are likely first.
        limits: for them.
        in_time: whether there is time to count what this machine has not counted before: of hundreds it takes minutes.

    Raises ValueError where nobody is left.
    """
    kept, notes = list(field), []
    for limit in each(limits):
        before, kept, uncounted = kept, [], 0
        for one in before:
            if limit.counted and not counting.is_known(one, limit.counted) and not in_time():
                uncounted += 1
            elif holds(limit.allowed, one):
                kept.append(one)
        late = f"there was no time to count {limit.counted} of {plural(uncounted, 'model')}" if uncounted else ""
        if not kept:
            way = f"{late}; {LONGER}" if late else way_out(limit, before)
            raise ValueError(f"{limit.words} leaves none of {plural(len(before), 'model')}: {way}")
        if late:
            notes.append(f"{limit.words}: {late}, which are left out; {LONGER}")
        if len(kept) + uncounted < len(before):
            notes.append(f"{limit.words} leaves {len(kept)} of {plural(len(before), 'model')}")
    if limits.parameters is not None:  # they are counted now: the smaller ones go first
        kept = [replace(one, parameters=counting.parameters(one)) for one in kept]
    return kept, notes


def way_out(limit: Limit, field: Sequence[Candidate]) -> str:
    if limit.words.startswith("--licence"):
        return f"they have {', '.join(sorted({licence(one) or 'none' for one in field}))}"
    return "raise it, or name other --models"


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
