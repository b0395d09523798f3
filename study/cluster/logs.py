"""What the process of a run wrote, in Ray's files on the node that it ran on: these stay until the node goes."""

import socket
from pathlib import Path

import ray

from study.cluster import environment, sessions
from trainables.log import BEGINS


def of_run(run_id: str, node: str, process: int) -> tuple[Path, str]:
    """Ray's file of the process, and what it says of the run. Connects to the cluster for a file on another node.

    Raises ValueError where there is none any more.
    """
    found = here(run_id, process) if node == socket.gethostname() else there(run_id, node, process)
    if found is None:
        raise ValueError(
            f"the log of {run_id} is not on node {node} any more: Ray's files go with the node, with /tmp, "
            f"or {sessions.KEPT} Rays later"
        )
    return found


def here(run_id: str, process: int) -> tuple[Path, str] | None:
    """On this machine; of several clusters that were here the last one."""
    folders = [sessions.folder(), *(path.parent for path in environment.current_clusters())]
    files = [path for folder in folders for path in folder.glob(f"session_*/logs/worker-*-{process}.err")]
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        if (said := section(path.read_text(errors="replace"), run_id)) is not None:
            return path, said
    return None


def there(run_id: str, node: str, process: int) -> tuple[Path, str] | None:
    """On another node of the cluster that this command runs on. Raises ValueError."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from study.cluster import connection

    if environment.address() is None:
        raise ValueError(f"{run_id} ran on node {node}: ask for its log there, or on a node of its cluster")
    connection.quieten()
    with connection.connected():
        ids = [one["NodeID"] for one in ray.nodes() if one["Alive"] and one["NodeManagerHostname"] == node]
        for one in ids:  # several where nodes share a machine
            only = NodeAffinitySchedulingStrategy(one, soft=False)
            found = ray.get(ray.remote(here).options(num_cpus=0, scheduling_strategy=only).remote(run_id, process))
            if found:
                return found
    return None


def section(text: str, run_id: str) -> str | None:
    """From the line that heads a run, the last time that it began, to the next run's."""
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if BEGINS in line]
    own = [number for number in heads if lines[number].startswith(f"{run_id}{BEGINS}")]
    if not own:
        return None
    end = next((number for number in heads if number > own[-1]), len(lines))
    return "\n".join(lines[own[-1] : end])
