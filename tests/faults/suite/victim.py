"""A study that faults happen to: its processes, its files, and what it trained."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[3]
MARK = "FAULTS_VICTIM"  # in the environment of every process of a study under test
NAME = "victim"
STUDY = [
    *["study.run", "--model", "resnet", "--pretraining", "none", "--name", NAME, "--max-concurrent", "1"],
    *["--trials", "5", "--epochs", "2", "--top-k", "1", "--seeds", "1"],
]
LONGEST = 240.0  # seconds for a command, after which it counts as hanging
SETTLE = 8.0  # seconds for processes to go when their study has ended


@dataclass
class Ended:
    """A command that has ended: how, after how many seconds, and what it said on standard error."""

    code: int | None
    seconds: float
    said: str

    @property
    def in_order(self) -> bool:
        """No traceback, no dump, no more lines than a reader takes in."""
        return "Traceback" not in self.said and "*** SIG" not in self.said and self.said.count("\n") < 25


@dataclass
class Victim:
    """
    Attributes:
        folder: of all its files; short, for sockets are in it.
        variables: of its commands' environment, beside those that keep it apart from everything else here.
        words: of its command.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=lambda: list(STUDY))
    ended: list[Ended] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in (self.home, self.temporary):
            path.mkdir(parents=True)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def record(self) -> Path:
        return self.results / NAME

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

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
        return apart | {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "STUDY_CACHE": str(self.cache),
            "RAY_ADDRESS": "local",
            "WANDB_MODE": "disabled",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/faults/suite/inside'}",
            "FAULTS_TRACE": str(self.trace),
            "FAULTS_DONE": str(self.folder / "done"),
            MARK: str(self.folder),
            **self.variables,
            **more,
        }

    def start(self, *more: str, **variables: str) -> "Command":
        command = [sys.executable, "-m", *self.words, "--results", str(self.results), *more]
        path = self.folder / f"said-{len(list(self.folder.glob('said-*')))}"
        began = time.monotonic()
        with path.open("w") as said:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        return Command(self, process, path, began)

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
                names.append(process.name())
                process.kill()
        return names

    def trained(self) -> list[tuple[float, str, str]]:
        """(when, `begin` or `end`, run) of everything that was trained."""
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
    """One command of a victim, running."""

    victim: Victim
    process: subprocess.Popen[bytes]
    said: Path
    began: float

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def sleep(self, seconds: float) -> bool:
        """Waits so long, unless the command ends before; whether it still runs."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.running

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

    def wait(self) -> Ended:
        try:
            code: int | None = self.process.wait(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            code = None
            for process in self.victim.processes():
                with suppress(psutil.Error):
                    process.kill()
            self.process.wait()
        ended = Ended(code, time.monotonic() - self.began, self.said.read_text(errors="replace"))
        self.victim.ended.append(ended)
        return ended
