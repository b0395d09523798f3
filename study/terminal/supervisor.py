"""A command is two processes: one that does the work, and one that outlives it, and whatever ends it.

The first is forked from the second when hardly anything is imported. It may be ended by Ray, whose C++ takes its
process with it, by a lack of memory, or by Ctrl-C while Ray starts and torch is imported: the other one then ends all
that is left of it, has its records put in order, and says in one line what happened and how to go on.

What the working process does when it is asked to stop it says beforehand: inside `in_order` it is told, and ends by
itself; outside it is killed, with all processes that it has started.
"""

import ctypes
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from types import FrameType
from typing import Any, NoReturn

from study.cluster import ending, noise
from study.terminal import streams
from study.terminal.mistake import FAILED, INTERRUPTED, TERMINATED
from study.text import plural
from trainables import scratch

Stop = Callable[[int, FrameType | None], Any]
Settle = Callable[[Path], None]

# By which the working process is told to stop: a terminal sends Ctrl-C to both. Not SIGUSR1, at which Ray Tune ends its
# search, and says that it is finished
ASKED = signal.SIGUSR2
ASKING = (signal.SIGINT, signal.SIGTERM)
RECORD = "study.json"
RAY_ENDED = 75  # exit code of the working process when it sees that its Ray has ended
PATIENCE = 10.0  # seconds, after the second Ctrl-C
SETTLING = 60.0  # seconds that putting a record in order may take
BETWEEN = 2.0  # seconds, until Ray is started again
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

_reports: int | None = None  # of the working process, the pipe to the other one
_depth = 0
_goes_on = False  # without a reader of standard output


# In the working process


def tell(**facts: Any) -> None:
    """What the other process should know: see `Known`.

    Does nothing where there is none, as in a test, or in somebody's own Python.
    """
    global _goes_on
    _goes_on = _goes_on or bool(facts.get("again"))
    if _reports is not None:
        with suppress(OSError):
            os.write(_reports, json.dumps(facts, default=str).encode() + b"\n")


@contextmanager
def in_order(stop: Stop) -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM call `stop`, and this process then ends by itself.

    Signals reach the main thread alone: in another one nothing changes.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ignore(number: int, frame: FrameType | None) -> None:
        """The other process says it, once."""

    handlers: dict[int, Stop] = dict.fromkeys(ASKING, stop)
    if _reports is not None:  # the others again, for Ray has put its own in their place
        handlers = {**dict.fromkeys(ASKING, ignore), ASKED: stop}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    _depth += 1
    tell(in_order=True)
    try:
        yield
    finally:
        _depth -= 1
        tell(in_order=_depth > 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def ray_ended(what: str) -> None:
    """Leaves this process at once, before Ray does, and without waiting for it."""
    tell(ray=what)
    os._exit(RAY_ENDED)


def ray_ends_after(seconds: float | None, what: str) -> None:
    tell(limit=seconds and monotonic() + seconds, limited=what)


def nobody_reads() -> None:
    """The reader of standard output has gone away."""
    if _goes_on:
        say("note: nobody reads standard output any more; it goes on, and what it finds is in its record")
    elif _reports is not None:
        raise SystemExit(streams.BROKEN_PIPE)


# In the process that outlives it


@dataclass
class Known:
    """What the working process has told.

    Attributes:
        in_order: whether it ends by itself when it is asked to.
        folders: of records that are its to write.
        made: those that it has made.
        again: the command line that goes on.
        resume: what the command line lacks to go on.
        retries: how often Ray is started again.
        ray: what of Ray has ended.
        limit: when, by this machine's monotonic clock, what is `limited` counts as that; None for never.
        code: what its command returned, when it has.
        drawn: how many lines of the terminal it draws again and again, with the cursor hidden at the end of the last.
    """

    in_order: bool = False
    folders: list[Path] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)
    again: str = ""
    resume: list[str] = field(default_factory=list)
    retries: int = 0
    ray: str = ""
    limit: float | None = None
    limited: str = ""
    code: int | None = None
    drawn: int = 0

    def learn(self, facts: dict[str, Any]) -> None:
        for name, value in facts.items():
            if name in ("folders", "made"):
                getattr(self, name).extend(map(Path, value))
            else:
                setattr(self, name, value)


def supervised(command: Callable[[], int], settle: Settle) -> int:
    """The exit code of a command, which runs in a process of its own.

    Args:
        command: reads its words from sys.argv, as all commands do that are given none.
        settle: puts a record in order that its process cannot write any more, or removes a folder without one.
    """
    if not hasattr(os, "fork"):
        return command()
    adopt_orphans()
    tries = 0
    while True:
        work = Work.start(command)
        status = work.wait()
        known, code = work.known, os.waitstatus_to_exitcode(status)
        end_descendants()
        with suppress(OSError):
            scratch.sweep()
        if known.code is not None:
            for number in ASKING:  # the command has ended, and Python's own end gives these their default back else
                signal.signal(number, signal.SIG_IGN)
            return TERMINATED if known.code == INTERRUPTED and work.asked == signal.SIGTERM else known.code
        clean_up(known.drawn)
        for folder in known.folders:
            settle_in_a_process(folder, settle)
        with suppress(OSError):
            for made in known.made:
                made.rmdir()
        if work.asked:
            say_interrupted(known)
            return TERMINATED if work.asked == signal.SIGTERM else INTERRUPTED
        why = f"Ray has ended ({known.ray})" if known.ray else f"the command's process {how_it_ended(code)}"
        if known.ray and tries < known.retries:
            tries += 1
            say(f"note: {why}: it is started again ({tries} of {plural(known.retries, 'time')}), and the study goes on")
            sys.argv += [word for word in known.resume if word not in sys.argv]
            sleep(BETWEEN)
            continue
        go_on = f": what is finished is kept; go on with: {known.again}" if known.again else ""
        say(f"error: {why}{go_on}")
        return FAILED


@dataclass
class Work:
    """The working process, seen from the other one.

    Attributes:
        reports: where it tells what it does.
        woken: where the numbers of signals arrive that this process is sent.
        asked: the first signal that asked to stop.
    """

    pid: int
    reports: int
    woken: int
    known: Known = field(default_factory=Known)
    asked: int = 0
    _until: float | None = None
    _rest: bytes = b""

    @classmethod
    def start(cls, command: Callable[[], int]) -> "Work":
        reports, told = os.pipe()
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
        pid = os.fork()
        if pid == 0:
            for end in (reports, woken, wake):
                os.close(end)
            working(command, told, parent)
        os.close(told)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (*ASKING, signal.SIGCHLD):
            signal.signal(number, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
        return cls(pid, reports, woken)

    def wait(self) -> int:
        """Passes on what this process is asked, until the other one has ended; returns its status."""
        open_ends = [self.reports, self.woken]
        while True:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._read()
                return status
            if self._until is not None and monotonic() > self._until:
                self.kill()
            if self.known.limit is not None and monotonic() > self.known.limit:
                self.known.ray = self.known.limited
                self.kill()
            ready, _, _ = select.select(open_ends, [], [], 1.0)
            if self.reports in ready and not self._read():
                open_ends.remove(self.reports)
            if self.woken in ready:
                with suppress(BlockingIOError):
                    for number in os.read(self.woken, 100):
                        if number in ASKING:
                            self._stop(number)

    def _stop(self, number: int) -> None:
        while select.select([self.reports], [], [], 0)[0] and self._read():
            pass
        again = bool(self.asked)
        self.asked = self.asked or number
        if not self.known.in_order:
            self.kill()
            return
        os.kill(self.pid, ASKED)
        os.kill(self.pid, signal.SIGCONT)  # it may be stopped
        if again:
            self._until = self._until or monotonic() + PATIENCE

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _read(self) -> bool:
        """Learns what was told; False if nothing more comes."""
        said = os.read(self.reports, 1 << 16) if select.select([self.reports], [], [], 0)[0] else b""
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            self.known.learn(json.loads(line))
        return bool(said)


def working(command: Callable[[], int], told: int, parent: int) -> NoReturn:
    """Runs the command in the new process, which ends with it as every other does."""
    global _reports
    _reports = told
    control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that was said
        os._exit(FAILED)
    for number in ASKING:
        signal.signal(number, lambda number, frame: None)  # the other process decides
    ending.told, ending.limited, noise.may_hush = ray_ended, ray_ends_after, True
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
    streams.heed(nobody_reads)
    code: int | str | None = FAILED
    try:
        code = command()
        sys.stdout.flush()
    except SystemExit as leaving:
        code = leaving.code
        raise
    finally:
        tell(code=code if isinstance(code, int) else FAILED if code else 0)
    sys.exit(code)


def adopt_orphans() -> None:
    """What is left of the working process's own processes when it has gone becomes children of this one."""
    control(PR_SET_CHILD_SUBREAPER, 1)


def control(what: int, value: int) -> None:
    """Linux's prctl; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def end_descendants(within: float = 5.0) -> None:
    """SIGKILL for all that the working process has started and left."""
    until = monotonic() + within
    while monotonic() < until:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not (left := descendants(os.getpid())):
            return
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        sleep(0.01)


def descendants(of: int) -> list[int]:
    """All processes below one; none where the system does not tell."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            children.setdefault(int(entry.read_text(errors="replace").rpartition(")")[2].split()[1]), []).append(
                int(entry.parent.name)
            )
    found, new = [], [of]
    while new:
        new = [child for parent in new for child in children.get(parent, ())]
        found += new
    return found


def settle_in_a_process(folder: Path, settle: Settle) -> None:
    """What it imports would make this process one that cannot be forked safely; and it may fail, or hang."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            settle(folder)
        os._exit(0)
    until = monotonic() + SETTLING
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        sleep(0.02)


def how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    why = " (is there too little memory?)" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{why}"


def say_interrupted(known: Known) -> None:
    if any((folder / RECORD).exists() for folder in known.folders):
        say(f"interrupted; go on with: {known.again}")
    else:
        say("interrupted before the study began: nothing was written" if known.again else "interrupted")


def clean_up(drawn: int) -> None:
    """Removes what was drawn, and brings the cursor back: the other process has had no chance to."""
    if drawn and sys.stdout.isatty():
        sys.stdout.write("\r\x1b[2K" + "\x1b[1A\x1b[2K" * (drawn - 1) + "\x1b[?25h")
        sys.stdout.flush()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
