"""`wandb agent`, which proposes the point of a study of one trial and has a run of W&B ready for it."""

import os
from typing import NamedTuple


class AgentsRun(NamedTuple):
    """The run of W&B that an agent started this command for, and its sweep."""

    run: str
    sweep: str


def run() -> AgentsRun | None:
    """None where no agent started this command."""
    found = AgentsRun(os.environ.get("WANDB_RUN_ID", ""), os.environ.get("WANDB_SWEEP_ID", ""))
    return found if all(found) else None
