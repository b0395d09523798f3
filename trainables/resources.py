"""What one run may use of the machines."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OWNER_CPUS = 0.001  # of the process that has a worker group: it waits


@dataclass(frozen=True)
class Resources:
    """What one run may use: its workers, and for each of them logical CPUs, threads and GPUs (fractions share one).

    As for Ray Train, no workers means local mode: the run is trained in the process that asks for it.

    Attributes:
        pack: all workers of a run on one node (STRICT_PACK), which some node can hold.
        processes: how many workers of all runs there are at a time on a cluster, for each to count its threads where
            it runs; 0: all run on one machine, and `threads` is right there.
    """

    workers: int = 0
    cpus: float = 1
    threads: int = 1
    gpus: float = 0
    pack: bool = False
    processes: int = 0

    def threads_on(self, cpus: float, gpus: float) -> int:
        """Threads of a worker on a node of so many CPUs and GPUs, which shares them with what else may run there."""
        beside = [self.processes, *([gpus // self.gpus] if self.gpus else [cpus // self.cpus if self.cpus else cpus])]
        return max(1, int(cpus // max(1, min(beside))))

    def threads_here(self) -> int:
        """Threads of a worker in this process."""
        return self.threads_on(*of_this_node()) if self.processes else self.threads


@cache
def of_this_node() -> tuple[float, float]:
    """Ray's CPUs and GPUs of the node that this process runs on; no more CPUs than it has cores."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    resources = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == here)
    return min(resources.get("CPU", 0), cores()), resources.get("GPU", 0)


def cores() -> float:
    """Of this machine, or of the part of it that this process may use: a container has a quota."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    allowed, period = quota.read_text().split() if quota.exists() else ("max", "1")
    return usable if allowed == "max" else max(1.0, min(usable, int(allowed) / int(period)))
