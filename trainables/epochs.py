"""Epochs of a run, told to the study's process as they end: a task of Ray hands over what it returns, at its end.

Tune hears of a trial's epochs by its reports. Replicates and test runs have no Tune; what they tell lies where signs of
life do, for the moment that it takes to be read. Nobody waits for it, and the outcome of a run has all of its epochs.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv

from trainables.heartbeat import NAMESPACE

EVERY = 1.0  # seconds between two looks

Run = TypeVar("Run")


def tell(run_id: str, row: Mapping[str, Any]) -> None:
    """An epoch has ended, of which the loop reports `row`."""
    if not ray.is_initialized() or not row.get("curve"):
        return
    key = f"{prefix()}{run_id}/{row['curve']['epoch']:06d}".encode()
    with suppress(Exception):  # the head does not answer now
        internal_kv._internal_kv_put(key, json.dumps(row["curve"]).encode(), namespace=NAMESPACE)


class Told(Generic[Run]):
    """What runs have told.

    Args:
        runs: by their names; of no others is anything read.
        heard: told of each epoch, a run's in their order.
    """

    def __init__(self, runs: Mapping[str, Run], heard: Callable[[Run, Mapping[str, Any]], None]) -> None:
        self._runs, self._heard = runs, heard
        self._looked = 0.0

    def look(self) -> None:
        """To be called often."""
        if monotonic() - self._looked < EVERY:
            return
        self._looked = monotonic()
        for key in self._keys():
            run_id = key.decode().split("/")[-2]
            content = None
            with suppress(RuntimeError, RayError):
                content = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
                internal_kv._internal_kv_del(key, namespace=NAMESPACE)
            if content and run_id in self._runs:
                self._heard(self._runs[run_id], json.loads(content))

    def forget(self) -> None:
        """What nobody will read: the runs have ended."""
        for key in self._keys():
            with suppress(RuntimeError, RayError):
                internal_kv._internal_kv_del(key, namespace=NAMESPACE)

    def _keys(self) -> list[bytes]:
        try:
            return sorted(internal_kv._internal_kv_list(prefix().encode(), namespace=NAMESPACE))
        except (RuntimeError, RayError):  # the head does not answer now
            return []


def prefix() -> str:
    """Of the keys of this job's runs."""
    return f"epochs/{ray.get_runtime_context().get_job_id()}/"
