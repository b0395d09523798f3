"""How a command ends that did not come to its end: a mistake, a failure, or Ctrl-C. Imports nothing, to be quick."""

import errno
import sys
from collections.abc import Callable

FAILED = 1
MISTAKE = 2
INTERRUPTED = 130
TERMINATED = 143
NO_PLACE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
LONGEST = 2000  # letters: a path may have 4,096


class Failed(Exception):
    """Why a command ends with exit code 1: nobody's mistake, and nothing that its traceback would explain."""


def fail(message: str) -> int:
    """A user's mistake: one clear line and exit code 2."""
    print(f"error: {one_line(message)}", file=sys.stderr)
    return MISTAKE


def ended(body: Callable[[], int], *, again: str = "", interrupted: str = "interrupted", refused: int = MISTAKE) -> int:
    """The exit code of a command: its body's, or with one line that of whatever ended it.

    Args:
        body: the command. It may raise ValueError for a mistake, Failed, OSError for what cannot be read or written,
            and KeyboardInterrupt.
        again: the command line that goes on, if there is one: then an OSError is a failure, and what was finished kept,
            unless a place that was named cannot be had.
        interrupted: what is said of Ctrl-C.
        refused: the exit code for any other OSError, where nothing goes on.
    """
    go_on = f"; go on with: {again}" if again else ""
    try:
        return body()
    except ValueError as mistake:
        return fail(str(mistake))
    except KeyboardInterrupt:
        print(f"{interrupted}{go_on}", file=sys.stderr)
        return INTERRUPTED
    except Failed as failed:
        fail(str(failed))
        return FAILED
    except OSError as error:
        if error.errno in NO_PLACE or not again:
            fail(reason(error))
            return MISTAKE if error.errno in NO_PLACE else refused
        print(f"error: {reason(error)}: what is finished is kept{go_on}", file=sys.stderr)
        return FAILED


def reason(error: Exception) -> str:
    """Why something could not be done: of what the system refuses, the file and the refusal."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return one_line(f"{error.filename}: {error.strerror}")
    return one_line(str(error)) or type(error).__name__


def one_line(text: str) -> str:
    """Without what a terminal would take for a command; of a very long one the beginning and the end."""
    words = " ".join(text.split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in words)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"
