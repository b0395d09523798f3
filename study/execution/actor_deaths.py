"""Tune goes on after an actor that died, but a task that Ray's memory monitor ended is an error out of its `fit`.

Ray says of such a task either that its actor died or OutOfMemoryError, which is no RayActorError: Ray 2.60's manager of
Tune's actors knows the first alone, and raises "Caught unexpected exception" at whatever else becomes of a process.
"""

from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError

try:
    from ray.air.execution._internal.actor_manager import RayActorManager

    _task_failed: Any = RayActorManager._actor_task_failed
except (ImportError, AttributeError):  # another version of Ray, of which a test says so: a search does without this
    _task_failed = None


def as_death(error: Exception) -> Exception:
    """What ended a process, as the death of its actor; anything else is left as it is."""
    known = not isinstance(error, RayError) or isinstance(error, (RayActorError, RayTaskError))
    return error if known else RayActorError(error_msg=str(error))


def task_failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
    _task_failed(self, tracked_actor_task, as_death(exception))


def heed() -> None:
    """From here on Tune takes all of them for deaths."""
    if _task_failed is not None:
        RayActorManager._actor_task_failed = task_failed  # type: ignore[method-assign]
