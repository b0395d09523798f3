"""What lies in a study's folder, under `wandb/`, and whose it is."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "by study.sync"


@dataclass(frozen=True)
class Tracked:
    """The W&B runs of a study's folder.

    Attributes:
        record: what `config.record` of each of its runs is, and of no other study's runs.
        entity: whose project it is; None for the entity that the user has in W&B.
        project: where its runs are, or will be once they are uploaded.
        waiting: how many runs are on disk only, for `study.sync` to upload.
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
    waiting = sum(not uploaded(run) for run in offline_runs(folder))
    return Tracked(folder, stamp, entity or None, project, waiting)


def offline_runs(folder: Path) -> list[Path]:
    """The files of runs that were written to disk only, or of which the server may lack the end."""
    place = folder / "wandb"
    cut_off = [path.with_suffix("") for path in place.glob("run-*/run-*.wandb.open")]
    return sorted([*place.glob("offline-run-*/run-*.wandb"), *(run for run in cut_off if run.exists())])


def open_mark(run: Path) -> Path:
    """What lies beside the file of a run that is logged online, until the server has had its end."""
    return run.with_suffix(".wandb.open")


def mark_of(run: Path) -> Path:
    """What the client leaves beside the file of a run that it has uploaded."""
    return run.with_suffix(".wandb.synced")


def mark(run: Path, changed: int) -> None:
    """Notes that a run is uploaded as it was when it had `changed` last, by its time in nanoseconds."""
    mark_of(run).write_text(OURS)
    os.utime(mark_of(run), ns=(changed, changed))


def uploaded(run: Path) -> bool:
    """Whether W&B has all that is known of a run: `wandb sync` leaves a mark, too, and knows less."""
    try:
        return run.stat().st_mtime_ns <= mark_of(run).stat().st_mtime_ns and mark_of(run).read_text() == OURS
    except FileNotFoundError:
        return False


def state_of(folders: Sequence[Path]) -> str:
    """How many runs of some studies were written to disk, where W&B has them all."""
    runs = sum(len(offline_runs(folder)) for folder in folders)
    return f"it has the {runs} that were written to disk" if runs else "no run was written to disk only"


def stamp(path: Path) -> str:
    """What tells this folder's runs from those of a study of the same name in another folder."""
    if not path.exists():
        path.write_text(secrets.token_hex(8))
    return path.read_text()
