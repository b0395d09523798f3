"""Imported by every Python process of a study under test: writes down what it trains, and fails where it is told to.

What to do is in the environment: FAULTS_TRACE names the file of what was trained. FAULTS_INSIDE_N is `WHAT@RUN@FILE`: a
fault, the run that has it once, after an epoch of it, and the file that says that it was had; without a run it is had
by the first process that is to train, before it has told of itself. FAULTS_ALWAYS is
`WHAT@RUN`: what that run has each time.
"""

import builtins
import faulthandler
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from typing import Any

MOST = 40  # portions of memory, of 256 MiB each
now = time.time  # of the machine, also where the clock is set back


class PatchAfterImport(importlib.abc.MetaPathFinder):
    """Changes trainables.trainer when it is imported, however late that is."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "trainables.trainer":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        run_module = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            stop_as_it_starts()
            run_module(module)
            patch(module)

        spec.loader.exec_module = exec_module
        return spec


def stop_as_it_starts() -> None:
    """One of Ray's processes, which imports the loop since it is to train."""
    for key, value in os.environ.items():
        what, _, done = value.partition("@@")
        if key.startswith("FAULTS_INSIDE_") and what == "stop" and "default_worker" in sys.argv[0] and first(done):
            os.kill(os.getpid(), signal.SIGSTOP)


def patch(trainer: Any) -> None:
    from dataclasses import replace

    from trainables.memory import Memory

    work = trainer.work
    always, _, whose = os.environ.get("FAULTS_ALWAYS", "@").partition("@")

    def traced(run: Any, datasets: Any, resources: Any, report: Any, cache: Any) -> Any:
        name = f"{run.model.variant}/{run.run_id}"
        faults = [value.split("@") for key, value in os.environ.items() if key.startswith("FAULTS_INSIDE_")]
        mine = [(what, done) for what, whom, done in faults if whom == name]

        def reported(row: Any) -> None:
            note(f"epoch {name}")
            report(row)
            for what, done in mine:
                if what != "slow finally" and first(done):
                    fail(what, done)

        within = Memory.run_with_oom_backoff
        if name == whose and always == "the loss is not finite":
            run = replace(run, hyperparameters=replace(run.hyperparameters, lr=1e30, freeze_depth=0, clip_norm=0.0))
        if name == whose and always == "out of memory on CUDA":
            Memory.run_with_oom_backoff = with_little(within)  # type: ignore[method-assign]
        note(f"begin {name}")
        try:
            outcome = work(run, datasets, resources, reported, cache)
        finally:
            Memory.run_with_oom_backoff = within  # type: ignore[method-assign]
            for what, done in mine:
                if what == "slow finally" and first(done):
                    time.sleep(6)
        note(f"end {name}")
        return outcome

    trainer.work = traced


def note(line: str) -> None:
    with builtins.open(os.environ["FAULTS_TRACE"], "a") as file:
        file.write(f"{now():.3f} {os.getpid()} {line}\n")


def first(done: str) -> bool:
    try:
        os.close(os.open(done, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def with_little(within: Any) -> Any:
    """As if a device had memory for 24 images."""
    import torch

    def limited(self: Any, kind: str, batch: int, compute: Any, undo: Any) -> Any:
        def on_device(size: int) -> Any:
            if size > 24:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (a fault of the suite)")
            return compute(size)

        return within(self, kind, batch, on_device, undo)

    return limited


def fail(what: str, done: str) -> None:
    if what == "an exception in the model":  # another text each time: the same again would be the model's own
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied (the suite's {done.rpartition('-')[2]})")
    if what == "no memory for Python":
        raise MemoryError
    if what == "the process ends itself":
        os._exit(1)
    if what == "a segmentation fault":
        import ctypes

        ctypes.string_at(0)
    if what == "it hangs in Python":
        while True:
            pass
    if what == "it hangs in a read":
        os.read(os.pipe()[0], 1)
    if what == "it takes the host's memory":
        taken = []
        for _ in range(MOST):
            taken.append(bytearray(os.urandom(1 << 20) * 256))
            time.sleep(0.05)
        time.sleep(5)


began, set_back_after = time.monotonic(), float(os.environ.get("FAULTS_CLOCK", "inf"))


def clock() -> float:
    """An hour less, after some seconds. Ray pickles it, so that it has to be found under its name."""
    return now() - (3600 if time.monotonic() - began > set_back_after else 0)


if "FAULTS_CLOCK" in os.environ:
    time.time = clock


if "FAULTS_TRACE" in os.environ:
    stacks = open(f"{os.environ['FAULTS_TRACE']}-stacks-{os.getpid()}", "w")  # noqa: SIM115
    faulthandler.register(int(os.environ["FAULTS_STACKS"]), file=stacks)  # also in a fork
    sys.meta_path.insert(0, PatchAfterImport())
