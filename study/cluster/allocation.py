"""What each run may use of the cluster: its share of the CPUs and GPUs, and how many runs there are at a time."""

from math import ceil, floor

import ray

from trainables.resources import Resources

RAY_PARTS = 10_000


def gpus(resources: dict[str, float]) -> int:
    """GPUs of a cluster, those it has not started yet included: ray_cluster.yaml declares them on its head."""
    return int(max(resources.get("GPU", 0), resources.get("autoscaled_gpus", 0)))


def share(processes: int, graphics: int) -> float:
    """Of a GPU, for each of the processes: a whole one, or a fraction so small that all of them find a place.

    No process can have parts of two GPUs, so that 3 on 2 get a half each and not two thirds. Ray counts in 1/10,000 and
    rounds: six times 1/6 would be more than one.
    """
    if not graphics:
        return 0
    on_each = ceil(processes / graphics)
    return 1 if on_each == 1 else floor(RAY_PARTS / on_each) / RAY_PARTS


def allocate(workers: int, requested: int | None) -> tuple[Resources, int]:
    """What each run may use, and how many run at a time (one per GPU, or one per core, unless `requested`).

    The logical CPUs of all runs together leave one for Ray Data, which otherwise starves. Runs that share a GPU
    get a fraction of it each.
    """
    cluster = ray.cluster_resources()
    cpus, graphics = int(cluster.get("CPU", 1)), gpus(cluster)
    concurrent = requested or max(1, (graphics or cpus) // workers)
    processes = concurrent * workers
    autoscaled = graphics > cluster.get("GPU", 0)  # so are the CPUs beside them
    return Resources(
        workers=0 if workers == 1 else workers,
        cpus=1 if autoscaled or processes < cpus else max((cpus - 1) / processes, 0.1),
        threads=max(1, cpus // processes),
        gpus=share(processes, graphics),
    ), concurrent
