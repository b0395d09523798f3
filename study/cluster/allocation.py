"""What each run may use of the cluster: its share of the CPUs and GPUs, and how many runs there are at a time."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, inf

from study.cluster.nodes import Cluster, Node
from trainables.resources import Resources

GIB = 1 << 30
RAY_PARTS = 10_000  # Ray counts in these of a CPU or GPU, and rounds
PROCESS_BYTES = 0.9e9  # of a warm process, resident: torch, Ray and this package
GPU_PROCESS_BYTES = 1 * GIB  # of a process on a GPU, beside its tensors: CUDA's context and its libraries' workspaces
GPU_BYTES = 16 * GIB  # of a GPU that does not say
FREE_MEMORY = 0.2  # of a node: for Ray's object store, and what else runs there
LEAST_FREE = 0.1  # of a CPU, on each node, for Ray Data


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
    workers: int, requested: int | None, cluster: Cluster, run_bytes: Callable[[], float] = lambda: 0
) -> Allocation:
    """What each run may use, and how many run at a time (one per GPU, or one per core, unless `requested`).

    On every node some of a CPU stays free for Ray Data, which otherwise starves. Runs share a GPU, or a node's memory,
    only as far as it suffices for what they are estimated to take.

    Args:
        workers: of each run.
        requested: how many runs at a time, if that was given.
        cluster: its nodes.
        run_bytes: estimates the memory of a worker's tensors; asked only where it may matter.

    Raises NoPlace.
    """
    if cluster.gpus:
        return on_gpus(workers, requested, cluster, run_bytes)
    return on_cpus(workers, requested, cluster, run_bytes)


def on_gpus(workers: int, requested: int | None, cluster: Cluster, run_bytes: Callable[[], float]) -> Allocation:
    nodes = [node for node in cluster.all if node.gpus]
    if workers > cluster.gpus:
        raise NoPlace(f"workers-per-trial is {workers}, a GPU each, but {cluster}: give {cluster.gpus} at most")
    pack = workers > 1 and any(node.gpus >= workers for node in nodes)
    whole = sum(node.gpus // workers for node in nodes) if pack else cluster.gpus // workers
    concurrent = requested or whole
    notes: list[str] = []
    if workers > 1:
        if concurrent > whole:
            notes.append(
                f"--max-concurrent {requested}: {whole} at a time, for {workers} workers hold {workers} whole GPUs"
            )
        concurrent, on_each = min(concurrent, whole), 1
    else:
        on_each = ceil(concurrent / cluster.gpus)
        if on_each > 1:
            memory = min(node.gpu_memory or GPU_BYTES for node in nodes)
            needed = GPU_PROCESS_BYTES + run_bytes()
            fit = max(1, floor(memory / needed))
            if on_each > fit:
                notes.append(
                    f"--max-concurrent {requested}: {fit * cluster.gpus} at a time, {fit} on a GPU, which has "
                    f"{memory / GIB:.0f} GiB of memory, for a run may take {needed / GIB:.1f}"
                )
            on_each = min(on_each, fit)
            concurrent = min(concurrent, on_each * cluster.gpus)
    processes = concurrent * workers
    there = [(node.cpus, min(processes, on_each * node.gpus)) for node in nodes]
    free = min([1.0, *(left_for_data(cpus) for cpus, _ in there if cpus)])
    each = min([1.0, *((cpus - free) / count for cpus, count in there)])
    resources = resources_of(
        workers, max(0, each), share(processes, cluster.gpus) if workers == 1 else 1, free, processes, nodes, pack=pack
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
        notes.append(f"{asked}{concurrent} at a time, for the memory of {cluster} has no room for more")
    processes = concurrent * workers
    if len(nodes) == 1:
        cpus = floor(nodes[0].cpus) or nodes[0].cpus
        free = left_for_data(cpus)
        each = 1.0 if processes < cpus else (cpus - free) / processes
    else:
        each, free = shares([node.cpus for node in nodes], room, processes, groups_of=workers if pack else 1)
    return Allocation(resources_of(workers, each, 0, free, processes, nodes, pack=pack), concurrent, tuple(notes))


def processes_in_memory(node: Node, wanted: int, run_bytes: Callable[[], float]) -> int:
    """As many of the wanted processes as a node has memory for; one at least."""
    memory = (1 - FREE_MEMORY) * node.memory
    if memory >= wanted * 8 * PROCESS_BYTES:  # plenty: to estimate a model takes longer
        return wanted
    return max(1, min(wanted, floor(memory / (PROCESS_BYTES + run_bytes()))))


def left_for_data(cpus: float) -> float:
    """Of a node's CPUs: a whole one, or the half of the only one."""
    return 1.0 if cpus >= 2 else cpus / 2


def shares(cpus: Sequence[float], wanted: Sequence[int], processes: int, groups_of: int = 1) -> tuple[float, float]:
    """The share of a CPU for each process, and what then stays free on every node, wherever Ray places them.

    All processes have one shape, and Ray places them where there is room. So the share is one of which, on each node,
    as many as fit there leave something over: with nodes of 1 and 2 CPUs two thirds of a CPU, of which 1 and 2 fit.

    Args:
        cpus: of each node.
        wanted: how many processes are meant to be on each node; more than that only if there is no other way.
        processes: on all nodes together.
        groups_of: so many must be on one node.
    """

    kinds = Counter((floor(one * RAY_PARTS), most) for one, most in zip(cpus, wanted, strict=True))

    def quality(each: int) -> tuple[bool, int, int]:
        fit = {kind: min(processes, kind[0] // each) for kind in kinds}
        if sum(count // groups_of * kinds[kind] for kind, count in fit.items()) * groups_of < processes:
            return False, -processes * len(cpus), 0
        least = min(parts - count * each for (parts, _), count in fit.items())
        beyond = sum(max(0, count - kind[1]) * kinds[kind] for kind, count in fit.items())
        return least >= LEAST_FREE * RAY_PARTS, -beyond, min(RAY_PARTS, least)

    each = max(range(RAY_PARTS, 0, -1), key=quality)
    free = quality(each)[2] - RAY_PARTS // 100  # not all: what Tune holds for a group is in it
    return each / RAY_PARTS, max(1, free) / RAY_PARTS


def resources_of(
    workers: int, cpus: float, gpus: float, data_cpus: float, processes: int, nodes: Sequence[Node], *, pack: bool
) -> Resources:
    resources = Resources(
        workers=0 if workers == 1 else workers,
        cpus=rounded_down(cpus),
        gpus=gpus,
        pack=pack,
        data_cpus=rounded_down(data_cpus),
        processes=processes,
    )
    known = [resources.threads_on(node.cpus, node.gpus) for node in nodes if node.cpus < inf]
    alone = len(nodes) == 1
    threads = max(1, int(nodes[0].cpus) // processes) if alone and known else min(known, default=1)
    return replace(resources, threads=threads, processes=0 if alone and known else processes)
