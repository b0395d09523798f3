"""A user's mistake: one clear line and exit code 2. Imports nothing, for it is to be said at once."""

import sys

CODE = 2


def fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return CODE
