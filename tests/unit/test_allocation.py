"""What each run gets of a cluster: so much that all that are to run at a time find a place."""

import subprocess
import sys

import pytest
import ray

from study.cluster.allocation import RAY_PARTS, allocate, share


@pytest.mark.parametrize("graphics", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5, 6, 7, 12, 30, 64])
def test_fractions_of_gpus_pack(processes: int, graphics: int) -> None:
    """As Ray counts: in 1/10,000, rounded, and no process has parts of two GPUs."""
    parts = round(share(processes, graphics) * RAY_PARTS)
    assert graphics * (RAY_PARTS // parts) >= processes


@pytest.mark.parametrize(
    ("processes", "graphics", "each"), [(1, 1, 1), (2, 4, 1), (4, 4, 1), (3, 2, 0.5), (6, 1, 0.1666), (5, 0, 0)]
)
def test_the_share_of_a_process(processes: int, graphics: int, each: float) -> None:
    assert share(processes, graphics) == each


@pytest.mark.parametrize(
    ("cluster", "workers", "requested", "concurrent", "gpus", "cpus"),
    [
        ({"CPU": 16, "GPU": 2}, 1, None, 2, 1, 1),
        ({"CPU": 16, "GPU": 2}, 1, 3, 3, 0.5, 1),
        ({"CPU": 16, "GPU": 4}, 2, None, 2, 1, 1),
        ({"CPU": 4, "GPU": 1}, 1, 8, 8, 0.125, 3 / 8),  # the CPUs must suffice too
        ({"CPU": 2, "autoscaled_gpus": 4}, 1, None, 4, 1, 1),
        ({"CPU": 4}, 1, None, 4, 0, 3 / 4),
    ],
)
def test_what_is_allocated(
    monkeypatch: pytest.MonkeyPatch,
    cluster: dict[str, float],
    workers: int,
    requested: int | None,
    concurrent: int,
    gpus: float,
    cpus: float,
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: cluster)
    resources, at_a_time = allocate(workers, requested)
    assert (at_a_time, resources.gpus, resources.cpus) == (concurrent, gpus, cpus)


DECLARED = """
import study, ray
from study.cluster.allocation import allocate
from study.execution.pool import Worker
ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False)
resources, concurrent = allocate(1, 12)
remote = ray.remote(Worker).options(num_cpus=resources.cpus, num_gpus=resources.gpus)
workers = [remote.remote() for _ in range(concurrent)]
print(len(ray.get([worker.call.remote(len, "placed") for worker in workers], timeout=90)))
"""


@pytest.mark.slow
def test_ray_places_all_that_are_to_share_the_gpus_it_was_told_of() -> None:
    done = subprocess.run([sys.executable, "-c", DECLARED], capture_output=True, text=True, timeout=150)
    assert done.stdout.strip() == "12", done.stderr[-2000:]
