"""When a process began, as the machine counts it: numbers of processes are used again, and clocks are set."""

import subprocess
from pathlib import Path


def born(pid: int) -> str | None:
    """Equal for one and the same process, whatever has become of the clock; None for one that has ended, or a zombie.

    In clock ticks since the machine was started, from field 22 of `/proc/PID/stat`; without Linux, what ps says.
    """
    try:
        # a name in brackets may hold anything, so what follows the last one counts: the state, and 19 numbers on
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return None
    said = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip() or None
