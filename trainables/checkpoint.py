"""Checkpoints: the state of a run, kept every now and then while it trains, so that nothing starts again at epoch 1.

A checkpoint is a line of JSON, which says what it belongs to and the checksum of the rest, and what `torch.save` makes
of tensors and plain values: reading it executes nothing. It holds what is trained, with what that needs, of all workers
of the run. One that is damaged, or of another run, is not used, and that is said.
"""

import io
import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from math import inf
from time import perf_counter
from typing import Any

import torch

from trainables.checkpoint_folder import Checkpoints, EndsItsReader
from trainables.hyperparameters import Hyperparameters
from trainables.loop import State, Training
from trainables.preemption import LEAVES, Preempted
from trainables.world import World

FORMAT = 1
SHARE = 100  # times what keeping a state took, until the next one
LOOK = 1.0  # seconds between two times that workers ask each other whether it is time


class Unusable(Exception):
    """Why a checkpoint is not used."""


@dataclass(frozen=True)
class Kept:
    """What was kept of a run, as one worker goes on from it."""

    training: State
    run: Mapping[str, Any]  # what `Keeper.describe` said


@dataclass
class Keeper:
    """Keeps one run: at most so often as asked, and in at most a hundredth of the time.

    Attributes:
        run_id, belongs_to: whose checkpoint it is: a hash of all that decides about the run.
        hyperparameters: of the run, for whoever only looks at what is kept.
        describe: what is to be kept beside the training.
        leaving: whether this worker's node will be taken away.
        device: where workers compare their clocks.
        notes: what went wrong.
        seconds: that keeping took.
    """

    checkpoints: Checkpoints
    run_id: str
    belongs_to: str
    hyperparameters: Hyperparameters
    world: World
    device: torch.device
    describe: Callable[[], dict[str, Any]]
    leaving: Callable[[], bool] = lambda: False
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _steps: int = 0
    _reading: bool = False  # what was read has not led to a step yet
    _look: int = 1  # the step after which workers ask each other next
    _looked: tuple[int, float] = (0, 0.0)
    _due: float = 0.0

    def load(self) -> Kept | None:
        """What was kept last, in all workers or in none."""
        if self.checkpoints.every == inf:
            return None
        state = self.world.hand_out(self._read() if self.world.rank == 0 else None)
        self._looked = self._steps, perf_counter()
        if state is None:
            return None
        return Kept(State(state["training"], state["workers"][self.world.rank]), state["run"])

    def _read(self) -> dict[str, Any] | None:
        try:
            content = self.checkpoints.begin_reading(self.run_id)
            self._reading = content is not None
            return None if content is None else unpacked(content, self.belongs_to)
        except EndsItsReader as reason:
            self.notes.append(str(reason))
        except OSError as error:
            self.notes.append(f"the checkpoint of {self.run_id} cannot be read ({error.strerror or error})")
        except Unusable as reason:
            self._has_been_read()
            self.notes.append(f"a checkpoint of {self.run_id} {reason}, and is not used")
        return None

    def _has_been_read(self) -> None:
        if self._reading:
            self._reading = False
            with suppress(OSError):
                self.checkpoints.end_reading(self.run_id)

    def after_step(self, training: Training) -> None:
        """Keeps the training when it is time. Raises Preempted, when it is kept, where it cannot go on here.

        A batch of validation or of the test is a step here, too: a node that has notice does not wait for their end.
        """
        if self.checkpoints.every == inf:
            return
        self._steps += 1
        self._has_been_read()
        if self._steps == 1:  # what comes before it may take minutes, and none of it is kept
            self._due = perf_counter() + self.checkpoints.every
        due, leaving = self._agreed()
        if not (due or leaving):
            return
        start = perf_counter()
        kept = self._keep(training)
        took = perf_counter() - start
        self.seconds += took
        self._due = perf_counter() + (max(self.checkpoints.every, SHARE * took) if self.checkpoints.every else 0.0)
        if leaving and self.world.hand_out(kept):
            raise Preempted(LEAVES)

    def _agreed(self) -> tuple[bool, bool]:
        """Whether the first worker, which writes, says that it is time, and whether the node of any goes away.

        All workers know it after the same step.
        """
        if self.world.size == 1:
            return perf_counter() >= self._due, self.leaving()
        if self._steps < self._look:
            return False, False
        now = perf_counter()
        step, then = self._looked
        pace, due = (now - then) / (self._steps - step), self.world.rank == 0 and now >= self._due
        said = torch.tensor([due, self.leaving(), pace], dtype=torch.float64, device=self.device)
        some_due, some_leaving, pace = self.world.all_reduce_sum(said).tolist()
        seconds = min(LOOK, self.checkpoints.every)
        self._look = self._steps + max(1, int(seconds * self.world.size / max(pace, 1e-9)))
        self._looked = self._steps, now
        return some_due > 0, some_leaving > 0

    def _keep(self, training: Training) -> bool:
        """Whether it is on the disk now; a disk that does not take it ends no run."""
        state = training.state()
        workers = self.world.collect(dict(state.own))
        if self.world.rank:
            return True
        content = packed(
            {"training": dict(state.shared), "workers": workers, "run": self.describe()},
            run=self.run_id,
            belongs_to=self.belongs_to,
            hyperparameters=asdict(self.hyperparameters),
        )
        try:
            self.checkpoints.write(self.run_id, content)
        except OSError as error:
            note = f"no checkpoint of {self.run_id} can be kept ({error.strerror or error})"
            self.notes += [note] if note not in self.notes else []
            return False
        return True


def packed(state: Mapping[str, Any], **head: Any) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    content = out.getbuffer()
    said = {"format": FORMAT, **head, "bytes": len(content), "checksum": zlib.crc32(content)}
    return b"".join([json.dumps(said).encode(), b"\n", content])


def unpacked(content: bytes, belongs_to: str) -> dict[str, Any]:
    """The state. Raises Unusable."""
    end = content.find(b"\n")
    rest = memoryview(content)[end + 1 :]
    try:
        said = json.loads(content[: max(end, 0)])
        intact = said["bytes"] == len(rest) and said["checksum"] == zlib.crc32(rest)
        whose = said["format"], said["belongs_to"]
    except (ValueError, KeyError, TypeError):
        raise Unusable("is damaged") from None
    if not intact:
        raise Unusable("is damaged")
    if whose != (FORMAT, belongs_to):
        raise Unusable("is of another run")
    try:
        state = torch.load(io.BytesIO(rest), map_location="cpu", weights_only=True)
    except Exception as error:  # of several kinds; something else than tensors and plain values
        raise Unusable(f"holds what it should not ({type(error).__name__})") from None
    return dict(state)
