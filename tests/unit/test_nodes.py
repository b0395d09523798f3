"""What a cluster is taken to have: its nodes as they are, and those that may still come."""

import os
from math import inf
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from study.cluster import nodes
from study.cluster.nodes import Cluster, Measured, Node, described, may_come
from trainables.resources import cores

HEAD = {"Alive": True, "NodeID": "h", "Resources": {"CPU": 6.0, "autoscaled_gpus": 4.0, nodes.HEAD: 1.0}}
GPU = {"Alive": True, "NodeID": "g", "Resources": {"CPU": 8.0, "GPU": 1.0}}


def test_this_machine_is_asked_for_its_cores_and_memory(ray_session: None) -> None:
    (node,) = nodes.here().nodes
    assert node.cpus == min(ray.cluster_resources()["CPU"], cores())
    assert cores() <= (os.cpu_count() or 1)
    assert 1e9 < node.memory < inf


def test_declared_cpus_are_believed_up_to_the_cores_that_are_there() -> None:
    assert described(GPU, Measured(cores=2, memory=4e9, gpu_memory=24 << 30)) == Node(2, 1, 4e9, 24 << 30, "g")
    assert described(GPU, None) == Node(8, 1, id="g")  # it has not answered


def test_without_node_types_the_head_declares_the_gpus_that_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "autoscaling", lambda: None)
    coming = list(may_come((Node(6), Node(8, 1)), [HEAD, GPU]))
    assert coming == [Node(inf, 1)] * 3


@pytest.mark.parametrize(("there", "left"), [(0, 4), (3, 1), (4, 0)])
def test_with_node_types_as_many_may_come_as_are_not_there_yet(
    there: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spot and on-demand nodes are of one shape, and together no more than `max_workers`."""
    monkeypatch.setattr(nodes, "autoscaling_file", lambda: Path(__file__).parents[2] / "ray_cluster.yaml")
    alive: list[dict[str, Any]] = [HEAD, *[GPU] * there]
    assert list(may_come((), alive)) == [Node(8, 1)] * left


def test_a_type_of_node_whose_gpus_are_more_is_meant_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: dict[str, Any] = {"cpu": {"resources": {"CPU": 4}}, "gpus": {"resources": {"CPU": 32, "GPU": 4}}, "head": {}}
    config = {"max_workers": 2, "head_node_type": "head", "available_node_types": kinds}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(nodes, "autoscaling_file", lambda: tmp_path / "config.yaml")
    assert list(may_come((), [HEAD])) == [Node(32, 4), Node(32, 4)]


def test_what_there_is_and_what_may_come_is_said_in_words() -> None:
    cluster = Cluster((Node(6), Node(8, 1)), (Node(8, 1), Node(8, 1)))
    assert (
        str(cluster) == "the cluster has 2 nodes with 14 CPUs and 1 GPU, and 2 nodes with 16 CPUs and 2 GPUs may come"
    )
    assert str(Cluster((Node(1),), (Node(inf, 1),))) == (
        "the cluster has 1 node with 1 CPU and 0 GPUs, and 1 node with 1 GPU may come"
    )
