"""A run as the client is told of it: what was asked of it, its W&B id and its tags."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from study.tracking.tracker import Predictions, Row

if TYPE_CHECKING:
    import wandb

TAGGED = ("model", "scale", "pretraining", "dataset")
MOST_TAG_CHARACTERS = 64
MOST_ID_CHARACTERS = 64
MOST_ARTIFACT_CHARACTERS = 128
RESULT = "result"  # the run that says what a study has come to


@dataclass
class Ending:
    summary: Row
    status: str
    test: Predictions | None = None
    model: Path | None = None


@dataclass
class Run:
    """A run that is open, with all that was asked of it, so that it can be written again offline.

    Attributes:
        job: its job type in W&B: the step of the study, or RESULT.
    """

    job: str
    config: Row
    tags: Sequence[str] = ()
    rows: list[Row] = field(default_factory=list)
    ending: Ending | None = None
    written: "wandb.Run | None" = None


def id_of(run_id: str, *, group: str, stamp: str) -> str:
    """The W&B id of a run: the same when the study is resumed, another in a study of that name elsewhere."""
    wanted = f"{group}-{run_id}"
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted)[:MOST_ID_CHARACTERS]
    digest = sha256(f"{stamp} {wanted}".encode()).hexdigest()
    return f"{plain}-{digest[:6]}"


def name_of_model(group: str) -> str:
    """Of the artifact that a study's best model is."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{group}-best")[-MOST_ARTIFACT_CHARACTERS:]


def tags(config: Row) -> list[str]:
    # A tag that is too long keeps its end, which is what tells one path from another.
    values = [str(config[name])[-MOST_TAG_CHARACTERS:] for name in TAGGED if config.get(name)]
    return list(dict.fromkeys(values))
