"""Ray: the cluster that this command runs on, or one of its own on loopback, quiet, and gone when it ends."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainables.trainer import Resources

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# A stopped trial must be able to unwind: past this, Tune gives up on its process (facts: slow `finally` blocks)
WORKERS = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "120", "TOKENIZERS_PARALLELISM": "false"}


@contextlib.contextmanager
def connected(*, verbose: bool = False) -> Iterator[None]:
    """Connects to `RAY_ADDRESS` or to the head on this machine, else starts Ray on loopback and stops it after."""
    quieten(verbose=verbose)
    import ray

    if ray.is_initialized():
        yield
        return
    address = existing()
    here = {} if address else {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    ray.init(
        address=address or "local",
        runtime_env={"env_vars": WORKERS},
        log_to_driver=verbose,
        logging_level=logging.INFO if verbose else logging.ERROR,
        **here,  # type: ignore[arg-type]
    )
    try:
        yield
    finally:
        ray.shutdown()


def quieten(*, verbose: bool) -> None:
    """Before Ray, Optuna and timm are imported: no banners and no warnings of theirs, unless asked for."""
    os.environ.update(WORKERS | ({} if verbose else QUIET))
    if verbose:
        return
    warnings.filterwarnings("ignore")
    for library in ("ray", "optuna", "timm", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)


def existing() -> str | None:
    """The address of the cluster that this command should use, None where there is none."""
    if os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"]
    started_here = Path("/tmp/ray/ray_current_cluster")  # `ray start` writes it, and `ray stop` removes it
    return started_here.read_text().strip() or None if started_here.exists() else None


def has_gpu() -> bool:
    """Whether the cluster that `connected` would use has a GPU, or can start nodes that have one."""
    import torch

    if existing() is None:
        return torch.cuda.is_available()
    import ray

    with connected():
        return gpus(ray.cluster_resources()) > 0


def gpus(resources: dict[str, float]) -> int:
    """GPUs of a cluster, those it has not started yet included: ray_cluster.yaml declares them on its head."""
    return int(max(resources.get("GPU", 0), resources.get("autoscaled_gpus", 0)))


def check_concurrency(requested: int | None) -> None:
    if requested is not None and requested < 1:
        raise ValueError(f"max-concurrent must be at least 1, got {requested}")


def share(workers: int, requested: int | None) -> tuple[Resources, int]:
    """What each run may use, and how many run at a time (a run a GPU, or a run a core, unless `requested`).

    The logical CPUs of all runs together leave one for Ray Data, which otherwise starves. Runs that share a GPU
    get a fraction of it each.
    """
    import ray

    cluster = ray.cluster_resources()
    cpus, graphics = int(cluster.get("CPU", 1)), gpus(cluster)
    concurrent = requested or max(1, (graphics or cpus) // workers)
    processes = concurrent * workers
    return Resources(
        workers=workers,
        cpus=1 if graphics or processes < cpus else max((cpus - 1) / processes, 0.1),
        threads=max(1, cpus // processes),
        gpus=0 if not graphics else (1 if processes <= graphics else graphics / processes),
    ), concurrent


def put(value: Any) -> Any:
    """The value in Ray's object store, from where every node takes it once; None stays None."""
    import ray

    return None if value is None else ray.put(value)
