"""A study that waits for nodes says so, once, and says when it goes on."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from study.cluster import nodes
from study.text import duration
from trainables.resources import Resources

PATIENCE = 5.0  # seconds without a place for any run, where no node could hold one
OTHERS = 30.0  # where one could, but is full: of another study, or of what has just ended
ANY = 120.0  # whatever the reason: Ray may wait for a node that has stopped, for seven minutes
EVERY = 1.0  # second that the cluster is asked


class Placement:
    """Whether any run of a study has found a place.

    Args:
        resources: what a run asks for.
        say: told when none has for a while, and when one has.
    """

    def __init__(self, resources: Resources, say: Callable[[str], None]) -> None:
        self._resources, self._say = resources, say
        self._since: float | None = None  # none has had a place
        self._asked = 0.0
        self._said = False

    def look(self, *, running: bool) -> None:
        """To be called often.

        Args:
            running: some run has a process that trains it.
        """
        now = monotonic()
        if running:
            if self._said and self._since is not None:
                self._say(f"it goes on, after {duration(now - self._since)}")
            self._since, self._said = None, False
            return
        self._since = self._since or now
        if self._said or now - self._since < PATIENCE or now - self._asked < EVERY:
            return
        self._asked = now
        cluster = nodes.declared()
        full = any(holds(node, self._resources) for node in cluster.nodes)
        since = datetime.now().astimezone() - timedelta(seconds=now - self._since)
        if now - self._since >= (OTHERS if full else PATIENCE) and pending(self._resources):
            self._said = True
            wants = asked(self._resources)
            self._say(f"waiting for nodes since {since:%H:%M:%S}: a run asks for {wants}, and {cluster}")
        elif now - self._since >= ANY:
            self._said = True
            self._say(f"no run has started since {since:%H:%M:%S}: one starts slowly, or Ray waits for a stopped node")


def asked(resources: Resources) -> str:
    """In words: what a run of so many workers needs."""
    each = f"{resources.cpus:g} CPU" + (f" and {resources.gpus:g} GPU" if resources.gpus else "")
    if not resources.workers:
        return each
    return f"{resources.workers} times {each}" + (" on one node" if resources.pack else "")


def holds(node: nodes.Node, resources: Resources) -> bool:
    """Whether a worker would find a place on a node if it were empty."""
    return node.cpus >= resources.cpus and node.gpus >= resources.gpus


def pending(resources: Resources) -> bool:
    """Whether the cluster has requests like ours without a place, and not only a process that takes long to start."""
    from ray._private.worker import global_worker
    from ray.autoscaler.v2.sdk import get_cluster_resource_state

    with suppress(Exception):  # Ray's own protocol may change: then nothing is said
        state = get_cluster_resource_state(global_worker.gcs_client)  # type: ignore[attr-defined]
        single = [by_count.request for by_count in state.pending_resource_requests]
        groups = [request for gang in state.pending_gang_resource_requests for request in gang.requests]
        return any(like(request.resources_bundle, resources) for request in [*single, *groups])
    return False


def like(bundle: Mapping[str, float], resources: Resources) -> bool:
    cpus, gpus = bundle.get("CPU", 0), bundle.get("GPU", 0)
    return abs(cpus - resources.cpus) < 1e-3 and abs(gpus - resources.gpus) < 1e-3
