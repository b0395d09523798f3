"""Several Ray nodes on this machine: a study sees a real cluster, with a store, a raylet and workers for each node."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import ray.cluster_utils
from ray._common.utils import reset_ray_address

ROOT = Path(__file__).parents[1]
STORE_BYTES = 100 << 20  # of Ray's objects, on each node


class Cluster:
    """Ray's cluster of nodes on this machine, in a process of its own.

    For a client of an ended cluster takes its process with it after a minute, and this process goes on.
    """

    def __init__(self) -> None:
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._process.submit(begin).result()

    @property
    def address(self) -> str:
        return self._process.submit(address).result()

    def add(self, sees: Mapping[Path, Path], **resources: Any) -> int:
        """The number of a new node. Raises OSError where it cannot have a view of its own."""
        return self._process.submit(add, sees, resources).result()

    def kill(self, node: int) -> None:
        self._process.submit(kill, node).result()

    def stop(self, node: int) -> None:
        self._process.submit(stop, node).result()

    def end_the_stopped(self) -> None:
        self._process.submit(end_the_stopped).result()

    def shutdown(self) -> None:
        self._process.submit(end).result()
        self._process.shutdown()


# In that process

_cluster: ray.cluster_utils.Cluster | None = None
_nodes: list[Any] = []
_stopped: list[psutil.Process] = []


def begin() -> None:
    global _cluster
    _cluster = ray.cluster_utils.Cluster()


def running() -> ray.cluster_utils.Cluster:
    assert _cluster is not None
    return _cluster


def address() -> str:
    return str(running().address)


def add(sees: Mapping[Path, Path], resources: Mapping[str, Any]) -> int:
    def start() -> Any:
        return running().add_node(object_store_memory=STORE_BYTES, include_dashboard=False, **resources)

    _nodes.append(in_a_view(sees, start) if sees else start())
    reset_ray_address()  # no command may take this for the cluster of this machine
    return len(_nodes) - 1


def kill(node: int) -> None:
    running().remove_node(_nodes[node], allow_graceful=False)


def stop(node: int) -> None:
    raylet = psutil.Process(_nodes[node].all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.suspend()
        _stopped.append(process)


def end_the_stopped() -> None:
    for process in _stopped:
        with suppress(psutil.Error):
            process.kill()
    _stopped.clear()


def end() -> None:
    end_the_stopped()  # they would not hear that they are to end
    running().shutdown()


CLONE_FS, CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x200, 0x20000, 0x1000, 0x4000, 1 << 18


def in_a_view(sees: Mapping[Path, Path], start: Callable[[], Any]) -> Any:
    """What `start` returns; the processes that it starts are in a mount namespace of their own.

    Raises OSError where this process may not arrange that.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def done(failed: int) -> None:
        if failed:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    ours, folder = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY), Path.cwd()
    done(libc.unshare(CLONE_NEWNS))
    try:
        done(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
        for path, other in sees.items():
            done(libc.mount(bytes(other), bytes(path), None, ctypes.c_ulong(MS_BIND), None))
        return start()
    finally:
        libc.unshare(CLONE_FS)  # threads that were started meanwhile share what changes here
        back = libc.setns(ours, CLONE_NEWNS)
        os.close(ours)
        os.chdir(folder)
        assert back == 0, os.strerror(ctypes.get_errno())


# In the process of the tests


@dataclass
class Nodes:
    """A running cluster: `nodes[0]` is its head."""

    cluster: Cluster
    folder: Path
    nodes: list[int] = field(default_factory=list)

    def add(self, *, sees: Mapping[Path, Path] | None = None, **resources: Any) -> int:
        """Starts a node: `num_cpus`, `num_gpus`, `resources`, `env_vars`; its cached activations are its own.

        Args:
            sees: paths at which the node's processes see another file or folder than all others, as another machine
                would. Skips the test where a process may not arrange that.
        """
        import pytest

        variables = {"STUDY_CACHE": str(self.folder / f"cache-{len(self.nodes)}")} | resources.pop("env_vars", {})
        try:
            self.nodes.append(self.cluster.add(sees or {}, env_vars=variables, **resources))
        except OSError as error:
            if not sees:
                raise
            pytest.skip(f"a node cannot have a view of its own here: {error.strerror}")
        return self.nodes[-1]

    def kill(self, node: int) -> None:
        """SIGKILL for all processes of a node."""
        self.cluster.kill(node)

    def stop(self, node: int) -> None:
        """SIGSTOP for all processes of a node, which nobody can reach then."""
        self.cluster.stop(node)

    def end_the_stopped(self) -> None:
        """As when machines that did not answer are switched off."""
        self.cluster.end_the_stopped()

    @property
    def environment(self) -> dict[str, str]:
        """For a command that is to run on this cluster."""
        return os.environ | {"RAY_ADDRESS": self.cluster.address, "PYTHONPATH": str(ROOT)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", *words]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A command of the package, as `study.run`, on the cluster, in the cluster's folder."""
        given = {"cwd": self.folder, "env": self.environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.command(*words), text=True, **{**given, **options})

    def run(self, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"not ended after {timeout} s\n{out}\n{err}") from None
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@contextmanager
def ray_nodes(folder: Path, *nodes: dict[str, Any] | int) -> Iterator[Nodes]:
    """A cluster of a head and more nodes, each given by its CPUs or by what `Nodes.add` takes."""
    given: Sequence[dict[str, Any]] = [{"num_cpus": one} if isinstance(one, int) else one for one in nodes]
    running = Nodes(Cluster(), folder)
    try:
        for one in given:
            running.add(**one)
        yield running
    finally:
        running.cluster.shutdown()


@dataclass
class Head:
    """A head that `ray start` started, which wants a token: under a home and a temporary folder of its own."""

    folder: Path
    dashboard_port: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def address(self) -> str:
        return (self.folder / "ray" / "ray_current_cluster").read_text().strip()

    @property
    def url(self) -> str:
        """Where it takes jobs."""
        return f"http://127.0.0.1:{self.dashboard_port}"


@contextmanager
def ray_head(folder: Path, *, token: str, cpus: int = 1, dashboard: bool = False) -> Iterator[Head]:
    """A head as a user starts it. Its processes end with it."""
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as another:
        head = Head(folder, free.getsockname()[1])
        agent = another.getsockname()[1]  # Ray's default is that of the session's node, and one without it takes no job
    secret = head.home / ".ray" / "auth_token"
    secret.parent.mkdir(parents=True)
    secret.write_text(token)
    variables = {"RAY_TMPDIR": str(folder), "HOME": str(head.home), "RAY_AUTH_MODE": "token", "PYTHONPATH": str(ROOT)}
    variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    options = ["--port=0", f"--num-cpus={cpus}", f"--object-store-memory={STORE_BYTES}", "--disable-usage-stats"]
    options += [f"--include-dashboard={str(dashboard).lower()}", f"--dashboard-port={head.dashboard_port}"]
    options += [f"--dashboard-agent-listen-port={agent}"]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", *options]
    log = folder / "log"
    with log.open("w") as said:
        process = subprocess.Popen(command, env=os.environ | variables, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + 180
        while not re.search("Ray runtime started", log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield head
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=5)  # Ray gives its dashboard half a minute
        for member in left:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait(timeout=60)
