"""What a command asks of GPUs that there are not, or that cannot do it: every such mistake is one line."""

import os
from pathlib import Path

from study.cluster import environment, gpu
from trainables.choices import GPU_PRECISIONS, needs_gpu

VISIBLE = "CUDA_VISIBLE_DEVICES"
HIDDEN = {"-1", "NoDevFiles"}


def check(precision: str, workers_per_trial: int = 1) -> None:
    """Raises ValueError for GPUs that are hidden by mistake, too few, or without arithmetic for a precision."""
    here = environment.address() is None
    if here:
        check_visible()
    if precision in GPU_PRECISIONS and not gpu.available():
        raise ValueError(needs_gpu(precision))
    if workers_per_trial > 1 and 0 < (there := gpu.count()) < workers_per_trial:
        raise ValueError(f"workers-per-trial must be at most {there}, the GPUs there are, got {workers_per_trial}")
    if here and gpu.available():
        import torch

        from trainables.precision import lacks

        if reason := lacks(precision, torch.device("cuda", 0)):
            raise ValueError(reason)


def check_visible() -> None:
    """Raises ValueError where this machine has a GPU that no process would see, or is said to have one that it has not.

    -1 hides all of them on purpose.
    """
    given = os.environ.get(VISIBLE)
    if given in HIDDEN:
        return
    if given is not None and not given.strip():
        if cards():
            raise ValueError(f"{VISIBLE} is empty, which hides this machine's GPUs: unset it, name some, or give -1")
        return
    import torch

    if given is not None:
        named, usable = given.split(","), torch.cuda.device_count()
        if usable < len(named):
            raise ValueError(
                f"{VISIBLE}={given} names {len(named)}, of which {usable} can be used here: name GPUs that are there, "
                "or give -1 for none"
            )
    if cards() and torch.version.cuda and not torch.cuda.is_available():
        raise ValueError(
            f"torch {torch.__version__} cannot use this machine's GPU: update its driver for CUDA "
            f"{torch.version.cuda}, or hide it with {VISIBLE}=-1"
        )


def cards() -> int:
    """NVIDIA GPUs that this machine's driver knows, seen or not."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) or len(list(Path("/dev").glob("nvidia[0-9]*")))
