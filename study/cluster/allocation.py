"""What each run may use of the cluster: its share of the CPUs and GPUs, and how many runs there are at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, inf
from typing import Literal

from study.cluster.nodes import Cluster, Node
from trainables.resources import OWNER_CPUS, Resources

GIB = 1 << 30
RAY_PARTS = 10_000  # Ray counts in these of a CPU or GPU, and rounds
PROCESS_BYTES = 0.9e9  # of a warm process, resident: torch, Ray and this package
GPU_PROCESS_BYTES = 1 * GIB  # of a process on a GPU, beside its tensors: CUDA's context and its libraries' workspaces
GPU_BYTES = 16 * GIB  # of a GPU that does not say
FREE_MEMORY = 0.2  # of a node: for Ray's object store, and what else runs there


class NoPlace(ValueError):
    """What is asked for can run nowhere on this cluster."""


@dataclass(frozen=True)
class Allocation:
    """What each run may use, how many run at a time, and what of it was not as asked."""

    resources: Resources
    at_a_time: int
    notes: tuple[str, ...] = ()


def share(processes: int, graphics: int) -> float:
    """Of a GPU, for each of the processes: a whole one, or a fraction so small that all of them find a place.

    No process can have parts of two GPUs, so that 3 on 2 get a half each and not two thirds.
    """
    if not graphics:
        return 0
    on_each = ceil(processes / graphics)
    return 1 if on_each == 1 else rounded_down(1 / on_each)


def rounded_down(amount: float) -> float:
    """As Ray counts: six times 1/6 would be more than one."""
    return floor(amount * RAY_PARTS + 1e-6) / RAY_PARTS


def allocate(
    workers: int,
    requested: int | None,
    cluster: Cluster,
    run_bytes: Callable[[], float] = lambda: 0,
    *,
    per_gpu: int | Literal["auto"] | None = None,
) -> Allocation:
    """What each run may use, and how many run at a time (one per GPU, or one per core, unless `requested`).

    Runs share a GPU, or a node's memory, only as far as it suffices for what they are estimated to take. They may hold
    all CPUs: what brings their images asks for none.

    Args:
        workers: of each run.
        requested: how many runs at a time, if that was given.
        cluster: its nodes.
        run_bytes: estimates the memory of a worker's tensors; asked only where it may matter.
        per_gpu: how many runs share a GPU, in the place of `requested`; `auto` for as many as find room.

    Raises NoPlace.
    """
    if per_gpu is not None:
        if not cluster.gpus:
            raise NoPlace(f"trials-per-gpu is {per_gpu}, but {cluster}: leave it out, or give --max-concurrent")
        if workers > 1:
            raise NoPlace(f"trials-per-gpu is {per_gpu}, but each of {workers} workers of a trial has a GPU: give one")
        requested = cluster.gpus * (most_on_a_gpu(cluster) if per_gpu == "auto" else per_gpu)
        found = on_gpus(workers, requested, cluster, run_bytes, f"--trials-per-gpu {per_gpu}")
        return replace(found, notes=()) if per_gpu == "auto" else found
    if cluster.gpus:
        return on_gpus(workers, requested, cluster, run_bytes, f"--max-concurrent {requested}")
    return on_cpus(workers, requested, cluster, run_bytes)


def most_on_a_gpu(cluster: Cluster) -> int:
    """So many runs that each has a CPU beside its share of a GPU."""
    cpus = [node.cpus / node.gpus for node in cluster.all if node.gpus and node.cpus < inf]
    return max(1, floor(min(cpus, default=1)))


def on_gpus(
    workers: int, requested: int | None, cluster: Cluster, run_bytes: Callable[[], float], asked: str
) -> Allocation:
    """
    Args:
        workers, requested, cluster, run_bytes: as `allocate` has them.
        asked: the option that says how many at a time, for a note that there are fewer.

    Raises NoPlace.
    """
    nodes = [node for node in cluster.all if node.gpus]
    if workers > cluster.gpus:
        raise NoPlace(f"workers-per-trial is {workers}, a GPU each, but {cluster}: give {cluster.gpus} at most")
    pack = workers > 1 and any(node.gpus >= workers for node in nodes)
    whole = sum(node.gpus // workers for node in nodes) if pack else cluster.gpus // workers
    concurrent = requested or whole
    notes: list[str] = []
    if workers > 1:
        if concurrent > whole:
            notes.append(f"{asked}: {whole} at a time, for {workers} workers hold {workers} whole GPUs")
        concurrent, on_each = min(concurrent, whole), 1
    else:
        on_each = ceil(concurrent / cluster.gpus)
        if on_each > 1:
            memory = min(node.gpu_memory or GPU_BYTES for node in nodes)
            needed = GPU_PROCESS_BYTES + run_bytes()
            fit = max(1, floor(memory / needed))
            if on_each > fit:
                notes.append(
                    f"{asked}: {fit * cluster.gpus} at a time, {fit} on a GPU, which has "
                    f"{memory / GIB:.0f} GiB of memory, for a run may take {needed / GIB:.1f}"
                )
            on_each = min(on_each, fit)
            concurrent = min(concurrent, on_each * cluster.gpus)
    processes = concurrent * workers
    there = [(node.cpus, min(processes, on_each * node.gpus)) for node in nodes]
    each = min([1.0, *((cpus - owners(workers, concurrent)) / count for cpus, count in there)])
    resources = resources_of(
        workers, each, share(processes, cluster.gpus) if workers == 1 else 1, processes, nodes, pack=pack
    )
    return Allocation(resources, concurrent, tuple(notes))


def on_cpus(workers: int, requested: int | None, cluster: Cluster, run_bytes: Callable[[], float]) -> Allocation:
    nodes = [node for node in cluster.all if node.cpus > 0]
    if not nodes:
        raise NoPlace(f"no node has a CPU or a GPU for runs: {cluster}")
    wanted = [max(1, floor(node.cpus)) for node in nodes]
    if requested:  # more than one per core, as asked, over all nodes alike
        wanted = [max(count, ceil(requested * workers * count / sum(wanted))) for count in wanted]
    room = [processes_in_memory(node, count, run_bytes) for node, count in zip(nodes, wanted, strict=True)]
    pack = workers > 1 and any(count >= workers for count in room)
    whole = max(1, sum(count // workers for count in room) if pack else sum(room) // workers)
    concurrent = min(requested, whole) if requested and room != wanted else requested or whole
    notes: list[str] = []
    if room != wanted and concurrent < (requested or max(1, sum(wanted) // workers)):
        asked = f"--max-concurrent {requested}: " if requested else ""
        notes.append(f"{asked}{concurrent} at a time, for memory has no room for more ({cluster})")
    processes = concurrent * workers
    left = [node.cpus - owners(workers, concurrent) for node in nodes]
    each = min(1.0, *(cpus / count for cpus, count in zip(left, room, strict=True)))
    return Allocation(resources_of(workers, each, 0, processes, nodes, pack=pack), concurrent, tuple(notes))


def owners(workers: int, concurrent: int) -> float:
    """CPUs that the owners of worker groups may ask for on one node."""
    return concurrent * OWNER_CPUS if workers > 1 else 0


def processes_in_memory(node: Node, wanted: int, run_bytes: Callable[[], float]) -> int:
    """As many of the wanted processes as a node has memory for; one at least."""
    memory = (1 - FREE_MEMORY) * node.memory
    if memory >= wanted * 8 * PROCESS_BYTES:  # plenty: to estimate a model takes longer
        return wanted
    return max(1, min(wanted, floor(memory / (PROCESS_BYTES + run_bytes()))))


def resources_of(
    workers: int, cpus: float, gpus: float, processes: int, nodes: Sequence[Node], *, pack: bool
) -> Resources:
    resources = Resources(
        workers=0 if workers == 1 else workers,
        cpus=rounded_down(cpus),
        gpus=gpus,
        pack=pack,
        processes=processes,
    )
    known = [resources.threads_on(node.cpus, node.gpus) for node in nodes if node.cpus < inf]
    alone = len(nodes) == 1
    threads = max(1, int(nodes[0].cpus) // processes) if alone and known else min(known, default=1)
    return replace(resources, threads=threads, processes=0 if alone and known else processes)
