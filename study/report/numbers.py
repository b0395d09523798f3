"""How numbers are written for a reader: units, a fixed number of digits, a dash for what is not there."""

from math import floor, isfinite, log10
from typing import Any

MISSING = "–"
THIN = "\u202f"  # a narrow space that does not break, as SI wants it between a number and its unit


def known(value: Any) -> bool:
    return value is not None and isfinite(value)


def percent(share: float | None, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}{THIN}%" if share is not None and isfinite(share) else MISSING


def points(difference: float) -> str:
    """A difference of two shares, in percentage points, with its sign."""
    rounded = round(100 * difference, 1)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else '±'}{abs(rounded):.1f}"


def count(number: int | None) -> str:
    return f"{number:,}" if number is not None else MISSING


def short(number: float | None) -> str:
    """Two digits, as for a learning rate: `3.2e-4`, `0.05`."""
    if number is None or not isfinite(number):
        return MISSING
    if number == 0 or abs(number) >= 0.01:
        return f"{number:.2g}"
    exponent = floor(log10(abs(number)))
    mantissa = f"{number / 10**exponent:.1f}"
    if mantissa == "10.0":
        mantissa, exponent = "1.0", exponent + 1
    return f"{mantissa}e{exponent}"


def duration(seconds: float | None) -> str:
    if seconds is None or not isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{THIN}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{int(seconds // 60)}{THIN}min {int(seconds % 60)}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60}{THIN}min"


def size(n_bytes: int | None) -> str:
    if n_bytes is None:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g}{THIN}{unit}"
    return f"{n_bytes}{THIN}B"
