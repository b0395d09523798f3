"""A row in a process of its own, on the Ray that another process is connected to."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from time import perf_counter
from typing import IO

from study.cluster import ending, noise
from study.options.comparison import title
from study.rows.row import Row
from study.terminal.mistake import FAILED, INTERRUPTED
from study.terminal.progress import Terminal


class Process:
    """A row in a process of its own, on the Ray that this process is connected to; what it says is said with its name.

    It has a process group of its own: Ctrl-C reaches it through `signal` alone, and so once.
    """

    def __init__(self, row: Row, terminal: Terminal) -> None:
        from ray import cloudpickle

        self.row = row
        self._reasons, answer = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "study.rows.process", str(answer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"RAY_ADDRESS": address(), "PYTHONUNBUFFERED": "1"},
            pass_fds=[answer],
            start_new_session=True,
        )
        os.close(answer)
        assert self._process.stdin
        with self._process.stdin as given:
            cloudpickle.dump(row, given)  # an architecture holds functions that pickle cannot name
        name = title(row.study)
        assert self._process.stdout
        assert self._process.stderr

        def warn(name: str, line: str) -> None:
            terminal.warn(f"{name}: {line}")

        self._readers = [
            threading.Thread(target=pass_on, args=(self._process.stdout, terminal.of_row, name), daemon=True),
            threading.Thread(target=pass_on, args=(self._process.stderr, warn, name), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.reason: str | None = None

    def ended(self, within: float) -> bool:
        """Whether it has come to its end, which it is given some seconds for; then `reason` says why it failed."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        for reader in self._readers:
            reader.join(timeout=5)
        with open(self._reasons, encoding="utf-8", closefd=False) as file:
            reason = file.read()
        os.close(self._reasons)
        if code:
            self.reason = reason or (
                f"its process was ended by {signal.Signals(-code).name}"
                if code < 0
                else f"its process ended with {code}"
            )
        return True

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.ended(within=10)


def pass_on(stream: IO[bytes], say: Callable[[str, str], None], name: str) -> None:
    """Says every line of a stream, by whom."""
    with stream:
        for line in stream:
            say(name, line.decode(errors="replace").rstrip())


def address() -> str:
    """Of the Ray that this process is connected to."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def main(answer: int) -> int:
    """Runs the row that comes through standard input, in the process that `Process` starts; writes why it failed.

    Returns 0; 1 where it failed; 130 when interrupted.
    """
    from study.cluster import connection

    ending.told, noise.may_hush = lambda what: os._exit(FAILED), True  # the comparison's own process says it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os._exit(INTERRUPTED))  # nothing has begun
    row: Row = pickle.load(sys.stdin.buffer)
    start = perf_counter()
    try:
        connection.start_while_importing("study.execution.running", verbose=row.execution.verbose)
        with connection.connected(verbose=row.execution.verbose):
            reason = row.run(since=start)
    except ValueError as mistake:
        reason = str(mistake)
    except KeyboardInterrupt:
        return 130
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        file.write(reason or "")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
