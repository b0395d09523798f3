"""Processes of a study's runs, on whichever node they are: in what state one is, and its end, with its stacks."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trainables.birth import born
from trainables.heartbeat import STACKS

LOOKING = 30.0  # seconds that a look on another node may take
WRITING = 5.0  # seconds that a process has to write its stacks


def end(process: Mapping[str, Any]) -> str:
    """Ends a process, and returns the stacks that it had; nothing if it had ended.

    Args:
        process: its `node`, its `pid`, when it was `born`, and the file for its `stacks`, if it has one.
    """
    node, pid = process["node"], process["pid"]
    try:
        return str(on_node(node, end_here, pid, process["born"], process["stacks"]))
    except RayError as error:
        return f"process {pid} of node {node} could not be looked at ({type(error).__name__})"


def state(node: str, pid: int) -> tuple[str, str] | None:
    """When a process was born, and its state as psutil names it; None if it has ended. Raises RayError."""
    found: tuple[str, str] | None = on_node(node, state_here, pid)
    return found


def on_node(node: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns on a node. Raises RayError where that does not answer."""
    if node == ray.get_runtime_context().get_node_id():
        return function(*arguments)
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    remote: Any = ray.remote(num_cpus=0)(function)
    return ray.get(remote.options(scheduling_strategy=there).remote(*arguments), timeout=LOOKING)


def state_here(pid: int) -> tuple[str, str] | None:
    with suppress(psutil.Error):
        if began := born(pid):
            return began, psutil.Process(pid).status()
    return None


def end_here(pid: int, began: str, stacks: int | None) -> str:
    try:
        process = psutil.Process(pid)
        if born(pid) != began:
            raise psutil.NoSuchProcess(pid)
        state = process.status()
        text = f"process {pid} is {state}"
        if stacks is not None and state != psutil.STATUS_STOPPED:
            process.send_signal(STACKS)
            text += "\n" + written(Path(f"/proc/{pid}/fd/{stacks}"))
        os.kill(pid, signal.SIGKILL)
        return text
    except (psutil.Error, OSError):
        return ""


def written(path: Path) -> str:
    """What a file holds, when it has not grown for a moment."""
    text, until = "", monotonic() + WRITING
    while monotonic() < until:
        sleep(0.2)
        before, text = text, path.read_text(errors="replace")
        if text and text == before:
            break
    return text
