"""Which process writes a record, and whether it still lives: a study that was killed could not say that it ended."""

import os
import socket
from pathlib import Path
from typing import Self

import msgspec

from trainables.birth import born


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """The entry `writer`: a process, told from every other that there was or will be.

    Attributes:
        host: the machine's name.
        boot: which start of that machine it was, and in which space of process numbers (containers have their own).
        pid: its number.
        born: when it began, as the machine has it: numbers are used again.
    """

    host: str
    boot: str
    pid: int
    born: str

    @classmethod
    def this(cls) -> Self:
        pid = os.getpid()
        return cls(host=socket.gethostname(), boot=boot(), pid=pid, born=born(pid) or "")

    @property
    def gone(self) -> bool:
        """Whether it has surely ended; of a process on another machine nothing is sure."""
        if self.host != socket.gethostname():
            return False
        (machine, _, space), (here, _, space_here) = self.boot.partition(" "), boot().partition(" ")
        if machine != here:
            return True  # the machine was started again since
        return space == space_here and born(self.pid) != self.born


def boot() -> str:
    try:
        once = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{once} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # no Linux
        return ""
