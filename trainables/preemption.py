"""Spot nodes that will be taken away: their cloud says so beforehand, and the runs there go on elsewhere.

Every process that trains on a cluster asks its node's metadata address, and Ray whether somebody drains the node. When
the cloud gives notice the node is drained: Ray starts no process there any more, and ends it at the deadline. A run
that sees `leaving` keeps its state after its next step, and ends; that is no failure, and it goes on on another node.
"""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import ray

EVERY = 5  # seconds between two questions: a notice comes 30 s (GCP, Azure) to 120 s (AWS) ahead
PATIENCE = 1  # seconds for an answer, which comes from the node's own host
HEEDS = "STUDY_HEEDS_NOTICES"  # set in the processes of a cluster
AHEAD = {"AWS": 120, "GCP": 30, "Azure": 30}


def aws() -> bool | None:
    """Whether this node is to go; None where this is not the cloud's address. IMDSv2, which wants a token."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
    token = ask(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, method="PUT")
    if not token:
        return None
    said = ask(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    return bool(said) and '"action"' in str(said)  # until then there is no such page


def gcp() -> bool | None:
    host = os.environ.get("GCE_METADATA_HOST") or "169.254.169.254"
    said = ask(f"http://{host}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return said.strip() == "TRUE" if said and said.strip() in ("TRUE", "FALSE") else None


def azure() -> bool | None:
    base = os.environ.get("AZURE_METADATA_ENDPOINT") or "http://169.254.169.254"
    said = ask(f"{base}/metadata/scheduledevents?api-version=2020-07-01", {"Metadata": "true"})
    try:
        events = json.loads(said or "")["Events"]
    except (ValueError, KeyError, TypeError):
        return None
    return any(event.get("EventType") == "Preempt" for event in events)


CLOUDS: dict[str, Callable[[], bool | None]] = {"AWS": aws, "GCP": gcp, "Azure": azure}


def ask(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """What a metadata address says, past any proxy; None where nobody answers, or there is no such page."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(urllib.request.Request(url, headers=headers, method=method), timeout=PATIENCE) as answer:
            return str(answer.read(100_000).decode(errors="replace"))
    except (OSError, ValueError):
        return None


LEAVES = "its node will be taken away: it goes on elsewhere from its checkpoint"
leaving = threading.Event()  # this process's node will be taken away


class Preempted(RuntimeError):
    """The node of a run will be taken away: it is kept, and no failure. It says `LEAVES`, whatever wraps it."""


@cache
def heed() -> None:
    """Starts to wait for the end of this process's node, once in a process, if the study runs on a cluster.

    A thread, and no task beside the processes that train: a node with a task is never idle, so it would not be given
    back.
    """
    if os.environ.get(HEEDS):
        threading.Thread(target=wait, daemon=True).start()


def wait() -> None:
    """Until the cloud gives notice of this node, which is drained then, or somebody else drains it."""
    node, cloud = ray.get_runtime_context().get_node_id(), this_cloud()
    while not leaving.is_set():
        with suppress(Exception):  # the head may not answer now; a node that is not drained is a node that is lost
            if cloud is not None and CLOUDS[cloud]():
                try:  # first: a run that leaves ends this process, and must not begin again on this node
                    drain(node, AHEAD[cloud])
                finally:
                    leaving.set()
            elif node in head().get_draining_nodes(timeout=PATIENCE):
                leaving.set()
        leaving.wait(EVERY)


def this_cloud() -> str | None:
    """Whose metadata address this node has; None where there is none."""
    return next((name for name, asked in CLOUDS.items() if asked() is not None), None)


def drain(node_id: str, seconds: int) -> None:
    """Ray starts nothing more on a node, and ends it after so many seconds."""
    from ray.core.generated import autoscaler_pb2

    reasons = autoscaler_pb2.DrainNodeReason  # type: ignore[attr-defined]
    deadline = int(1000 * (time.time() + seconds))
    reason = reasons.Value("DRAIN_NODE_REASON_PREEMPTION")
    head().drain_node(node_id, reason, "the cloud takes the node away", deadline, timeout=PATIENCE * 10)


def head() -> Any:
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    return GcsClient(address=ray.get_runtime_context().gcs_address)
