"""Trials of one process ask Ray for their place themselves.

Tune asks for a placement group for each. Ray makes these one after another, for all studies of a cluster, and a node
that has stopped holds all of them up for seven minutes. A process without one goes elsewhere once Ray has missed its
node, which takes a minute.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray.air.execution.resources import FixedResourceManager

try:
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution import tune_controller

    _tune: Any = tune_controller
    _groups: Any = _tune.PlacementGroupResourceManager
    _remove: Any = RayActorManager.remove_actor
except (ImportError, AttributeError):  # another version of Ray, of which a test says so: there they have groups
    _tune = _groups = _remove = None

ENOUGH = {"CPU": math.inf, "GPU": math.inf}  # whoever has no place waits for it in Ray's own queue


def remove_actor(self: Any, tracked_actor: Any, kill: bool = False, stop_future: Any = None) -> bool:
    """One that is not there yet is not told to stop when it will be."""
    starts = bool(self._tracked_actors_to_state_futures.get(tracked_actor))
    removed: bool = _remove(self, tracked_actor, kill or starts, stop_future)
    return removed


@contextmanager
def without_groups() -> Iterator[None]:
    """Tune asks for no placement groups within."""
    if _remove is None:
        yield
        return
    _tune.PlacementGroupResourceManager = partial(FixedResourceManager, ENOUGH)
    RayActorManager.remove_actor = remove_actor  # type: ignore[method-assign]
    try:
        yield
    finally:
        _tune.PlacementGroupResourceManager = _groups
        RayActorManager.remove_actor = _remove  # type: ignore[method-assign]
