"""What Tune says of trials, as rows of the record and as what W&B is told."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from study.design.recipes import RECIPES
from study.design.states import RunStatus
from study.design.study import Study
from study.execution.attempts import Attempts
from study.execution.search import Bookkeeper
from tests.contract.tiny import POINT


def test_a_trial_whose_process_never_came_to_begin_it_is_begun_before_it_ends() -> None:
    """Whoever is told of its end, as W&B is, knows of it."""
    told: list[tuple[str, Any]] = []
    study = Study("resnet", "mini", "resnet_mini", "digits", "s", Path(), RECIPES["fair"])
    bookkeeper = Bookkeeper(
        study,
        threading.Event(),
        lambda name, point: told.append(("begin", name)),
        lambda name, row: told.append(("epoch", name)),
        lambda row, curve: told.append((row["status"], row["trial_id"])),
        Attempts(0),
    )
    trial = SimpleNamespace(
        config={"trial_id": "trial-003", "hyperparameters": vars(POINT)}, last_result={}, error_file=None
    )
    bookkeeper.on_trial_error(0, [], trial)
    assert told == [("begin", "trial-003"), (RunStatus.FAILED, "trial-003")]
