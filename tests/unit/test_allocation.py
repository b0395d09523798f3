"""What each run gets of a cluster: so much that all that are to run at a time find a place."""

import subprocess
import sys
from math import floor, inf
from typing import Any

import pytest
import torch

from study.cluster.allocation import GIB, RAY_PARTS, NoPlace, allocate, share
from study.cluster.nodes import Cluster, Node
from trainables import architecture, building, memory
from trainables.resources import Resources


def cluster(*nodes: float | tuple[float, int], coming: tuple[Node, ...] = (), **each: Any) -> Cluster:
    """Of nodes given by their CPUs, or their CPUs and GPUs."""
    both = [node if isinstance(node, tuple) else (node, 0) for node in nodes]
    return Cluster(tuple(Node(cpus, gpus, **each) for cpus, gpus in both), coming)


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
    ("nodes", "workers", "requested", "concurrent", "gpus", "cpus"),
    [
        (cluster((16, 2)), 1, None, 2, 1, 1),
        (cluster((16, 2)), 1, 3, 3, 0.5, 1),
        (cluster((16, 4)), 2, None, 2, 1, 1),
        (cluster((4, 1)), 1, 8, 8, 0.125, 0.5),  # the CPUs must suffice too
        (cluster((1, 1), (1, 1)), 1, None, 2, 1, 1),
        (cluster(2, coming=(Node(inf, 1),) * 4), 1, None, 4, 1, 1),
        (cluster(2, coming=(Node(8, 4),)), 4, None, 1, 1, 1),
        (cluster((8, 1), (8, 1), (8, 1), (8, 1)), 1, 5, 5, 0.5, 1),
        (cluster(4), 1, None, 4, 0, 1),
        (cluster(2), 1, None, 2, 0, 1),
        (cluster(2), 1, 1, 1, 0, 1),
        (cluster(2), 1, 3, 3, 0, 0.6666),  # three times 0.6667 would be more than two
        (cluster(2), 2, None, 1, 0, 0.9995),
        (cluster(1), 1, None, 1, 0, 1),
        (cluster(0, 2, 2), 1, None, 4, 0, 1),  # a head that trains nothing
        (cluster(1, 2, 2), 1, None, 5, 0, 1),
        (cluster(2, 2), 4, None, 1, 0, 0.9995),
    ],
)
def test_what_is_allocated(
    nodes: Cluster, workers: int, requested: int | None, concurrent: int, gpus: float, cpus: float
) -> None:
    found = allocate(workers, requested, nodes)
    resources = found.resources
    assert (found.at_a_time, resources.gpus, resources.cpus) == (concurrent, gpus, cpus)
    assert not found.notes


MANY_NODES = [[1, 2, 2], [2, 2], [1, 1], [1, 8], [4, 4, 4], [1, 64], [3, 5, 7], [1.5, 2], [2] * 40, [64] * 8]


@pytest.mark.parametrize("more", [1, 2, 3])
@pytest.mark.parametrize("cpus", MANY_NODES)
def test_all_runs_find_a_place_on_nodes_of_any_size(cpus: list[float], more: int) -> None:
    """As Ray counts: as many as fit on a node are placed there."""
    wanted = more * sum(floor(one) for one in cpus)
    found = allocate(1, wanted, cluster(*cpus))
    parts = round(found.resources.cpus * RAY_PARTS)
    assert found.at_a_time == wanted
    assert sum(floor(one * RAY_PARTS) // parts for one in cpus) >= wanted


# What does not fit


def test_models_share_a_gpu_only_as_far_as_its_memory_suffices() -> None:
    gpus = cluster((8, 1), (8, 1), (8, 1), (8, 1), gpu_memory=24 * GIB)
    found = allocate(1, 100, gpus, lambda: 10 * GIB)
    assert (found.at_a_time, found.resources.gpus) == (8, 0.5)
    assert found.notes == (
        "--max-concurrent 100: 8 at a time, 2 on a GPU, which has 24 GiB of memory, for a run may take 11.0",
    )


def test_so_many_runs_share_each_gpu_as_are_asked_for_and_its_memory_holds() -> None:
    gpus = cluster((8, 2), (4, 1), gpu_memory=24 * GIB)
    found = allocate(1, None, gpus, lambda: 1 * GIB, per_gpu=3)
    assert (found.at_a_time, found.resources.gpus, found.notes) == (9, 0.3333, ())
    found = allocate(1, None, gpus, lambda: 10 * GIB, per_gpu=3)
    assert (found.at_a_time, found.resources.gpus) == (6, 0.5)
    assert found.notes[0].startswith("--trials-per-gpu 3: 6 at a time, 2 on a GPU, which has 24 GiB of memory")


@pytest.mark.parametrize(("run_gib", "on_each"), [(1, 4), (10, 2), (20, 1)])
def test_auto_shares_a_gpu_as_far_as_its_memory_and_a_cpu_each_suffice(run_gib: float, on_each: int) -> None:
    gpus = cluster((8, 2), (16, 2), gpu_memory=24 * GIB)
    found = allocate(1, None, gpus, lambda: run_gib * GIB, per_gpu="auto")
    assert (found.at_a_time, found.notes) == (4 * on_each, ())


def test_a_share_of_a_gpu_needs_a_gpu_and_a_trial_of_one_worker() -> None:
    with pytest.raises(NoPlace, match="trials-per-gpu is 4, but the cluster has 1 node with 2 CPUs and 0 GPUs: leave"):
        allocate(1, None, cluster(2), per_gpu=4)
    with pytest.raises(NoPlace, match="trials-per-gpu is 2, but each of 2 workers of a trial has a GPU"):
        allocate(2, None, cluster((8, 2)), per_gpu=2)


def test_a_run_too_large_for_half_a_gpu_has_all_of_one() -> None:
    found = allocate(1, 6, cluster((32, 4), gpu_memory=24 * GIB), lambda: 14 * GIB)
    assert (found.at_a_time, found.resources.gpus) == (4, 1)
    assert "4 at a time, 1 on a GPU" in found.notes[0]


@pytest.mark.parametrize(("given", "at_a_time"), [(None, 3), (100, 3), (2, 2)])
def test_a_node_has_no_more_processes_than_memory_for_them(given: int | None, at_a_time: int) -> None:
    found = allocate(1, given, cluster(16, memory=4e9), lambda: 0.1e9)
    assert found.at_a_time == at_a_time
    assert bool(found.notes) == (given != 2)


def test_a_model_is_not_estimated_where_memory_is_plenty() -> None:
    allocate(1, None, cluster(2, memory=64e9), lambda: pytest.fail("this takes time"))
    allocate(1, None, cluster((2, 1)), lambda: pytest.fail("this takes time"))


@pytest.mark.parametrize(
    ("nodes", "workers", "mistake"),
    [
        (
            cluster((32, 4)),
            8,
            "workers-per-trial is 8, a GPU each, but the cluster has 1 node with 32 CPUs and 4 GPUs: give 4 at most",
        ),
        (
            cluster(2, coming=(Node(8, 1),) * 2),
            3,
            "workers-per-trial is 3, a GPU each, but the cluster has 1 node with 2 CPUs and 0 GPUs, and 2 nodes with "
            "16 CPUs and 2 GPUs may come: give 2 at most",
        ),
        (cluster(0), 1, "no node has a CPU or a GPU for runs: the cluster has 1 node with 0 CPUs and 0 GPUs"),
    ],
)
def test_what_can_never_be_placed_is_refused_in_a_line_that_says_what_there_is(
    nodes: Cluster, workers: int, mistake: str
) -> None:
    with pytest.raises(NoPlace) as error:
        allocate(workers, None, nodes)
    assert str(error.value) == mistake


def test_workers_never_share_gpus_and_fewer_trials_at_a_time_are_said() -> None:
    found = allocate(2, 4, cluster((8, 2), (8, 2)))
    assert (found.at_a_time, found.resources.gpus) == (2, 1)
    assert found.notes == ("--max-concurrent 4: 2 at a time, for 2 workers hold 2 whole GPUs",)


# Groups


@pytest.mark.parametrize(
    ("nodes", "workers", "pack", "at_a_time"),
    [
        (cluster((8, 2), (8, 2)), 2, True, 2),
        (cluster((8, 1), (8, 1)), 2, False, 1),
        (cluster((8, 3), (8, 3)), 2, True, 2),  # 3 pairs of GPUs, one of them on two nodes
        (cluster(2, 2), 2, True, 2),
        (cluster(2, 2), 4, False, 1),
    ],
)
def test_a_group_is_packed_where_a_node_can_hold_it(nodes: Cluster, workers: int, pack: bool, at_a_time: int) -> None:
    found = allocate(workers, None, nodes)
    assert (found.resources.pack, found.at_a_time) == (pack, at_a_time)


# Threads


def test_threads_are_those_of_the_node_that_a_run_is_on() -> None:
    """A head with 2 CPUs starts 4 nodes with a GPU and 8 CPUs each."""
    resources = allocate(1, None, cluster(2, coming=(Node(inf, 1),) * 4)).resources
    assert resources.threads_on(8, 1) == 8
    assert resources.threads_on(8, 4) == 2
    on_cpus = allocate(1, None, cluster(1, 2, 8)).resources
    assert [on_cpus.threads_on(cpus, 0) for cpus in (1, 2, 8)] == [1, 1, 1]
    assert allocate(1, 2, cluster(8, 8)).resources.threads == 4


def test_threads_on_one_machine_are_known_before() -> None:
    resources = allocate(1, 2, cluster(8)).resources
    assert (resources.threads, resources.processes, resources.threads_here()) == (4, 0, 4)
    assert Resources(threads=3).threads_here() == 3


# What a model takes


@pytest.mark.parametrize(
    ("name", "measured"), [("vit", 2_524), ("resnet", 3_119), ("coatnet", 10_086), ("alexnet", 1_164)]
)
def test_an_estimate_is_no_less_and_not_much_more_than_was_measured_on_a_gpu(name: str, measured: int) -> None:
    """MiB for batches of 64 in bf16: docs/gpu.md. Without pretraining, for that needs no network."""
    variant = architecture.get(name).variant("paper", "none")
    model = building.assemble(architecture.get(name), variant, 10)
    estimate = memory.training_bytes(model, variant.preprocessing.size, 64, half=True) / 2**20
    assert measured <= estimate <= 1.35 * measured
    assert torch.get_default_dtype() == torch.float32


DECLARED = """
import study, ray
from study.cluster import nodes
from study.cluster.allocation import allocate
from study.execution.pool import TrainingProcess
ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False)
found = allocate(1, 12, nodes.here())
remote = ray.remote(TrainingProcess).options(num_cpus=found.resources.cpus, num_gpus=found.resources.gpus)
workers = [remote.remote() for _ in range(found.at_a_time)]
print(len(ray.get([worker.call.remote(len, "placed") for worker in workers], timeout=140)))
"""


@pytest.mark.nodes
def test_ray_places_all_that_are_to_share_the_gpus_it_was_told_of() -> None:
    done = subprocess.run([sys.executable, "-c", DECLARED], capture_output=True, text=True, timeout=250)
    assert done.stdout.strip() == "12", done.stderr[-2000:]
