"""Worker groups: processes that train one run together, by torch.distributed, and stay for the runs that follow.

Whoever trains a run owns the group: the process of a trial or of the pool. The group ends with it. What places its
processes is the owner's placement group, where that has room for them, or one of the group's own.
"""

import os
import socket
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import psutil
import ray
import torch.distributed as dist
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from trainables import process
from trainables.resources import OWNER_CPUS, Resources
from trainables.run import Outcome

Row = dict[str, Any]
Task = Callable[..., Outcome]  # of what `WorkerGroup.run` is given, and of a function that reports a row

START_SECONDS = 300  # a process that is started has torch to import
CONNECT_SECONDS = 120
# One worker fills the store while others wait for their first gradients; who died is for the owner to notice
WAIT_FOR_OTHERS = timedelta(days=7)
UNWIND_SECONDS = 60
# After a run that failed in one worker has ended there: the others may be waiting for it
LAST_WORDS_SECONDS = 10


def bundles(resources: Resources) -> list[dict[str, float]]:
    """What the owner of a group and its workers ask of Ray, all at once: two owners with half a group each would wait
    for one another.
    """
    worker = {kind: amount for kind, amount in (("CPU", resources.cpus), ("GPU", resources.gpus)) if amount}
    return [{"CPU": OWNER_CPUS}, *(dict(worker) for _ in range(resources.workers))]


def strategy(resources: Resources) -> str:
    """All on one node where one can hold them: gradients do not cross the network then."""
    return "STRICT_PACK" if resources.pack else "PACK"


_rooms: "weakref.WeakKeyDictionary[Any, weakref.finalize[..., Any]]" = weakref.WeakKeyDictionary()  # of owners


def owner(process: type, resources: Resources) -> Any:
    """A Ray actor that is to have a group, with room for both; the room is given back by `end`, or with its handle.

    The actor does not ask for it itself: it could not give it back if it was killed.
    """
    room = placement_group(bundles(resources), strategy(resources))
    remote: Any = ray.remote(num_cpus=OWNER_CPUS)(process)
    handle = remote.options(scheduling_strategy=PlacementGroupSchedulingStrategy(room, 0)).remote()
    _rooms[handle] = back = weakref.finalize(handle, give_back, room)
    back.atexit = False
    return handle


def end(process: Any) -> None:
    """Ends an actor, and gives the room of an owner back: Ray may keep handles of those that have died."""
    ray.kill(process)
    if back := _rooms.pop(process, None):
        back()


def give_back(room: PlacementGroup) -> None:
    if ray.is_initialized():
        remove_placement_group(room)


class Stopped(BaseException):
    """The owner of the group wants no more of this run."""


@dataclass(frozen=True)
class Ended:
    """What a worker says last of a run."""

    outcome: Outcome


class Member:
    """One worker of a group: a warm process that runs its part of one run after another.

    A run is in a thread of its own, which waits at every row that it reports until the owner has had a row of every
    worker: all of them stop after the same epoch, or none.
    """

    _store: TCPStore

    def __init__(self) -> None:
        self._said: SimpleQueue[Row | Ended | BaseException] = SimpleQueue()
        self._go_on: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def where(self) -> tuple[str, str]:
        """This node's address, and the type of device that the worker has."""
        return ray.util.get_node_ip_address(), process.device().type

    def open_store(self, address: str) -> int:
        """The first worker's part of the meeting: the port at which the others find it, open on one address alone."""
        listening = socket.create_server((address, 0))
        port = listening.getsockname()[1]
        self._store = TCPStore(
            address, port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach()
        )
        return port

    def join(self, rank: int, size: int, backend: str, address: str, port: int) -> None:
        """Becomes worker `rank` of `size`; returns when all have met."""
        own = ray.util.get_node_ip_address()
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            if interface := interface_of(own):
                os.environ.setdefault(variable, interface)
        if rank:
            self._store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=CONNECT_SECONDS))
        device = process.device()
        dist.init_process_group(
            backend,
            store=self._store,
            rank=rank,
            world_size=size,
            timeout=WAIT_FOR_OTHERS,
            device_id=device if backend == "nccl" else None,
        )

    def begin(self, task: Task, arguments: tuple[Any, ...]) -> Row | Ended:
        """Starts a run, and returns what it says first. Raises what the run raised."""
        assert self._thread is None
        self._thread = threading.Thread(target=self._run, args=(task, arguments), daemon=True)
        self._thread.start()
        return self._next()

    def advance(self) -> Row | Ended:
        """Lets the run go on, and returns what it says next. Raises what the run raised."""
        self._go_on.put(True)
        return self._next()

    def stop(self) -> None:
        """Ends the run where it waits; returns when it has let go of what it held."""
        assert self._thread
        self._go_on.put(False)
        self._thread.join()
        self._thread = None
        self._said.get()  # that it was stopped

    def _next(self) -> Row | Ended:
        said = self._said.get()
        if isinstance(said, dict):
            return said
        assert self._thread
        self._thread.join()
        self._thread = None
        if isinstance(said, BaseException):
            raise said
        return said

    def _run(self, task: Task, arguments: tuple[Any, ...]) -> None:
        try:
            self._said.put(Ended(task(*arguments, self._report)))
        except BaseException as error:  # whatever it is, the owner is told
            self._said.put(error)

    def _report(self, row: Row) -> None:
        self._said.put(row)
        if not self._go_on.get():
            raise Stopped


class WorkerGroup:
    """The workers that this process has run its runs; they train one at a time.

    Raises a RuntimeError where they cannot reach each other, TimeoutError where one does not start, or was stopped, and
    RayError where one is lost or fails: then the group is closed, for its other workers wait for what never comes.
    """

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.closed = False
        given = ray.util.get_current_placement_group()
        wanted = bundles(resources)
        self._own: PlacementGroup | None = None
        if given is None or given.bundle_count != len(wanted):
            given = self._own = placement_group(wanted, strategy(resources))
        remote: Any = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(Member)
        self.members = [
            remote.options(scheduling_strategy=PlacementGroupSchedulingStrategy(given, 1 + rank)).remote()
            for rank in range(resources.workers)
        ]
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        try:
            places = ray.get([member.where.remote() for member in self.members], timeout=START_SECONDS)
        except ray.exceptions.GetTimeoutError:
            raise TimeoutError(f"a worker of a run did not start within {START_SECONDS} s") from None
        address = places[0][0]
        # NCCL refuses two workers on one GPU
        backend = "nccl" if self.resources.gpus >= 1 and {device for _, device in places} == {"cuda"} else "gloo"
        port = ray.get(self.members[0].open_store.remote(address))
        size = len(self.members)
        joined = [member.join.remote(rank, size, backend, address, port) for rank, member in enumerate(self.members)]
        try:
            ray.get(joined, timeout=CONNECT_SECONDS)
        except ray.exceptions.GetTimeoutError:
            nodes = ", ".join(sorted({place for place, _ in places}))
            raise RuntimeError(
                f"the workers of a run did not reach each other within {CONNECT_SECONDS} s ({backend}, on {nodes}): "
                "open all ports between these nodes, or name their network in GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME"
            ) from None

    def run(self, task: Task, arguments: tuple[Any, ...], report: Callable[[Row], None]) -> Outcome:
        """One run; returns the first worker's outcome.

        Args:
            task: what every worker runs, with these arguments and then a function that reports a row.
            report: called with the first worker's row when all have reported. What it raises, also to end this
                thread, ends the run in all workers, which stay.
        """
        given = ray.put(arguments)
        pending = [member.begin.remote(task, given) for member in self.members]
        while True:
            try:
                said = self._said_by_all(pending)
            except ray.exceptions.RayError as error:
                cause = self._cause(error)
                self.close()
                raise cause from None
            except BaseException:
                self.close()
                raise
            if isinstance(said, Ended):
                return said.outcome
            try:
                report(said)
            except BaseException:
                self._stop()
                raise
            pending = [member.advance.remote() for member in self.members]

    def alive(self) -> bool:
        """Whether all workers are there: one may have died since the last run, or been stopped."""
        if self.closed:
            return False
        try:
            ray.get([member.where.remote() for member in self.members], timeout=UNWIND_SECONDS)
        except ray.exceptions.RayError:
            self.close()
        return not self.closed

    def _said_by_all(self, pending: list[ray.ObjectRef]) -> Row | Ended:
        """What the first worker says, when all have spoken; or the failure of one that the others wait for."""
        waiting, said = dict(zip(pending, range(len(pending)), strict=True)), {}
        failed: Ended | None = None
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=LAST_WORDS_SECONDS if failed else None)
            if failed and not ready:
                self.close()
                return failed
            for ref in ready:
                one = said[waiting.pop(ref)] = ray.get(ref)
                failed = one if isinstance(one, Ended) and one.outcome.failure else failed
        assert len({type(one) for one in said.values()}) == 1, "some workers have ended, and others not"
        return said[0]

    def _cause(self, error: ray.exceptions.RayError) -> ray.exceptions.RayError:
        """That a worker has died, where one has: the others may have said first that they lost the connection to it."""
        answers = [member.where.remote() for member in self.members]
        for answer in ray.wait(answers, num_returns=len(answers), timeout=LAST_WORDS_SECONDS)[0]:
            try:
                ray.get(answer)
            except ray.exceptions.RayError as death:
                return death
        return error

    def _stop(self) -> None:
        try:
            ray.get([member.stop.remote() for member in self.members], timeout=UNWIND_SECONDS)
        except ray.exceptions.RayError:
            self.close()

    def close(self) -> None:
        """Ends the workers."""
        self.closed = True
        for member in self.members:
            ray.kill(member)
        if self._own:
            remove_placement_group(self._own)
            self._own = None


_of_this_process: list[WorkerGroup] = []


def current(resources: Resources) -> WorkerGroup:
    """The group of this process: the one that its last run had, or a new one."""
    if _of_this_process and not (_of_this_process[0].resources == resources and _of_this_process[0].alive()):
        close()
    if not _of_this_process:
        _of_this_process.append(WorkerGroup(resources))
    return _of_this_process[0]


def close() -> None:
    """Ends the group of this process, if it has one."""
    while _of_this_process:
        group = _of_this_process.pop()
        if not group.closed:
            group.close()


def interface_of(address: str) -> str | None:
    """The network interface of this machine that has an address, None if none has.

    gloo and NCCL announce the address of an interface. Which one gloo takes without being told follows from the host's
    name, which Debian and Ubuntu resolve to 127.0.1.1: a group over such hosts never meets.
    """
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address.partition("%")[0] == address for one in addresses):
            return name
    return None
