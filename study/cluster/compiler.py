"""Whether `torch.compile` finds what it needs on this machine, said before anything runs where it does not."""

import os
import shutil
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from study.cluster import environment, gpu

OLDEST = (7, 0)  # of a card, for Triton


def check() -> None:
    """Raises ValueError where a run on this machine could not compile. Of a cluster's nodes only they can tell."""
    if environment.address() is None and (reason := lacking(on_gpu=gpu.available())):
        raise ValueError(f"compile needs {reason}: install it, or leave out --compile")


def lacking(*, on_gpu: bool) -> str | None:
    """What there is not of what kernels for a GPU, or else for a CPU, are compiled with; None where it is all there."""
    if on_gpu:
        import torch

        if find_spec("triton") is None:
            return "the package triton, which this torch came without"
        if torch.version.cuda and torch.cuda.get_device_capability(0) < OLDEST:
            return f"a GPU from Volta on, which {torch.cuda.get_device_name(0)} is not"
        compilers = [os.environ.get("CC", ""), "gcc", "clang"]  # as Triton looks for one
    else:
        compilers = [os.environ.get("CXX", "g++")]  # as torch does
    if not any(shutil.which(name) for name in compilers if name):
        return f"a {'C' if on_gpu else 'C++'} compiler, which is not on the PATH"
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return None if header.exists() else f"Python's headers, and {header} is not there"
