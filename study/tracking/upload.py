"""Brings W&B what it lacks of runs that were written to disk, again and again: a run is uploaded under its own id, and
each of its rows to its own place, so what is there already is written once more, and not twice.

The client's own command does it, on copies of the runs' files that say what has been found out since. It leaves a file
`.synced` beside that of a run, whether the run has ended or not; here that file is as old as what was uploaded, so a
run that has grown since is seen to lack something, and it says whose it is.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from study.tracking import copies, sweep
from study.tracking.folder import mark, mark_of, offline_runs, tracked, uploaded
from study.tracking.service import OF_ANOTHER_RUN, quiet
from study.tracking.sweep import Sweep
from trainables import scratch

PATIENCE = 300  # seconds in which no run is finished: the client would try a server that is silent for hours
LOOK_SECONDS = 0.2


def waiting(folder: Path) -> list[Path]:
    """The runs of a study's folder that W&B lacks, or lacks the end of."""
    return [run for run in offline_runs(folder) if not uploaded(run)]


def lacks_sweep(folder: Path) -> bool:
    """Whether the study in `folder` has trials that W&B could show as a sweep, and W&B has made none of them."""
    return sweep.written(folder) is not None and sweep.known(folder) is None and bool(copies.trials(folder))


def make_sweep(folder: Path) -> Sweep:
    """Has W&B make the sweep of a study, with those of its trials that W&B has already: the others bring its id along.

    Raises what the client does.
    """
    there, told = tracked(folder), sweep.written(folder)
    assert there and told
    lacking = {copies.identity(run)[0] for run in waiting(folder)}
    has = [one for one in copies.trials(folder) if one not in lacking]
    return sweep.made(folder, told, entity=there.entity, project=there.project, runs=has)


def upload(folder: Path, runs: Sequence[Path]) -> list[Path]:
    """Uploads some runs of a study's folder; returns those that could not be."""
    of_study = sweep.known(folder)
    known = copies.Known(of_study.id if of_study else None, copies.tags_in(folder))
    changed = {run: run.stat().st_mtime_ns for run in runs}
    for run in runs:
        mark_of(run).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=scratch.here()) as into:
        copied = {}
        for run in runs:
            try:
                copied[run] = copies.copied(run, folder, Path(into), known)
            except ValueError:
                continue
        if copied:
            sync(folder, copied)
        for run, copy in copied.items():
            if mark_of(copy).exists():
                mark(run, changed[run])
    return [run for run in runs if not mark_of(run).exists()]


def sync(folder: Path, copied: Mapping[Path, Path]) -> None:
    """Has the client upload the copies of some runs."""
    command = [sys.executable, "-m", "wandb", "sync", "--include-synced", *(str(one.parent) for one in copied.values())]
    ours = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_RUN}
    environment = ours | quiet(folder.resolve()) | {"WANDB_DIR": str(folder.resolve())}  # and not where we are
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=silent, stdout=silent, stderr=silent) as client:
        try:
            wait(client, list(copied.values()))
        finally:
            client.terminate()


def wait(client: "subprocess.Popen[bytes]", runs: Sequence[Path]) -> None:
    """Until it ends, or has finished no run for too long."""
    done, since = 0, monotonic()
    while monotonic() - since < PATIENCE:
        try:
            client.wait(timeout=LOOK_SECONDS)
            return
        except subprocess.TimeoutExpired:
            now = sum(mark_of(run).exists() for run in runs)
            if now > done:
                done, since = now, monotonic()
