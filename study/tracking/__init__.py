"""W&B: a view of the study that its driver writes while the study runs. The record on disk stays the source of truth.

Every trial, replicate and test run is one run of one W&B group. The driver only puts calls into a queue; one daemon
thread imports the client, logs in and writes, so neither a trial nor the driver ever waits for W&B, and whatever
fails there is one line on the terminal. Everything that the client writes lies in the study's folder, under `wandb/`.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from study.text import joined
from study.tracking.client import NOTHING, Client
from study.tracking.folder import Tracked, state_of, tracked
from study.tracking.service import MODES, Unreachable, account, mode_of_environment, of_another_run
from study.tracking.tracker import About, AgentsRun, Disabled, Predictions, Sample, Tracker

__all__ = [
    "About",
    "AgentsRun",
    "Disabled",
    "Predictions",
    "Sample",
    "Tracked",
    "Tracker",
    "Unreachable",
    "account",
    "start",
    "state_of",
    "tracked",
]


def start(
    mode: str | None,
    folder: Path,
    group: str,
    *,
    project: str = "study",
    say: Callable[[str], object] = print,
    patience: float = 15.0,
    about: About = NOTHING,
) -> Tracker:
    """Tracker of the study in `folder`.

    Args:
        mode: `online`, `offline` or `disabled`; None is what WANDB_DISABLED or WANDB_MODE says, else online if the
            user is logged in.
        group: the name of the study.
        project: the W&B project, unless WANDB_PROJECT names another.
        say: prints a line; called from the tracker's thread.
        patience: how many seconds a run may wait for the server to begin, and twice that to end, before the study
            goes on offline; `close` then needs longer than that to lose nothing.
    """
    asked = mode or mode_of_environment()
    if asked and asked not in MODES:
        raise ValueError(f"W&B's mode must be online, offline or disabled, got {asked}")
    chosen = MODES[asked] if asked else None
    if chosen == "disabled":
        return Disabled()
    if find_spec("wandb") is None:
        if chosen:
            say("W&B: it is not installed. The study goes on without it")
        return Disabled()
    others = [name for name in of_another_run() if name != "WANDB_SERVICE"]
    if others and not about.agents:
        are = "is" if len(others) == 1 else "are"
        say(f"W&B: {joined(others)} {are} of another run, and left out: every run of a study is one of its own")
    project = os.environ.get("WANDB_PROJECT") or project
    return Client(chosen, folder.resolve(), group, project=project, say=say, patience=patience, about=about)
