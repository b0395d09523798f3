"""Brings W&B what it lacks of runs that were written to disk, again and again: a run is uploaded under its own id, and
each of its rows to its own place, so what is there already is written once more, and not twice.

The client's own command does it. It leaves a file `.synced` beside that of a run, whether the run has ended or not;
here that file is as old as what was uploaded, so a run that has grown since is seen to lack something.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from study.tracking.folder import mark_of, offline_runs, uploaded
from study.tracking.service import OF_ANOTHER_RUN, quiet

PATIENCE = 300  # seconds in which no run is finished: the client would try a server that is silent for hours
LOOK_SECONDS = 0.2


def waiting(folder: Path) -> list[Path]:
    """The runs of a study's folder that W&B lacks, or lacks the end of."""
    return [run for run in offline_runs(folder) if not uploaded(run)]


def upload(folder: Path, runs: Sequence[Path]) -> list[Path]:
    """Uploads some runs of a study's folder; returns those that could not be."""
    changed = {run: run.stat().st_mtime_ns for run in runs}
    for run in runs:
        mark_of(run).unlink(missing_ok=True)
    command = [sys.executable, "-m", "wandb", "sync", "--include-synced", *(str(run.parent) for run in runs)]
    ours = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_RUN}
    environment = ours | quiet(folder.resolve()) | {"WANDB_DIR": str(folder.resolve())}  # and not where we are
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=silent, stdout=silent, stderr=silent) as client:
        try:
            wait(client, runs)
        finally:
            client.terminate()
    for run, when in changed.items():
        if mark_of(run).exists():
            os.utime(mark_of(run), ns=(when, when))
    return [run for run in runs if not mark_of(run).exists()]


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
