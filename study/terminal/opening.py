"""The terminal of a command that takes a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from study.cluster import noise

if TYPE_CHECKING:
    from study.terminal.progress import Terminal


@contextmanager
def opened(*, quiet: bool, verbose: bool = False) -> "Iterator[Terminal]":
    """Shows what goes on, inside. Its library is imported here: after the options are seen to be good, as torch is."""
    from study.terminal.progress import Terminal

    if not verbose:
        noise.hush()  # before it takes the place of standard error
    terminal = Terminal(quiet=quiet)
    with terminal.shown():
        yield terminal
