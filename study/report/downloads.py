"""Numbers to take along: CSV in the address of a link, which needs neither a network nor a script."""

import csv
from base64 import b64encode
from collections.abc import Sequence
from io import StringIO
from math import isfinite
from typing import Any


def data_uri(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return "data:text/csv;charset=utf-8;base64," + b64encode(text(columns, rows).encode()).decode()


def text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[plain(value) for value in row] for row in rows])
    return out.getvalue()


def plain(value: Any) -> Any:
    """Six digits are more than any of these numbers is worth; what is missing is empty."""
    if isinstance(value, float):
        return f"{value:.6g}" if isfinite(value) else ""
    return value
