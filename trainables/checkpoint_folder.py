"""Where the runs of a study that are under way are kept: files in the study's folder.

The node that the study was started on reads and writes them. A process on another node hands its bytes to that one, or
asks it for them, through Ray: nodes need share no disk, and the study goes on from any of them.
"""

import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Self

FOLDER = ".checkpoints"
SUFFIX = ".checkpoint"
LEFT = 1 << 28  # bytes of the disk that are left to the record


class EndsItsReader(Exception):
    """A checkpoint that was dropped, for whoever went on from it ended before its first step."""


@dataclass(frozen=True)
class Checkpoints:
    """The newest state of each run of a study, until it has ended.

    Attributes:
        folder: on the node that the study was started on.
        home: that node, as Ray calls it; empty where there is none but this.
        every: seconds of training between two states of a run; infinite keeps none.
        weights: a hash of the pretrained weights that the runs start from.
    """

    folder: Path
    home: str = ""
    every: float = 30.0
    weights: str | None = None

    @classmethod
    def nowhere(cls) -> Self:
        """Keeps nothing."""
        return cls(Path(), every=inf)

    def path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}{SUFFIX}"

    def read(self, run_id: str) -> bytes | None:
        """What was kept last; None if nothing was. Raises OSError."""
        content: bytes | None = self._at_home(read, self.path(run_id))
        return content

    def begin_reading(self, run_id: str) -> bytes | None:
        """The same, unless whoever read it last has not come to its `end_reading`: then it is dropped.

        A checkpoint that ends the process which goes on from it would end each retry. Raises OSError; EndsItsReader.
        """
        content: bytes | None
        content, dropped = self._at_home(begin_reading, self.path(run_id))
        if dropped:
            raise EndsItsReader(f"what went on from the checkpoint of {run_id} ended at once, so it begins anew")
        return content

    def end_reading(self, run_id: str) -> None:
        """It has led to a step. Raises OSError."""
        self._at_home(end_reading, self.path(run_id))

    def write(self, run_id: str, content: bytes) -> None:
        """Takes the place of what is there, as a whole or not at all. Raises OSError."""
        self._at_home(write, self.path(run_id), content)

    def _at_home(self, function: Any, *arguments: Any) -> Any:
        import ray

        if not ray.is_initialized() or self.home in ("", ray.get_runtime_context().get_node_id()):
            return function(*arguments)
        from trainables.images import ask

        try:
            return ray.get(ask(function, self.home, *arguments))
        except ray.exceptions.RayError as error:
            raise OSError(str(error).strip().splitlines()[-1]) from error

    # On the node that the study was started on

    def begun(self) -> dict[str, dict[str, Any]]:
        """The hyperparameters of each run that is kept, by its id."""
        found = {}
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
                found[path.name.removesuffix(SUFFIX)] = dict(json.loads(file.readline())["hyperparameters"])
        return found

    def remove(self, run_id: str) -> None:
        """When its run has ended, also what a process left that was killed while it wrote."""
        for path in [self.path(run_id), being_read(self.path(run_id)), *parts(self.path(run_id))]:
            with suppress(OSError):
                path.unlink()

    def clear(self) -> None:
        """When all runs have ended."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def being_read(path: Path) -> Path:
    """A file that is there while a checkpoint is read, and has not led to a step yet."""
    return path.with_name(f".{path.name}.read")


def begin_reading(path: Path) -> tuple[bytes | None, bool]:
    """What was kept, and whether it was dropped instead."""
    mark = being_read(path)
    if mark.exists():
        path.unlink(missing_ok=True)
        mark.unlink(missing_ok=True)
        return None, True
    content = read(path)
    if content is not None:
        with suppress(OSError):  # a full disk
            mark.touch()
    return content, False


def end_reading(path: Path) -> None:
    being_read(path).unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    if shutil.disk_usage(path.parent).free < len(content) + LEFT:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # a process out of reach may be writing it still
    part = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        being_read(path).unlink(missing_ok=True)  # what was read is not there any more
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def parts(path: Path) -> Iterator[Path]:
    return path.parent.glob(f".{path.name}.*.part")
