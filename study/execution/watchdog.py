"""Runs that make no progress: found by their own pace, their stacks kept in the record, ended, and tried again.

A process that trains tells every few seconds what it has done (`trainables.heartbeat`). One that tells nothing is
stopped, or swapped out; one that tells again and again that it has done nothing more hangs. Both are killed, after the
stacks of their threads were written into `stalled/RUN.txt` in the study's folder; Ray then tries their runs elsewhere.
One that has never told anything is known from Ray alone: `unheard`.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv

from study.execution import processes
from study.execution.attempts import Attempts
from study.execution.unheard import Unheard
from study.text import duration
from trainables import heartbeat
from trainables.heartbeat import NAMESPACE, prefix

EVERY = 5.0  # seconds between two looks
SILENT = 60.0  # seconds without a sign of life
AT_LEAST, TIMES = 120.0, 50  # seconds without progress, and times the longest pause that any run has had
AT_FIRST = 600.0  # seconds until a run's first batch: it may read, decode or download all its images before
LEAST = 3 * heartbeat.EVERY  # of no sign of life
FOLDER = "stalled"


@dataclass
class Seen:
    """A process that trains.

    Attributes:
        said: its last sign of life.
        attempt: at its run, the how manieth that is.
        heard, moved: when that sign came, and when its run came further.
    """

    said: dict[str, Any]
    attempt: int
    heard: float
    moved: float


class Watchdog:
    """Looks at the processes of a study's runs.

    Args:
        attempts: knows which attempt is under way, and is told why one was ended.
        folder: of the study, where stacks are kept; None keeps none.
        timeout: seconds without progress, 15 at least; None for what the pace of the runs suggests, 0 for never.
        heard: told every new sign of life, for who watches the study.
    """

    def __init__(
        self,
        attempts: Attempts,
        folder: Path | None = None,
        timeout: float | None = None,
        heard: Callable[[dict[str, Any]], object] = lambda said: None,
    ) -> None:
        self._attempts, self._folder = attempts, folder
        self._timeout = max(timeout, LEAST) if timeout else timeout
        self._heard = heard
        self._patience = min(SILENT, self._timeout or SILENT)
        self._seen: dict[bytes, Seen] = {}
        self._unheard = Unheard()
        self._longest = 0.0
        self._looked = monotonic()

    def look(self, running: Callable[[], Collection[str]]) -> None:
        """To be called often, with what tells the runs that have a process now."""
        now = monotonic()
        pause = now - self._looked
        if pause < EVERY:
            return
        self._looked = now
        if pause > 3 * EVERY:  # this process did not look, for it was stopped itself
            for seen in self._seen.values():
                seen.heard, seen.moved = seen.heard + pause, seen.moved + pause
            self._unheard.wait(pause)
        with suppress(RuntimeError, RayError):  # the head does not answer now
            self._listen(now)
        if self._timeout == 0:
            return
        runs: defaultdict[str | bytes, dict[bytes, Seen]] = defaultdict(dict)
        for key, one in self._seen.items():
            runs[one.said["run_id"] or key][key] = one
        under_way = set(running())
        for run_id, group in runs.items():
            if why := self._why(list(group.values()), now, under_way=run_id in under_way):
                self._end(why, {key: one.said for key, one in group.items()})
        starting = max(AT_FIRST, self._timeout or 0)
        with suppress(RuntimeError, RayError):
            for key, process, silent in self._unheard.look(now, self._seen, patience=self._patience, starting=starting):
                self._end(f"its process gave no sign of life for {duration(silent)}", {key: process})

    def _listen(self, now: float) -> None:
        start = prefix(ray.get_runtime_context().get_job_id()).encode()
        for key in internal_kv._internal_kv_list(start, namespace=NAMESPACE):
            content = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
            if not content:
                continue
            said, before = json.loads(content), self._seen.get(key)
            attempt = self._attempts.number(said["run_id"])
            self._longest = max(self._longest, said["longest"])
            if before is None or said["beat"] != before.said["beat"]:
                self._heard(said)
            if before is None or said["run_id"] != before.said["run_id"]:
                self._seen[key] = Seen(said, attempt, now, now)
            elif said["beat"] != before.said["beat"]:
                moved = said["done"] != before.said["done"] or said["waiting"]
                self._seen[key] = Seen(said, attempt, now, now if moved else before.moved)
            elif attempt != before.attempt:  # that of an earlier attempt has died
                self._forget(key)

    def _forget(self, key: bytes) -> None:
        self._seen.pop(key, None)
        internal_kv._internal_kv_del(key, namespace=NAMESPACE)

    def _why(self, group: list[Seen], now: float, *, under_way: bool = True) -> str:
        """Why the processes of a run are to be ended; nothing while they may go on.

        In a group all wait for whoever is stopped. A process that waits for its next run gives signs, too.
        """
        limit = min(self._limit(one) for one in group)
        silent, still = now - min(one.heard for one in group), now - max(one.moved for one in group)
        if silent > self._patience:
            return f"its process gave no sign of life for {duration(silent)}"
        if still > limit and under_way:
            return f"it made no progress for {duration(still)}"
        return ""

    def _limit(self, one: Seen) -> float:
        if self._timeout is not None:
            return self._timeout if one.said["done"] else max(self._timeout, AT_LEAST)
        return max(AT_LEAST if one.said["done"] else AT_FIRST, TIMES * self._longest)

    def _end(self, why: str, group: Mapping[bytes, Mapping[str, Any]]) -> None:
        """Ends the processes of a run. Which one it was Ray says when it finds them ended.

        They may have been stopped before they could tell of their new run, and then told of the one before.
        """
        ended = {said["pid"]: text for said in group.values() if (text := processes.end(said))}
        told = next(str(said["run_id"]) for said in group.values())

        def explained(run_id: str) -> str:
            if self._folder is None:
                return why
            where = f"{FOLDER}/{run_id}.txt"
            with suppress(OSError):
                (self._folder / FOLDER).mkdir(exist_ok=True)
                with (self._folder / where).open("a") as file:  # it may have hung in an earlier attempt, too
                    file.write("\n\n".join([f"{run_id}: {why}", *ended.values()]) + "\n\n")
            return f"{why}, and was ended (stacks: {where})"

        for pid in ended:
            self._attempts.explain(pid, told, explained)
        for key in group:
            with suppress(RuntimeError, RayError):
                self._forget(key)
