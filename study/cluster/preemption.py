"""Spot nodes that will be taken away: their cloud says so beforehand, and Ray is told.

Every process that trains on a cluster asks its node's metadata address. When that gives notice the node is drained: Ray
starts no process there any more, and ends it at the deadline. What trains there may come to its end; what does not is
lost with the node, and tried again elsewhere without counting as failed.
"""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import ray

from study.cluster import environment

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


# In every process that trains


@cache
def heed() -> None:
    """Starts to wait for the notice of this node's cloud, once in a process, if the study runs on a cluster.

    A thread, and no task beside the processes that train: a node with a task is never idle, so it would not be given
    back.
    """
    if os.environ.get(HEEDS):
        threading.Thread(target=wait, daemon=True).start()


def wait() -> None:
    """Drains this node when its cloud gives notice; ends soon where there is no cloud."""
    with suppress(Exception):  # a node that is not drained is a node that is lost
        if (found := notice()) is not None:
            drain(ray.get_runtime_context().get_node_id(), AHEAD[found])


def notice() -> str | None:
    """Waits for the notice of this node's cloud, and returns which it is; None, soon, where there is none."""
    cloud = next((name for name, asked in CLOUDS.items() if asked() is not None), None)
    while cloud is not None and not CLOUDS[cloud]():
        time.sleep(EVERY)
    return cloud


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


# In the process of the study


@contextmanager
def watched(say: Callable[[str], object]) -> Iterator[None]:
    """Inside, it is said in one line of each node of the cluster that it will be taken away."""
    if environment.address() is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=watch, args=(over, say), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)


def watch(over: threading.Event, say: Callable[[str], object]) -> None:
    """Asks the head, until it is over, which nodes are drained, whoever asked for it."""
    told: set[str] = set()
    asked: Any = None
    while not over.wait(2):
        with suppress(Exception):  # the head does not answer now
            asked = asked or head()
            new = {node: at for node, at in asked.get_draining_nodes(timeout=5).items() if node not in told}
            names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()} if new else {}
            for node, deadline in new.items():
                told.add(node)
                left = f" in {max(deadline / 1000 - time.time(), 0):.0f} s" if deadline else ""
                say(f"note: node {names.get(node, node)} goes away{left}: what it loses goes on elsewhere")
