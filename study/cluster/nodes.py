"""What nodes a cluster has for runs, and which may still come."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import ray

from study.cluster import environment
from study.text import plural
from trainables.resources import cores

PATIENCE = 20  # seconds for a node to say what it has
HEAD = "node:__internal_head__"


@dataclass(frozen=True)
class Node:
    """What one node has.

    Attributes:
        cpus: as declared to Ray, and no more than it has cores; infinite where nothing is known of one that may come.
        gpus: whole ones.
        memory: bytes that its processes may take; infinite where it does not say.
        gpu_memory: bytes of the smallest of its GPUs; 0 where it does not say.
        id: Ray's; empty for one that may come.
    """

    cpus: float
    gpus: int = 0
    memory: float = inf
    gpu_memory: int = 0
    id: str = ""


@dataclass(frozen=True)
class Cluster:
    """The nodes there are, and those that the autoscaler may add when they are asked for."""

    nodes: tuple[Node, ...]
    coming: tuple[Node, ...] = ()

    @property
    def all(self) -> tuple[Node, ...]:
        return self.nodes + self.coming

    @property
    def gpus(self) -> int:
        return sum(node.gpus for node in self.all)

    def __str__(self) -> str:
        """For a message: what there is, and what may come."""
        return f"the cluster has {totals(self.nodes)}" + (
            f", and {totals(self.coming)} may come" if self.coming else ""
        )


def totals(nodes: tuple[Node, ...]) -> str:
    cpus = sum(node.cpus for node in nodes)
    known = f" with {cpus:g} CPU{'' if cpus == 1 else 's'} and" if cpus < inf else " with"
    return f"{plural(len(nodes), 'node')}{known} {plural(sum(node.gpus for node in nodes), 'GPU')}"


def declared() -> Cluster:
    """The cluster that this process is connected to, as its nodes were declared to Ray."""
    return of_nodes({})


def here(*, gpu_memory: bool = False) -> Cluster:
    """The cluster that this process is connected to; each of its nodes is asked what cores and memory it really has.

    `gpu_memory`: its GPUs too, which takes a driver that is not kept loaded a second.
    """
    return of_nodes(measure([node["NodeID"] for node in ray.nodes() if node["Alive"]], gpu_memory=gpu_memory))


def of_nodes(measured: Mapping[str, "Measured"]) -> Cluster:
    alive = [node for node in ray.nodes() if node["Alive"]]
    nodes = tuple(described(node, measured.get(node["NodeID"])) for node in alive)
    return Cluster(nodes, tuple(may_come(nodes, alive)) if environment.address() else ())


def described(node: Mapping[str, Any], measured: "Measured | None") -> Node:
    declared = node["Resources"]
    cpus, gpus = declared.get("CPU", 0.0), int(declared.get("GPU", 0))
    if measured is None:
        return Node(cpus, gpus, id=node["NodeID"])
    return Node(min(cpus, measured.cores), gpus, measured.memory, measured.gpu_memory, node["NodeID"])


# What a machine says of itself


@dataclass(frozen=True)
class Measured:
    cores: float
    memory: float
    gpu_memory: int


def this_machine(*, gpus: bool) -> Measured:
    return Measured(cores(), memory(), gpu_memory() if gpus else 0)


def measure(ids: list[str], *, gpu_memory: bool) -> dict[str, Measured]:
    """What each node has; a node that does not answer in time is left out."""
    if environment.address() is None:
        return dict.fromkeys(ids, this_machine(gpus=gpu_memory))
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask: Any = this_machine
    remote = ray.remote(num_cpus=0, max_retries=0)(ask)
    there = {
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            gpus=gpu_memory
        ): node
        for node in ids
    }
    found = {}
    for answer in ray.wait(list(there), num_returns=len(there), timeout=PATIENCE)[0]:
        with suppress(Exception):  # a node that dies now has nothing for runs
            found[there[answer]] = ray.get(answer)
    return found


def memory() -> float:
    """Bytes of this machine, or of the part of it that a container may take; infinite where it does not say."""
    limits = [inf]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(1024 * int(next(line for line in lines if line.startswith("MemTotal:")).split()[1]))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" is no number
            limits.append(int((Path("/sys/fs/cgroup") / limit).read_text()))
    return min(limits)


def gpu_memory() -> int:
    """Bytes of the smallest NVIDIA GPU here; 0 where there is none that says."""
    if shutil.which("nvidia-smi") is None:
        return 0
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=PATIENCE / 2).stdout
        return min(int(line) for line in said.split()) << 20
    return 0


# What may come


def may_come(nodes: tuple[Node, ...], alive: Sequence[Mapping[str, Any]]) -> Iterator[Node]:
    """Nodes that the autoscaler may add: by its node types, else as many GPUs as the head declares that may come."""
    config = autoscaling()
    if config is None:
        declared = sum(node["Resources"].get("autoscaled_gpus", 0) for node in alive)
        yield from [Node(inf, 1)] * int(declared - sum(node.gpus for node in nodes))
        return
    workers = [node for node in alive if HEAD not in node["Resources"]]
    left = config["max_workers"] - len(workers)
    for kind in config["types"]:
        there = sum(same(kind, node["Resources"]) for node in workers)
        count = max(0, min(left, kind["max_workers"] - there))
        left -= count
        yield from [Node(kind["CPU"], int(kind["GPU"]))] * count


def same(kind: Mapping[str, float], resources: Mapping[str, float]) -> bool:
    return all(kind[name] == resources.get(name, 0) for name in ("CPU", "GPU"))


def autoscaling() -> dict[str, Any] | None:
    """The autoscaler's `max_workers`, and its worker types with their CPUs and GPUs, most GPUs first.

    From the file that the autoscaler beside this process was started with: Ray keeps it nowhere else. None where there
    is none, or on another node than the head.
    """
    path = autoscaling_file()
    if path is None:
        return None
    import yaml

    with suppress(OSError, yaml.YAMLError):
        config = yaml.safe_load(path.read_text())
        most = int(config.get("max_workers", 2))  # Ray's default
        types = [
            {
                "CPU": float(kind.get("resources", {}).get("CPU", 0)),
                "GPU": float(kind.get("resources", {}).get("GPU", 0)),
                "max_workers": int(kind.get("max_workers", most)),
            }
            for name, kind in config.get("available_node_types", {}).items()
            if name != config.get("head_node_type")
        ]
        return {"max_workers": most, "types": sorted(types, key=lambda kind: -kind["GPU"])}
    return None


def autoscaling_file() -> Path | None:
    """What the monitor of this process's cluster was given, if it runs on this machine."""
    address = ray.get_runtime_context().gcs_address
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = command.read_bytes().decode(errors="replace").split("\0")
            given = [word.partition("=")[2] for word in words if word.startswith("--autoscaling-config=")]
            if given and f"--gcs-address={address}" in words:
                return Path(given[0]).expanduser()
    return None
