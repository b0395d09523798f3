"""What of memory and of its GPU is in use where this process trains, as the driver tells it."""

from functools import cache
from typing import Any

import psutil


def in_use() -> dict[str, Any]:
    """Plain values: `resident` bytes of this process; of its GPU, if it has one, how busy it is, and its memory."""
    from trainables import process  # torch, which who trains has imported

    told: dict[str, Any] = {"resident": psutil.Process().memory_info().rss}
    device = process.device()
    if device.type == "cuda":
        nvml, handle = gpu(device.index or 0)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        told["gpu"] = {
            "id": nvml.nvmlDeviceGetUUID(handle),
            "busy": nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            "used": memory.used,
            "total": memory.total,
        }
    return told


@cache
def gpu(index: int) -> tuple[Any, Any]:
    """NVIDIA's library, and its handle of a device that torch counts; raises where there is none."""
    import torch
    from ray._private.thirdparty import pynvml

    pynvml.nvmlInit()
    uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid)
