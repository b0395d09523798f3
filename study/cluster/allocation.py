"""What each run may use of the cluster: its share of the CPUs and GPUs, and how many runs there are at a time."""

import ray

from trainables.resources import Resources


def gpus(resources: dict[str, float]) -> int:
    """GPUs of a cluster, those it has not started yet included: ray_cluster.yaml declares them on its head."""
    return int(max(resources.get("GPU", 0), resources.get("autoscaled_gpus", 0)))


def allocate(workers: int, requested: int | None) -> tuple[Resources, int]:
    """What each run may use, and how many run at a time (one per GPU, or one per core, unless `requested`).

    The logical CPUs of all runs together leave one for Ray Data, which otherwise starves. Runs that share a GPU
    get a fraction of it each.
    """
    cluster = ray.cluster_resources()
    cpus, graphics = int(cluster.get("CPU", 1)), gpus(cluster)
    concurrent = requested or max(1, (graphics or cpus) // workers)
    processes = concurrent * workers
    return Resources(
        workers=0 if workers == 1 else workers,
        cpus=1 if graphics or processes < cpus else max((cpus - 1) / processes, 0.1),
        threads=max(1, cpus // processes),
        gpus=0 if not graphics else (1 if processes <= graphics else graphics / processes),
    ), concurrent
