"""Standard output and error whose reader may go away, as that of `| head` does.

A command that only prints ends then as other programs do: by 141, without a word. One that has something to lose (a
study) goes on, and says so once: what it finds is in its record.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

BROKEN_PIPE = 141  # as a shell sees a program that SIGPIPE has ended


class Output(TextIOWrapper):
    """A stream that is written into nothing once its reader has gone; `left` is then told of it, once."""

    left: Callable[[], None] = staticmethod(lambda: None)

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()
            super().flush()

    def _drop(self) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        self.left()


def heed(left: Callable[[], None]) -> None:
    """From here on `left` is called when somebody stops reading standard output; that of errors is only dropped."""
    sys.stdout = sys.__stdout__ = wrapped(sys.stdout, left)  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = wrapped(sys.stderr, lambda: None)  # type: ignore[misc, assignment]


def wrapped(stream: TextIO, left: Callable[[], None]) -> TextIO:
    """Unchanged where it is no file of the system's, as in a test."""
    if not isinstance(stream, TextIOWrapper):
        return stream
    with suppress(OSError, ValueError):
        stream.fileno()
        encoding, errors, by_line = stream.encoding, stream.errors, stream.line_buffering
        output = Output(stream.detach(), encoding=encoding, errors=errors, line_buffering=by_line)
        output.left = left
        return output
    return stream
