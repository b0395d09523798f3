"""Rows as CSV: for the files of a comparison, and for the links of a page."""

import csv
from collections.abc import Sequence
from io import StringIO
from math import isfinite
from typing import Any


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A line of names, then a line per row."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[cell(value) for value in row] for row in rows])
    return out.getvalue()


def cell(value: Any) -> Any:
    """Six digits are more than any of these numbers is worth; what is missing is empty."""
    if isinstance(value, float):
        return f"{value:.6g}" if isfinite(value) else ""
    return value
