"""What decoders say of a file that they can read all the same: they print that past Python, to a study's terminal."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TextIO

STDERR = 2
# the texts of libjpeg's warnings (jerror.h), and how those of libpng and libtiff begin: everything else that was
# printed meanwhile is passed on
SAID = re.compile(
    rb"(libpng (warning|error): |_?TIFF\w+: |\w+: Warning, "
    rb"|Adobe APP14|Arithmetic table|Caution: quantization|Component index|Corrupt JPEG data|Inconsistent progression"
    rb"|Invalid (SOS|crop|component|JPEG file|progressive)|Obtained EMS|Premature end of JPEG|Quantizing|Unknown "
    rb"(Adobe|APP)|Unrecognized component|Unsupported marker|Warning: (thumbnail|unknown JFIF))"
)


@dataclass
class Ear:
    """Takes what is printed to standard error.

    Attributes:
        users: how many blocks, in any threads, are within.
        before: where standard error went.
    """

    heard: IO[bytes]
    before: int
    users: int = 0


_ear: Ear | None = None
_change = threading.Lock()


@contextmanager
def unheard() -> Iterator[TextIO]:
    """Inside, in any thread, its warnings are dropped; for what must be seen at once, what standard error is else."""
    global _ear
    with _change:
        if _ear is None:
            _ear = Ear(tempfile.TemporaryFile(), os.dup(STDERR))  # noqa: SIM115  (closed by the last to leave)
            sys.stderr.flush()
            os.dup2(_ear.heard.fileno(), STDERR)
        ear = _ear
        ear.users += 1
    try:
        with open(os.dup(ear.before), "w", encoding="utf-8", errors="replace") as shown:
            yield shown
    finally:
        with _change:
            ear.users -= 1
            if not ear.users:
                _ear = None
                sys.stderr.flush()
                os.dup2(ear.before, STDERR)
                os.close(ear.before)
                pass_on(ear.heard)


def pass_on(heard: IO[bytes]) -> None:
    with heard:
        heard.seek(0)
        for line in heard:
            if not SAID.match(line):
                os.write(STDERR, line)
