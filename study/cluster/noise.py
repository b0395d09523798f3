"""What C and C++ write to standard error: Ray's dumps, and what libraries of images complain about."""

import os
import sys
from typing import Any

may_hush = False  # whether this process is a command of ours, and not somebody's own Python, or a test


def hush() -> None:
    """Keeps it from the terminal, which Python's own lines still reach."""
    global may_hush
    if not may_hush:
        return
    may_hush = False
    sys.stderr.flush()
    kind: Any = type(sys.stderr)  # one that bears that its reader goes away
    raw = os.fdopen(os.dup(2), "wb")
    lines = kind(raw, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = lines
