"""Variables that Ray reads when it is imported; so this is the first thing that the package does."""

import os
import socket
from pathlib import Path

CURRENT_CLUSTER = Path("/tmp/ray/ray_current_cluster")  # `ray start` writes it, `ray stop` removes it

ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own state is never restored: see study/search.py
}


def prepare() -> None:
    """Ray without usage reports; and, where it is started here, on the loopback interface alone.

    `ray.init(_node_ip_address="127.0.0.1")` does not do that: Ray 2.60 replaces it with the machine's address, unless
    this variable of its Windows and macOS builds says that there is no cluster.
    """
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    if address() is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def address() -> str | None:
    """The Ray cluster that this command runs on: `RAY_ADDRESS`, or the head on this machine; None for none."""
    if os.environ.get("RAY_ADDRESS") not in {None, "", "auto"}:
        return os.environ["RAY_ADDRESS"]
    if not CURRENT_CLUSTER.exists():
        return None
    here = CURRENT_CLUSTER.read_text().strip()
    return here if answers(here) else None


def check() -> None:
    """Raises ValueError if the cluster that was asked for does not answer."""
    here = address()
    if here and not answers(here):
        raise ValueError(f"no Ray cluster answers at RAY_ADDRESS={here}: unset it to start one here")


def answers(host_and_port: str) -> bool:
    """Whether something listens at HOST:PORT: Ray would wait for minutes, and a killed head leaves its file."""
    host, _, port = host_and_port.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except (OSError, ValueError):
        return False
