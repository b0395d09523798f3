"""Where a result comes from: the command, the versions and the machine."""

import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("torch", "torchvision", "timm", "ray", "optuna", "wandb", "pyarrow", "scikit-learn", "numpy", "scipy")


def command(words: Sequence[str], *, module: str = "study.run", resume: bool = False) -> str:
    """The line that runs this again, or goes on with it."""
    given = list(words)
    if resume and "--resume" not in given:
        given.append("--resume")
    return shlex.join(["python", "-m", module, *given])


def versions() -> dict[str, str]:
    """Of Python and of the libraries that decide about a result, those left out that are not installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # W&B may be missing
            found[name] = version(name)
    return found | ({"commit": head} if (head := commit()) else {})


def commit() -> str | None:
    """The commit of this checkout, marked where it has changes; None when it is not a checkout."""
    here = Path(__file__).parent
    try:
        name = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return name.stdout.strip() or None


def hardware() -> dict[str, object]:
    """This machine: what a time in the record was measured on."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": str(torch.cpu.get_capabilities().get("cpu_name", platform.processor())),
        "cores": os.cpu_count(),
        "gpus": gpus,
    }


def same_hardware(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether runs were timed on the same: on the same devices, where both records name these, else machines."""
    devices = one.get("devices"), other.get("devices")
    if None not in devices:
        return devices[0] == devices[1]
    machines = [{name: value for name, value in each.items() if name != "devices"} for each in (one, other)]
    return machines[0] == machines[1]
