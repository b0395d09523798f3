"""How a command ends that did not come to its end: a user's mistake, or Ctrl-C. Imports nothing, to be quick."""

import sys

MISTAKE = 2
INTERRUPTED = 130


def fail(message: str) -> int:
    """A user's mistake: one clear line and exit code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE
