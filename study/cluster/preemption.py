"""What the process of a study says of nodes that will be taken away. How those that train heed it: `trainables`."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray

from study.cluster import environment
from trainables.preemption import head


@contextmanager
def watched(say: Callable[[str], object]) -> Iterator[None]:
    """Inside, it is said in one line of each node of the cluster that it will be taken away."""
    if environment.address() is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=watch, args=(over, say), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)


def watch(over: threading.Event, say: Callable[[str], object]) -> None:
    """Asks the head, until it is over, which nodes are drained, whoever asked for it."""
    told: set[str] = set()
    asked: Any = None
    while not over.wait(2):
        with suppress(Exception):  # the head does not answer now
            asked = asked or head()
            new = {node: at for node, at in asked.get_draining_nodes(timeout=5).items() if node not in told}
            names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()} if new else {}
            for node, deadline in new.items():
                told.add(node)
                left = f" in {max(deadline / 1000 - time.time(), 0):.0f} s" if deadline else ""
                say(f"note: node {names.get(node, node)} goes away{left}: what it loses goes on elsewhere")
