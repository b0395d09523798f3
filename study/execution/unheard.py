"""Processes of a study's runs that have never given a sign of life: they still start, or are stopped, or hang in that.

Ray waits for one that is stopped for seven minutes.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import ray
from ray._private import state as rays

from study.execution import processes
from study.execution.training_process import TrainingProcess
from trainables.group import Member
from trainables.heartbeat import prefix

TRIAL = "ImplicitFunc"  # Tune's own class, of the process of a trial
GIVE_SIGNS = (TRIAL, TrainingProcess.__name__)  # at once when they are there; a worker of a group only in its runs
THERE = ("PENDING_CREATION", "ALIVE")  # what Ray calls an actor that is being made in its process, and one that is


@dataclass
class Silent:
    """
    Attributes:
        since: when it was seen first.
        next: when its state will be looked at.
        stopped: when that was looked at last.
    """

    since: float
    next: float
    stopped: bool = False


class Unheard:
    def __init__(self) -> None:
        self._silent: dict[bytes, Silent] = {}

    def wait(self, seconds: float) -> None:
        """For so long nobody looked."""
        for one in self._silent.values():
            one.since, one.next = one.since + seconds, one.next + seconds

    def look(
        self, now: float, heard: Container[bytes], *, patience: float, starting: float
    ) -> Iterator[tuple[bytes, dict[str, Any], float]]:
        """Those that are to be ended: key, process and seconds of silence.

        Args:
            heard: keys of the processes that give signs.
            patience: seconds between two looks at one, at both of which it has to be stopped.
            starting: seconds that one has to start in.

        Raises RayError where a node does not answer.
        """
        there = {key: actor for key, actor in actors().items() if key not in heard}
        self._silent = {key: self._silent.get(key) or Silent(now, now + patience) for key in there}
        for key, one in self._silent.items():
            if now < one.next:
                continue
            one.next = now + patience
            node, pid = there[key]["Address"]["NodeID"], there[key]["Pid"]
            if not (found := processes.state(node, pid)):
                continue
            began, state = found
            before, one.stopped = one.stopped, state == psutil.STATUS_STOPPED
            late = name(there[key]) in GIVE_SIGNS and now - one.since > starting
            if late or (before and one.stopped):
                yield key, {"node": node, "pid": pid, "born": began, "stacks": None, "run_id": ""}, now - one.since


def actors() -> dict[bytes, dict[str, Any]]:
    """What Ray knows of the processes that train for this study, each under the key of its signs of life."""
    job = ray.get_runtime_context().get_job_id()
    found: dict[bytes, dict[str, Any]] = {}
    for state in THERE:
        for actor in rays.actors(job_id=ray.JobID(bytes.fromhex(job)), actor_state_name=state).values():
            if actor["Pid"] and name(actor) in (*GIVE_SIGNS, Member.__name__):
                found[f"{prefix(job)}{actor['Address']['NodeID']}/{actor['Pid']}".encode()] = actor
    return found


def name(actor: Mapping[str, Any]) -> str:
    """Of its class, which Ray has with the function around it, unless that class was read from a pickle."""
    return str(actor["ActorClassName"]).rpartition(".")[2]
