"""Whether a study can run on a cluster: from this machine, and with the same Python, Ray and package on every node."""

import json
import platform
from collections.abc import Callable
from typing import Any

import ray

from study.cluster import environment

SECONDS = 5  # for each answer of the head
NODES_SECONDS = 15  # for the first process of a node to start: one that takes longer is not asked
PACKAGES = ("study", "trainables", "search_spaces")
Installed = tuple[str, str] | None  # version, and a hash of the sources


def check_head(address: str) -> None:
    """Raises ValueError if the head has another Python or Ray, or if this machine is none of its nodes."""
    from ray._private import services, utils
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]

    where = environment.named(address)
    try:
        head = GcsClient(address=address)
        started_with = head.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=SECONDS)
        dashboard = head.internal_kv_get(b"dashboard", namespace=b"dashboard", timeout=SECONDS)
        nodes = head.get_all_node_info(timeout=SECONDS)
    except Exception as error:
        raise ValueError(f"the Ray cluster at {where} does not answer: {last_line(error)}") from None
    if started_with:
        versions = json.loads(started_with)
        try:
            utils.check_version_info(versions, "")
        except RuntimeError:
            raise ValueError(
                f"the Ray cluster at {where} has Ray {versions['ray_version']} on Python {versions['python_version']}, "
                f"and this is Ray {ray.__version__} on Python {platform.python_version()}: install the same here, or "
                f"submit a job to it: {job(address, dashboard)}"
            ) from None
    alive = {key.hex() for key, node in nodes.items() if node.state == GcsNodeInfo.GcsNodeState.ALIVE}
    if not alive & services.find_node_ids():
        raise ValueError(
            f"this machine is no node of the Ray cluster at {where}, so the study has to be a job of it: "
            f"{job(address, dashboard)}"
        )


def job(address: str, dashboard: bytes | None) -> str:
    """The command that runs this one as a job, and what it takes to reach a dashboard on the head's loopback."""
    host, _ = environment.host_and_port(address)
    listens, _, port = (dashboard or b"").decode().rpartition(":")
    port = port or str(environment.JOBS_PORT)
    if listens in ("127.0.0.1", "localhost") and host not in ("127.0.0.1", "localhost"):
        tunnel = f"ssh -N -L {port}:127.0.0.1:{port} {host}"
        return f"{environment.submit(f'http://127.0.0.1:{port}')} (while this runs: {tunnel})"
    return environment.submit(f"http://{host}:{port}")


def check_nodes() -> None:
    """Raises ValueError if a node of the cluster that this process is connected to has another package, or none."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = looking()
    here = look(PACKAGES)
    task = ray.remote(look)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            answer = task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(PACKAGES)
            asked[answer] = node["NodeManagerHostname"]
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODES_SECONDS)
    for ref in answered:
        try:
            found = ray.get(ref)
        except ray.exceptions.RayError:
            continue  # a node that is ill says so to the first run on it
        if found is None:
            raise ValueError(
                f"node {asked[ref]} lacks this package: install it there, by the setup commands of the cluster's file, "
                "or give every node these sources by python -m study.submit --working-dir ."
            )
        if found != here:
            raise ValueError(
                f"node {asked[ref]} has other sources of this package, {written(found)}, than this machine, "
                f"{written(here)}: bring the same to all nodes (ray up again), or submit with --working-dir ."
            )


def looking() -> Callable[[tuple[str, ...]], Any]:
    """What looks at the package of a node. Ray sends an inner function whole: it runs where the package is not."""

    def installed(packages: tuple[str, ...]) -> Installed:
        from hashlib import sha256
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec
        from pathlib import Path

        digest = sha256()
        for package in packages:
            try:
                spec = find_spec(package)
            except ImportError:
                spec = None
            if spec is None or not spec.submodule_search_locations:
                return None
            folder = Path(next(iter(spec.submodule_search_locations)))
            for path in sorted(folder.rglob("*.py")) + sorted(folder.rglob("*.toml")):
                digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
        try:
            number = version("attention-or-convolution")
        except PackageNotFoundError:  # a folder on the path
            number = "not installed"
        return number, digest.hexdigest()[:8]

    return installed


def written(found: Installed) -> str:
    return "none" if found is None else f"version {found[0]} with sources {found[1]}"


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
