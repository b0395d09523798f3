"""A head with Ray's autoscaler on this machine: nodes come when a study asks for them, and go when they are idle."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import yaml

from tests.nodes import ROOT, STORE_BYTES, Cluster, Nodes

STORE = {"object_store_memory": STORE_BYTES}
COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
HEAD_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
AUTOSCALER = {
    "RAY_FAKE_CLUSTER": "1",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "AUTOSCALER_HEARTBEAT_TIMEOUT_S": "5",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
    "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
}


@contextmanager
def autoscaled_nodes(
    folder: Path, types: dict[str, dict[str, Any]], *, max_workers: int, idle_minutes: float = 0.1, **head: Any
) -> Iterator[Nodes]:
    """A head with Ray's autoscaler, whose nodes are processes on this machine.

    Its own `AutoscalingCluster` lacks a file in Ray 2.60, and ends every Ray that it can see.

    Args:
        types: as `available_node_types` of a cluster file has them, without its head.
        idle_minutes: after which a node goes.
        head: as `Nodes.add` takes it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    config: dict[str, Any] = {
        "cluster_name": "fake",
        "max_workers": max_workers,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_minutes,
        "provider": {
            "type": "external",  # by its own name Ray looks for the file that is not there
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "launch_multiple": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "auth": {},
        "docker": {},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
            **{
                name: {"node_config": {}, "min_workers": 0, **kind, "resources": {**kind["resources"], **STORE}}
                for name, kind in types.items()
            },
        },
        **{f"{when}_commands": [] for when in COMMANDS},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }
    path = folder / "autoscaling.yaml"
    path.write_text(yaml.safe_dump(config))
    variables = AUTOSCALER | {"PYTHONPATH": str(ROOT), "STUDY_CACHE": str(folder / "cache-autoscaled")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        running = Nodes(Cluster(), folder)
        try:
            running.add(gcs_server_port=port, autoscaling_config=str(path), **head)
            yield running
        finally:
            started = [one for raylet in raylets_of_the_autoscaler() for one in raylet.children(recursive=True)]
            raylets = raylets_of_the_autoscaler()
            running.cluster.shutdown()
            for process in [*raylets, *started]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def raylets_of_the_autoscaler() -> list[psutil.Process]:
    """Of nodes that the autoscaler of a head of this process has started."""
    every = psutil.Process().children(recursive=True)
    monitors = [one for one in every if any(word.endswith("monitor.py") for word in words_of(one))]
    return [child for one in monitors for child in one.children() if "raylet" in child.name()]


def words_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
