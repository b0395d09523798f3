"""Amounts as people write them: 10m of time, 30M parameters, 20ms for an image."""

import re
from math import isfinite

SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
NUMBERS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
AMOUNT = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def seconds(option: str, given: str) -> float:
    """`10m`, `90s`, `1.5h`, `20ms`, or a number of seconds. Raises ValueError."""
    return amount(option, given, SECONDS, "a time above 0 as 90s, 10m or 1h")


def number(option: str, given: str) -> float:
    """`30M`, `4.5G`, or a number. Raises ValueError."""
    return amount(option, given, NUMBERS, "a number above 0 as 500k, 30M or 4G")


def amount(option: str, given: str, units: dict[str, float], takes: str) -> float:
    found = AMOUNT.fullmatch(given)
    try:
        value = float(found[1]) * units[found[2].lower()] if found else 0.0
    except (KeyError, ValueError):
        value = 0.0
    if not (value > 0 and isfinite(value)):
        raise ValueError(f"{option} takes {takes}, got {given!r}")
    return value
