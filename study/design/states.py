"""How studies, runs and their steps are called in the record: every status and phase there is."""

from enum import StrEnum


class Phase(StrEnum):
    """The step of a study that a run belongs to."""

    SEARCH = "search"
    REPLICATE = "replicate"
    TEST = "test"
    START = "start"  # the starting point, tested as the winner is


class Cause(StrEnum):
    """Of a failed run: its hyperparameters, or what could be otherwise another time."""

    MODEL = "model"
    MACHINE = "machine"


class RunStatus(StrEnum):
    """What became of a trial, a replicate or a test run."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"


class StudyStatus(StrEnum):
    """Where a study stands."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"
