"""What the options of a selection mean: which candidates, and within which limits. Imports neither torch nor timm."""

from study.options import amounts
from study.options.keywords import SelectKeywords
from study.selection import candidates
from study.selection.candidates import Candidate
from study.selection.limits import Limits


def named(options: SelectKeywords, scale: str) -> list[Candidate]:
    """All that the patterns name, at a scale. Raises ValueError for a mistake, or where there are none."""
    found = candidates.candidates(candidates.matching(options.models), options.pretraining or (), scale)
    if not found:
        who = f"no model of --models {' '.join(options.models)}"
        if not options.pretraining:
            raise ValueError(f"{who} has weights: give --pretraining none to race them with random ones")
        raise ValueError(f"{who} has pretraining {' '.join(options.pretraining)} at scale {scale}")
    return found


def limits(options: SelectKeywords) -> Limits:
    """Raises ValueError for what is no limit."""
    if options.max_size is not None and options.max_size < 1:
        raise ValueError(f"max-size must be at least 1, got {options.max_size}")
    return Limits(
        parameters=None if options.max_params is None else amounts.number("--max-params", options.max_params),
        flops=None if options.max_flops is None else amounts.number("--max-flops", options.max_flops),
        size=options.max_size,
        latency=None if options.max_latency is None else amounts.seconds("--max-latency", options.max_latency),
        licences=tuple(one.lower() for name in options.licence or () for one in name.split(",") if one),
    )
