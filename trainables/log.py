"""What heads a run in the log of its process, which trains one run after another."""

import sys

BEGINS = " begins on "


def announce(run_id: str, node: str, device: str) -> None:
    """In Ray's file for this process, and with --verbose on the terminal."""
    print(f"{run_id}{BEGINS}{node}, {device}", file=sys.stderr, flush=True)


def goes_on(run_id: str, *, epoch: int, steps: int) -> None:
    """That it is not begun again."""
    print(f"{run_id} goes on from its checkpoint, in epoch {epoch} after {steps} steps", file=sys.stderr, flush=True)
