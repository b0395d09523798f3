"""Whether there is a GPU to train on: without torch and Ray where that can be known without them."""

import ctypes
from functools import cache
from pathlib import Path

from study.cluster import environment

DRIVERS = ("libcuda.so.1",)  # NVIDIA's; AMD's is the kernel's
DEVICE_OF_AMD = Path("/dev/kfd")


def known() -> bool | None:
    """False where this command runs on this machine, which has no driver of a GPU; None: only `available` can say."""
    return None if environment.address() or has_driver() else False


@cache
def has_driver() -> bool:
    return DEVICE_OF_AMD.exists() or any(map(loads, DRIVERS))


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def available() -> bool:
    """Whether there is one, as `count` has it."""
    return count() > 0


@cache
def count() -> int:
    """GPUs of the cluster that this command runs on, those included that it can start.

    Imports torch or Ray where that is not known without them.
    """
    if known() is False:
        return 0
    if environment.address() is None:
        import torch

        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    import ray

    from study.cluster import connection, nodes

    if ray.is_initialized():  # ahead of the study, which goes on with it
        return nodes.declared().gpus
    with connection.connected():
        return nodes.declared().gpus
