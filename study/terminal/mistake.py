"""How a command ends that did not come to its end: a user's mistake, or Ctrl-C. Imports nothing, to be quick."""

import errno
import sys

MISTAKE = 2
INTERRUPTED = 130
NO_PLACE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
LONGEST = 2000  # letters: a path may have 4,096


def fail(message: str) -> int:
    """A user's mistake: one clear line and exit code 2."""
    print(f"error: {one_line(message)}", file=sys.stderr)
    return MISTAKE


def refused(error: OSError) -> int:
    """What the system refused, in one line; exit code 2 where the place that was named cannot be had, else 1."""
    print(f"error: {reason(error)}", file=sys.stderr)
    return MISTAKE if error.errno in NO_PLACE else 1


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
