"""Imported by every Python process of a study under test: writes down what it trains, and fails where it is told to.

What to do is in the environment: FAULTS_TRACE names the file of what was trained; FAULTS_INSIDE is `WHAT@RUN`, a fault
and the run that has it, once: the file FAULTS_DONE says that it was had.
"""

import builtins
import importlib.abc
import importlib.util
import os
import sys
import time
from typing import Any


class PatchAfterImport(importlib.abc.MetaPathFinder):
    """Changes trainables.trainer when it is imported, however late that is."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "trainables.trainer":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        run_module = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run_module(module)
            patch(module)

        spec.loader.exec_module = exec_module
        return spec


def patch(trainer: Any) -> None:
    work = trainer.work

    def traced(run: Any, datasets: Any, resources: Any, report: Any, cache: Any) -> Any:
        note(f"begin {run.run_id}")
        what, _, whom = os.environ.get("FAULTS_INSIDE", "@").partition("@")

        def reported(row: Any) -> None:
            report(row)
            if run.run_id == whom and first():
                fail(what)

        try:
            outcome = work(run, datasets, resources, reported, cache)
        finally:
            if what == "slow finally" and run.run_id == whom:
                time.sleep(8)
        note(f"end {run.run_id}")
        return outcome

    trainer.work = traced


def note(line: str) -> None:
    with builtins.open(os.environ["FAULTS_TRACE"], "a") as file:
        file.write(f"{time.time():.3f} {os.getpid()} {line}\n")


def first() -> bool:
    try:
        os.close(os.open(os.environ["FAULTS_DONE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def fail(what: str) -> None:
    import torch

    if what == "an exception in the model":
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (a fault of the suite)")
    if what == "out of memory on CUDA":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (a fault of the suite)")
    if what == "the process ends itself":
        os._exit(1)
    if what == "a segmentation fault":
        import ctypes

        ctypes.string_at(0)


def set_the_clock_back(after: float) -> None:
    now, began = time.time, time.monotonic()
    time.time = lambda: now() - (3600 if time.monotonic() - began > after else 0)


if "FAULTS_CLOCK" in os.environ:
    set_the_clock_back(float(os.environ["FAULTS_CLOCK"]))
if "FAULTS_TRACE" in os.environ:
    sys.meta_path.insert(0, PatchAfterImport())
