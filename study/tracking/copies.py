"""What is uploaded of a run that was written to disk: its file, with what was found out after it was written.

That is the sweep that W&B made for its study, tags such as `winner`, and where the files of its tables and models lie
now: the client notes absolute paths, and a folder that was copied from another machine lies elsewhere; it would pass
over what it does not find, without a word. The run's own file stays as it is, for its study may still write it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.design.states import Phase
from study.files import write_json
from study.tracking import log_file
from study.tracking.folder import mark_of, open_mark


@dataclass(frozen=True)
class Known:
    """What is told of the runs of a study.

    Attributes:
        sweep: id of the study's sweep in W&B, for its trials.
        tags: by a run's id.
    """

    sweep: str | None
    tags: Mapping[str, Sequence[str]]


def tags_in(folder: Path) -> dict[str, list[str]]:
    """Tags that runs of a study's folder were given after they had ended, by their id."""
    noted = folder / "wandb" / "tags.json"
    return json.loads(noted.read_text(encoding="utf-8")) if noted.is_file() else {}


def note_tag(folder: Path, ids: Iterable[str], tag: str, *, told: bool) -> None:
    """Notes a tag of runs that have ended.

    Args:
        folder: of the study.
        ids: of the runs.
        tag: that they get.
        told: whether W&B knows it; else the runs are to be uploaded, once more where they have been.
    """
    tags = tags_in(folder)
    for one in ids:
        tags[one] = sorted({*tags.get(one, []), tag})
        if not told:
            for run in (folder / "wandb").glob(f"*run-*/run-{one}.wandb"):
                mark_of(run).unlink(missing_ok=True)
                if not run.parent.name.startswith("offline-"):
                    open_mark(run).touch()
    write_json(folder / "wandb" / "tags.json", tags)


def trials(folder: Path) -> list[str]:
    """Ids of the trials among the runs of a study's folder."""
    found = (identity(run) for run in (folder / "wandb").glob("*run-*/run-*.wandb"))
    return sorted({one for one, job in found if job == Phase.SEARCH})


def identity(run: Path) -> tuple[str, str]:
    """A run's id and job type, from its file; empty ones where it says none."""
    from wandb.proto import wandb_internal_pb2

    try:
        for content in log_file.records(run.read_bytes()):
            record: Any = wandb_internal_pb2.Record.FromString(content)  # type: ignore[attr-defined]
            if record.WhichOneof("record_type") == "run":
                return record.run.run_id, record.run.job_type
    except ValueError:
        pass
    return "", ""


def copied(run: Path, folder: Path, into: Path, known: Known) -> Path:
    """The file of a run as it is to be uploaded, in a folder of the same name in `into`, beside the run's other files.

    Args:
        run: its file.
        folder: of the study.
        into: a folder on the same machine.
        known: what is told of it.

    Raises ValueError for what is no file of a run.
    """
    place = into / run.parent.name
    place.mkdir(parents=True)
    (place / "files").symlink_to((run.parent / "files").resolve())
    copy = place / run.name
    records = (told(record, folder.resolve(), known) for record in log_file.records(run.read_bytes()))
    copy.write_bytes(log_file.written(records))
    return copy


def told(content: bytes, folder: Path, known: Known) -> bytes:
    """A record of a run's file with what is known now."""
    from wandb.proto import wandb_internal_pb2

    record: Any = wandb_internal_pb2.Record.FromString(content)  # type: ignore[attr-defined]
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run = record.run
        if known.sweep and run.job_type == Phase.SEARCH and not run.sweep_id:
            run.sweep_id = known.sweep
        run.tags.extend(tag for tag in known.tags.get(run.run_id, []) if tag not in run.tags)
    elif kind == "artifact":
        relocate(record.artifact, folder)
    elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
        relocate(record.request.log_artifact.artifact, folder)
    else:
        return content
    return bytes(record.SerializeToString())


def relocate(artifact: Any, folder: Path) -> None:
    """Where the files of an artifact lie now, if they are not where they were written."""
    for entry in artifact.manifest.contents:
        if entry.local_path and not Path(entry.local_path).exists():
            entry.local_path = str(found(Path(entry.local_path), folder) or entry.local_path)


def found(path: Path, folder: Path) -> Path | None:
    """A file of a study's folder by its path in another place that the folder was in; the longest end of it counts."""
    parts = path.parts[1:]
    ends = (folder.joinpath(*parts[first:]) for first in range(len(parts)))
    return next((end for end in ends if end.is_file()), None)
