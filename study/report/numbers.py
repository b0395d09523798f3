"""How numbers are written for a reader: units, a fixed number of digits, a dash for what is not there."""

import re
from math import isfinite
from typing import Any

from study import text
from trainables.metrics import Metric

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


def metric_value(metric: Metric, value: float | None) -> str:
    """What a run reached: a share in percent, a loss with four decimals."""
    if metric is not Metric.LOSS:
        return percent(value)
    return MISSING if value is None or not isfinite(value) else f"{value:.4f}"


def metric_gain(metric: Metric, gain: float) -> str:
    """By how much one is better than another, with a sign: in points of a share; of a loss, how much smaller it is."""
    if metric is not Metric.LOSS:
        return points(gain)
    return f"{gain:+.4f}".replace("-", "−")


def duration(seconds: float | None) -> str:
    """As a terminal has it, but with tenths of a second below a minute."""
    if seconds is None or not isfinite(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f}{THIN}s"
    return re.sub(r"(?<=\d) ", THIN, text.duration(seconds))


def size(n_bytes: int | None) -> str:
    if n_bytes is None:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g}{THIN}{unit}"
    return f"{n_bytes}{THIN}B"


def brief(value: float | None) -> str:
    """`23.4 M`: three digits and a prefix."""
    if not known(value):
        return MISSING
    assert value is not None
    for prefix, unit in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= unit:
            return f"{value / unit:.3g} {prefix}"
    return f"{value:.3g}"
