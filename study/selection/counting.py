"""Parameters and operations of a candidate: counted once on a machine, without allocating, computing or cutting."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from study.files import write_json
from study.selection.candidates import Candidate, is_timm
from trainables.backbones.declared import described
from trainables.cache_folder import cache_folder

if TYPE_CHECKING:
    from torch import nn


PARAMETERS, FLOPS = "parameters", "operations"


def parameters(candidate: Candidate) -> int:
    """Of the whole model; as a table of scores has them, where one was given."""
    if candidate.parameters is not None:
        return candidate.parameters
    return kept(candidate, PARAMETERS, lambda: sum(p.numel() for p in built(candidate, "meta", None).parameters()))


def flops(candidate: Candidate) -> int:
    """Of a forward pass of an image."""
    return kept(candidate, FLOPS, lambda: operations(candidate))


def is_known(candidate: Candidate, what: str) -> bool:
    """Whether nothing has to be counted."""
    if what == PARAMETERS and candidate.parameters is not None:
        return True
    return what in noted(place()).get(key(candidate), {})


def kept(candidate: Candidate, what: str, count: Callable[[], int]) -> int:
    """What this machine has counted before, or counts now."""
    known, own = noted(place()), key(candidate)
    if what not in known.get(own, {}):
        known.setdefault(own, {})[what] = count()
        with suppress(OSError):
            place().parent.mkdir(parents=True, exist_ok=True)
            write_json(place(), known)
    return known[own][what]


def place() -> Path:
    return cache_folder() / "backbones" / "counts.json"


@cache
def noted(place: Path) -> dict[str, dict[str, int]]:
    """As this process found it, and what it has counted since."""
    try:
        return dict(json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def key(candidate: Candidate) -> str:
    own = candidate.timm_name.partition(".")[0] if is_timm(candidate.model) else candidate.variant.name
    return f"{own} {candidate.scale} {version('timm')}"


def built(candidate: Candidate, device: str, size: int | None) -> "nn.Module":
    """Without weights; on the CPU where a model looks at its own.

    Args:
        candidate: whose model.
        device: meta or cpu.
        size: of the images; None for those that timm builds a model for.
    """
    import torch

    try:
        with torch.device(device):
            if not is_timm(candidate.model):
                return candidate.variant.build(2)
            from trainables.backbones.finding import create, own_size

            name = candidate.timm_name.partition(".")[0]
            return create(name, size or own_size(name), 2)
    except (NotImplementedError, RuntimeError):
        if device == "cpu":
            raise
        return built(candidate, "cpu", size)


def input_size(candidate: Candidate) -> int:
    """Side of its images; of a model of timm without looking for its stages."""
    if not is_timm(candidate.model):
        return candidate.variant.preprocessing.size
    model, _, tag = candidate.timm_name.partition(".")
    own = described(model)
    if candidate.scale == "mini":
        return own.small
    return own.tags[tag].size if tag in own.tags else own.given.size


def operations(candidate: Candidate) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    size = input_size(candidate)
    for device in ("meta", "cpu"):
        model = built(candidate, device, size).eval().requires_grad_(False)
        image = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
        with suppress(NotImplementedError, RuntimeError), FlopCounterMode(display=False) as counter:
            model(image)
            return int(counter.get_total_flops())
    raise ValueError(f"{candidate.model} cannot take images of {size} px")
