"""What may happen to a study. Each fault runs one command of a victim, and happens to it at a random moment."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.faults.suite.victim import Command, Ended, Victim

TRIAL = ("ray::ImplicitFunc", "ray::Worker")  # processes that train: the search's, and the pool's
RUNS = ("trial-000", "trial-002", "trial-004")


@dataclass(frozen=True)
class Fault:
    """
    Attributes:
        happens: runs the command `study.run ... --resume`, of a study that lasts so many seconds undisturbed.
        codes: with which the command may end.
        results_gone: the fault itself takes results away.
    """

    happens: Callable[[Victim, Random, float], Ended]
    codes: Sequence[int] = (0,)
    results_gone: bool = False
    needs: Callable[[], bool] = lambda: True


FAULTS: dict[str, Fault] = {}
Happens = Callable[[Victim, Random, float], Ended]


def fault(name: str, *codes: int, results_gone: bool = False, needs: Callable[[], bool] = lambda: True) -> Any:
    def declare(happens: Happens) -> Happens:
        FAULTS[name] = Fault(happens, codes or (0,), results_gone, needs)
        return happens

    return declare


def begun(victim: Victim, random: Random, span: float, *more: str, **variables: str) -> Command:
    """A command that has run for a random part of what it takes."""
    command = victim.start("--resume", *more, **variables)
    command.sleep(random.uniform(0.0, span))
    return command


def kill(command: Command, *names: str, random: Random) -> None:
    if members := command.members(*names):
        with suppress(psutil.Error):
            random.choice(members).kill()


@fault("SIGKILL of the process of a trial")
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    kill(command, *TRIAL, random=random)
    return command.wait()


@fault("SIGKILL of the study's process", -9, 0)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    with suppress(ProcessLookupError):
        command.process.kill()
    return command.wait()


@fault("SIGKILL of the raylet", 0, 1)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    kill(command, "raylet/raylet", random=random)
    return command.wait()


@fault("SIGKILL of the GCS", 0, 1)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    kill(command, "gcs_server", random=random)
    return command.wait()


@fault("SIGKILL of another process of Ray's", 0, 1)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    kill(command, "Agent", "agent.py", "monitor.py", "ray::IDLE", "ray::_", "log_monitor", random=random)
    return command.wait()


@fault("SIGSTOP of the process of a trial")
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span, "--stall-timeout", "10")
    for process in command.members(*TRIAL)[:1]:
        with suppress(psutil.Error):
            process.suspend()
    return command.wait()


@fault("SIGSTOP of the study's process for five seconds")
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    with suppress(ProcessLookupError):
        command.process.send_signal(signal.SIGSTOP)
        command.sleep(5)
        command.process.send_signal(signal.SIGCONT)
    return command.wait()


@fault("SIGTERM", 0, 130, 143)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    with suppress(ProcessLookupError):
        command.process.send_signal(signal.SIGTERM)
    return command.wait()


@fault("Ctrl-C", 0, 130)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    command.signal(signal.SIGINT)
    return command.wait()


@fault("Ctrl-C twice", 0, 130)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    command.signal(signal.SIGINT)
    command.sleep(random.uniform(0.05, 1.5))
    command.signal(signal.SIGINT)
    return command.wait()


@fault("Ctrl-C while a trial cleans up slowly", 0, 130)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span, FAULTS_INSIDE=f"slow finally@{random.choice(RUNS)}")
    command.signal(signal.SIGINT)
    return command.wait()


# Inside a trial

for what in ("an exception in the model", "the process ends itself", "a segmentation fault"):

    @fault(f"in a trial: {what}")
    def _(victim: Victim, random: Random, span: float, what: str = what) -> Ended:
        return victim.finish("--resume", FAULTS_INSIDE=f"{what}@{random.choice(RUNS)}")


# Files


def may_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A folder on a disk of so many bytes; what is in it afterwards stays."""
    folder.mkdir(exist_ok=True)
    kept = folder.with_name(f"{folder.name}-kept")
    shutil.copytree(folder, kept)
    used = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={used + size + (64 << 10)}", "none", str(folder)]
    if subprocess.run(mounted, check=False).returncode:
        shutil.rmtree(kept)
        yield
        return
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
        subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        shutil.rmtree(kept)


@fault("no room on the disk of the results", 0, 1, needs=may_mount)
def _(victim: Victim, random: Random, span: float) -> Ended:
    with small_disk(victim.results, int(10 ** random.uniform(3, 6.3))):
        return victim.finish("--resume")


@fault("no room on the disk of the activations", needs=may_mount)
def _(victim: Victim, random: Random, span: float) -> Ended:
    with small_disk(victim.cache, int(10 ** random.uniform(4, 7))):
        return victim.finish("--resume")


@fault("the folder of results is removed", 0, 1, results_gone=True)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    shutil.rmtree(victim.record, ignore_errors=True)
    return command.wait()


@fault("the cache is removed")
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    shutil.rmtree(victim.cache, ignore_errors=True)
    return command.wait()


@fault("files of the cache are damaged")
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    for path in sorted(victim.cache.rglob("*")):
        if path.is_file() and random.random() < 0.5:
            damage(path, random)
    return command.wait()


@fault("a file of the record is damaged", 0, 2, 1)
def _(victim: Victim, random: Random, span: float) -> Ended:
    """While the study is stopped. Where that is refused, the file is brought back, as the refusal says."""
    command = begun(victim, random, span)
    with suppress(ProcessLookupError):
        command.process.kill()
    command.process.wait()
    kept = victim.folder / "kept"
    held = [path for path in sorted(victim.record.glob("*")) if path.is_file()]
    if not held:
        return victim.finish("--resume")
    shutil.copytree(victim.record, kept)
    damage(random.choice(held), random)
    damaged = contents(victim.record)
    ended = victim.finish("--resume")
    if ended.code == 2:
        assert contents(victim.record) == damaged, "a refusal wrote into the record"
        shutil.rmtree(victim.record)
        shutil.copytree(kept, victim.record)
    shutil.rmtree(kept)
    return ended


def damage(path: Path, random: Random) -> None:
    with suppress(OSError):
        content = bytearray(path.read_bytes())
        if not content or random.random() < 0.2:
            path.write_bytes(bytes(content[: len(content) // 2]))
            return
        for _ in range(random.choice([1, 1, 8])):
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        path.write_bytes(bytes(content))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}


# Beside it


@fault("the same study a second time, meanwhile", 0)
def _(victim: Victim, random: Random, span: float) -> Ended:
    command = begun(victim, random, span)
    other = victim.start("--resume")
    first = command.wait()
    second = other.wait()
    assert second.code in (0, 2), f"the second ended with {second.code}: {second.said}"
    return first


@fault("the clock is set back by an hour", 0)
def _(victim: Victim, random: Random, span: float) -> Ended:
    return victim.finish("--resume", FAULTS_CLOCK=str(random.uniform(0, span)))


@fault("W&B cannot be reached", 0)
def _(victim: Victim, random: Random, span: float) -> Ended:
    return online(victim, "http://127.0.0.1:9")


@fault("W&B says nothing", 0)
def _(victim: Victim, random: Random, span: float) -> Ended:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        return online(victim, f"http://127.0.0.1:{silent.getsockname()[1]}")


@fault("W&B refuses", 0)
def _(victim: Victim, random: Random, span: float) -> Ended:
    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(random.choice([401, 403, 500]))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return online(victim, f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()


def online(victim: Victim, url: str) -> Ended:
    variables = {"WANDB_MODE": "online", "WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": url}
    return victim.finish("--resume", **variables)
