"""Tune goes on after a process that died, at whatever moment it did; Ray 2.60's does so at most of them.

A task that Ray's memory monitor ended is an error out of Tune's `fit`: Ray says of it either that its actor died or
OutOfMemoryError, which is no RayActorError, and the manager of Tune's actors knows the first alone; at whatever else
becomes of a process it raises "Caught unexpected exception".

A process that dies between two trials, while it is made ready for the next one, is told of twice: as an actor that
died, whereupon the trial waits for another, and as a call that failed. A trial that waits is then given up for good,
however often it was to be tried again. An exception in that call is told of once, and ends the trial in the same way.
"""

from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError

try:
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    _task_failed: Any = RayActorManager._actor_task_failed
    _trial_failed: Any = TuneController._trial_task_failure
except (ImportError, AttributeError):  # another version of Ray, of which a test says so: a search does without this
    _task_failed = _trial_failed = None


def as_death(error: Exception) -> Exception:
    """What ended a process, as the death of its actor; anything else is left as it is."""
    known = not isinstance(error, RayError) or isinstance(error, (RayActorError, RayTaskError))
    return error if known else RayActorError(error_msg=str(error))


def task_failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
    _task_failed(self, tracked_actor_task, as_death(exception))


def trial_failed(self: Any, trial: Any, exception: Exception) -> None:
    """A call to its process has failed."""
    made_ready = trial in self._resetting_trials
    self._resetting_trials.discard(trial)  # else it would wait for that call
    if trial.status == Trial.PENDING:
        if isinstance(exception, RayActorError):
            return  # it has been told, and another process is on its way
        if made_ready:
            self._set_trial_status(trial, Trial.RUNNING)  # as Tune does with one whose process could not start
            self._unstage_trial_with_resources(trial)
    _trial_failed(self, trial, exception)


def heed() -> None:
    """From here on Tune takes all of them for deaths, each once."""
    if _task_failed is not None:
        RayActorManager._actor_task_failed = task_failed  # type: ignore[method-assign]
        TuneController._trial_task_failure = trial_failed  # type: ignore[method-assign]
