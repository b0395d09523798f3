"""A process is told from a later one with its number, also when the clock was set meanwhile."""

import os
import subprocess
import sys
from typing import Any

import psutil
import pytest

from trainables.birth import born


def test_it_is_born_once_and_no_other_is_born_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert born(process.pid) == born(process.pid) != born(os.getpid())


def test_one_that_has_ended_is_no_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert born(process.pid) is None  # a zombie
    assert born(process.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="what psutil has from /proc")
def test_a_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before, began = psutil.Process().create_time(), born(os.getpid())
    boot_time: Any = psutil._pslinux.boot_time
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot_time() - 3600)  # as the kernel has it then
    assert psutil.Process().create_time() == before - 3600
    assert born(os.getpid()) == began
