"""Which model stands for a module of timm: the one with the fewest parameters among those whose names say small."""

import re
from functools import cache

import timm
import torch

WORDS = (
    *("test", "atto", "femto", "pico", "nano", "xxs", "xx_small", "xxtiny", "xs", "xsmall", "tiny", "mini", "_t0"),
    *("_s0", "_ti", "small", "lite", "_s", "_b0", "0", "base"),
)
LOOKED_AT = 3


def modules() -> list[str]:
    return sorted(timm.list_modules())


@cache
def smallest(module: str) -> str:
    """Raises RuntimeError where none can be built without memory."""
    names = sorted(timm.list_models(module=module), key=lambda name: (rank(name), digits(name), len(name), name))
    return min(names[:LOOKED_AT], key=parameters)


def rank(name: str) -> int:
    return next((i for i, word in enumerate(WORDS) if word in name), len(WORDS))


def digits(name: str) -> int:
    return sum(map(int, re.findall(r"\d+", name)))


def parameters(name: str) -> int:
    with torch.device("meta"):
        try:
            return sum(p.numel() for p in timm.create_model(name).parameters())
        except (NotImplementedError, RuntimeError):
            return 10**9
