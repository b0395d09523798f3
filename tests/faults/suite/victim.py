"""A study, a comparison or a measurement that faults happen to: its processes, its files, and what it trained."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]
MARK = "FAULTS_VICTIM"  # in the environment of every process of a study under test
STACKS = signal.SIGRTMIN + 2  # at which a process of ours writes the stacks of its threads
LONGEST = 400.0  # seconds in which a command trains nothing before it counts as hanging: Ray gives up after 420
SETTLE = 8.0  # seconds for processes to go when their study has ended
# threads that wait for others do not take the cores from them: a machine may be busy with more than the suite
QUIETLY = {"RAY_ADDRESS": "local", "WANDB_MODE": "disabled", "OMP_WAIT_POLICY": "PASSIVE"}
NEVER = ("Traceback", "*** SIG", "W&B: '")
MOST_LINES = 60  # of a command to which several faults happen


@dataclass
class Ended:
    """A command that has ended: how, after how many seconds, and what it said on standard error."""

    code: int | None
    seconds: float
    said: str

    @property
    def in_order(self) -> bool:
        """No traceback, no dump, no error of W&B's thread, no more lines than a reader takes in."""
        return not any(words in self.said for words in NEVER) and self.said.count("\n") < MOST_LINES


@dataclass
class Victim:
    """
    Attributes:
        folder: of all its files; short, for sockets are in it.
        words: of its command, without the place of its results.
        again: what the command is given besides, to go on.
        variables: of its commands' environment, beside those that keep it apart from everything else here.
    """

    folder: Path
    words: Sequence[str]
    again: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    commands: int = 0

    def __post_init__(self) -> None:
        for path in (self.home, self.temporary):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def records(self) -> list[Path]:
        """The folders of its studies."""
        return sorted(path.parent for path in self.results.rglob("study.json"))

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def trace(self) -> Path:
        return self.folder / "trace"

    def environment(self, **more: str) -> dict[str, str]:
        apart = {
            name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "WANDB_", "FAULTS_"))
        }
        return apart | {**QUIETLY, **self.own, **self.variables, **more}

    @property
    def own(self) -> dict[str, str]:
        """What each of its processes has, those of its nodes included."""
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "STUDY_CACHE": str(self.cache),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/faults/suite/inside'}",
            "FAULTS_TRACE": str(self.trace),
            "FAULTS_STACKS": str(int(STACKS)),
            MARK: str(self.folder),
        }

    def start(self, *more: str, **variables: str) -> "Command":
        """Begins it, or goes on with it."""
        again = self.again if self.commands else ()
        self.commands += 1
        path = self.folder / f"said-{self.commands}"
        seen, began = len(self.trained()), time.monotonic()
        with path.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.words, *again, *more],
                cwd=self.folder,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        return Command(self, process, path, began, seen)

    def finish(self, *more: str, **variables: str) -> Ended:
        """The command, to its end."""
        return self.start(*more, **variables).wait()

    def processes(self) -> Iterator[psutil.Process]:
        """All that any of its commands started, whoever is their parent now."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def strays(self) -> list[str]:
        """What still runs when all has ended."""
        deadline = time.monotonic() + SETTLE
        while (left := list(self.processes())) and time.monotonic() < deadline:
            time.sleep(0.2)
        names = []
        for process in left:
            with suppress(psutil.Error):
                names.append(f"process {process.name()}")
                process.kill()
        return names

    def trained(self) -> list[tuple[float, str, str]]:
        """(when, `begin`, `epoch` or `end`, run) of everything that was trained."""
        if not self.trace.exists():
            return []
        lines = [line.split() for line in self.trace.read_text().splitlines()]
        return [(float(line[0]), line[2], line[3]) for line in lines if len(line) == 4]

    def remove(self) -> None:
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Command:
    """One command of a victim, running.

    Attributes:
        seen: how many lines the trace of what is trained had when it began.
    """

    victim: Victim
    process: subprocess.Popen[bytes]
    said: Path
    began: float
    seen: int

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def lasts(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def hangs(self) -> bool:
        """Whether it has trained nothing for long. Eleven faults to one command take longer, one after another."""
        try:
            since = time.time() - self.victim.trace.stat().st_mtime
        except FileNotFoundError:  # nothing was trained yet
            since = self.lasts
        return min(since, self.lasts) > LONGEST

    def sleep(self, seconds: float) -> bool:
        """Waits so long, unless the command ends before; whether it still runs."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.running

    def trains(self, events: int) -> bool:
        """Waits until that many of a run's begin, epochs and end have been seen; whether it still runs."""
        while self.running and len(self.victim.trained()) - self.seen < events:
            if self.hangs:
                return False
            time.sleep(0.02)
        return self.running

    @property
    def worker(self) -> psutil.Process | None:
        """The process that works: the command's own only waits for it."""
        with suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return next((child for child in own.children() if child.cmdline() == own.cmdline()), None)
        return None

    def members(self, *names: str) -> list[psutil.Process]:
        """Its processes whose name or command holds one of these words."""
        found = []
        for process in self.victim.processes():
            with suppress(psutil.Error):
                said = f"{process.name()} {' '.join(process.cmdline())}"
                if any(name in said for name in names):
                    found.append(process)
        return found

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal does it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stacks(self) -> str:
        """Of the process that works, when it has hung for long."""
        for process in (self.worker, self.process):
            if process is not None:
                os.kill(process.pid, STACKS)
        time.sleep(1)
        return "".join(path.read_text() for path in sorted(self.victim.folder.glob("trace-stacks-*")))

    def wait(self) -> Ended:
        hanging = ""
        while self.running and not self.hangs:
            time.sleep(0.05)
        code = self.process.returncode
        if code is None:
            hanging = self.stacks()
            for process in self.victim.processes():
                with suppress(psutil.Error):
                    process.kill()
            self.process.wait()
        said = self.said.read_text(errors="replace")
        return Ended(code, self.lasts, said + hanging)
