"""Signs of life of a process that trains: every few seconds, how far its run is, where the study's process sees it.

The loop counts what it does, and a thread tells, from when the process is there. So a process that is stopped, which
tells nothing, is known from one that hangs, which tells of no progress. `study.execution.watchdog` looks at both. What
else they tell (epoch, loss, images a second, memory) is for whoever sits at the terminal.
"""

import faulthandler
import json
import os
import signal
import threading
from contextlib import suppress
from functools import cache

import ray
from ray.experimental import internal_kv

from trainables import machine, progress
from trainables.birth import born

EVERY = 5.0  # seconds
NAMESPACE = b"study"
STACKS = signal.SIGUSR2  # has a process write the stacks of its threads


@cache
def start() -> None:
    """Once in a process of Ray's; does nothing in any other, a study's own included: nobody looks at that."""
    if ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        threading.Thread(target=tell, args=(stacks(),), name="heartbeat", daemon=True).start()


def stacks() -> int | None:
    """A file without a name that the stacks of all threads are written to at a signal; None where there can be none."""
    if not hasattr(os, "memfd_create"):
        return None
    descriptor = os.memfd_create("stacks")
    faulthandler.register(STACKS, file=descriptor, all_threads=True)
    return descriptor


def tell(stacks: int | None) -> None:
    context, pid = ray.get_runtime_context(), os.getpid()
    node = context.get_node_id()
    key = f"{prefix(context.get_job_id())}{node}/{pid}".encode()
    process = {"node": node, "pid": pid, "born": born(pid), "stacks": stacks}
    beat = 0
    while True:
        beat += 1
        progress.begun.clear()
        now = progress.now
        said = {"beat": beat, "run_id": now.run_id, "done": now.done, "longest": now.longest, "waiting": now.waiting}
        if now.run_id:  # before it has one, this thread leaves the device alone
            with suppress(Exception):  # nobody has to watch
                said |= progress.position()
            with suppress(Exception):
                said |= machine.in_use()
        with suppress(Exception):  # the head does not answer now
            internal_kv._internal_kv_put(key, json.dumps({**process, **said}).encode(), namespace=NAMESPACE)
        progress.begun.wait(EVERY)


def prefix(job: str) -> str:
    """Of the keys of one study's processes."""
    return f"heartbeat/{job}/"
