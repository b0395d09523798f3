"""What lies in a study's folder, under `wandb/`, and whose it is."""

import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tracked:
    """The W&B runs of a study's folder.

    Attributes:
        record: what `config.record` of each of its runs is, and of no other study's runs.
        entity: whose project it is; None for the entity that the user has in W&B.
        project: where its runs are, or will be once they are uploaded.
        waiting: how many runs are on disk only, for `wandb sync` to upload.
    """

    folder: Path
    record: str
    entity: str | None
    project: str
    waiting: int


def tracked(folder: Path) -> Tracked | None:
    """The W&B runs of the study in `folder`; None where there are none, or none that say which record is theirs."""
    place = folder / "wandb"
    files = [place / "stamp", place / "project"]
    if not any(place.glob("*run-*/run-*.wandb")) or not all(file.is_file() for file in files):
        return None
    stamp, path = (file.read_text().strip() for file in files)
    entity, _, project = path.rpartition("/")
    offline = place.glob("offline-run-*/run-*.wandb")
    waiting = sum(not file.with_suffix(".wandb.synced").exists() for file in offline)
    return Tracked(folder, stamp, entity or None, project, waiting)


def stamp(path: Path) -> str:
    """What tells this folder's runs from those of a study of the same name in another folder."""
    if not path.exists():
        path.write_text(secrets.token_hex(8))
    return path.read_text()
