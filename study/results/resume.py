"""Whether a folder may be written into, and whether the record in it is one that a study may go on with."""

import os
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from study.data import named
from study.design.states import StudyStatus
from study.design.study import Study
from study.results import bucket, journal, lock
from study.results.place import shown
from study.results.study_file import StudyFile
from study.text import joined

GROWING = ("trials", "seeds", "top_k", "hours")
OF_RUNS = (*(f"{name}.parquet" for name in ("trials", "runs", "curves", "predictions")), journal.NAME)


def check_folder(study: Study, *, resume: bool) -> None:
    """Raises ValueError if the study's folder exists and is not to be resumed, is in use, or cannot be a folder."""
    folder = study.folder
    bucket.fetch(folder)
    lock.check(folder)  # first: who started a study twice is told so
    check_new(folder, resume=resume)
    check_writable(folder)


def check_new(folder: Path, *, resume: bool) -> None:
    """Raises ValueError if the folder has anything in it, and is not to be resumed."""
    if not resume and folder.is_dir() and any(one.name != lock.NAME for one in folder.iterdir()):
        raise ValueError(f"{shown(folder)} exists: go on with it by --resume, or choose another --name")


def check_writable(folder: Path) -> None:
    """Raises ValueError if there can be no such folder to write in."""
    nearest = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ValueError(f"{folder} cannot be written ({nearest} is not a writable folder): choose another --results")
    bucket.check_writable(folder)


def is_finished(study: Study) -> bool:
    """Whether its record says so; False where there is none, or one that cannot be read."""
    try:
        return StudyFile.read(study.folder).status is StudyStatus.FINISHED
    except ValueError:
        return False


def check_record(study: Study) -> None:
    """Raises ValueError if the study's folder holds another study, or a record that cannot be read."""
    recorded = StudyFile.read(study.folder)
    check_begun(study.folder, recorded)
    if recorded.configuration is not None:
        check_same(study, recorded, tested=(study.folder / "predictions.parquet").exists())


def unreadable(folder: Path) -> str | None:
    """Why the record in a folder cannot be read, as far as its study.json tells; None for one that can, or none."""
    try:
        check_begun(folder, StudyFile.read(folder))
    except ValueError as why:
        return str(why)
    return None


def check_begun(folder: Path, recorded: StudyFile) -> None:
    """Raises ValueError where runs are recorded, but not of which study they are."""
    there = [name for name in OF_RUNS if (folder / name).exists()]
    if there and recorded.configuration is None:
        raise ValueError(
            f"{folder} has {joined(there)}, and no study.json that says of which study: bring it back from a copy, or "
            "choose another --name"
        )


def by_its_rules(study: Study, recorded: StudyFile) -> Study:
    """The study under the protocol that its record was begun by."""
    begun = recorded.configuration
    return replace(study, protocol=begun.protocol) if begun else study


def check_same(study: Study, recorded: StudyFile, *, tested: bool) -> None:
    """Raises ValueError if the recorded study is another one; more trials are welcome until the test set was seen."""
    study = by_its_rules(study, recorded)
    space = {name: domain.facts() for name, domain in study.space.items()}
    now = msgspec.to_builtins({**study.facts(), "space": space})
    before = msgspec.to_builtins(recorded.configuration) | {"space": recorded.space}
    if not {study.dataset, before["dataset"]} & {*named.names()}:
        before["dataset"] = study.dataset  # two places: `check_same_images` tells whether they hold the same
    for name, was, wanted in differences(before, now):
        if name in GROWING and not tested and (inf if wanted is None else wanted) >= (inf if was is None else was):
            continue  # of hours, none is as many as it takes
        why = ", and its test set has been seen" if tested and name in GROWING else ""
        raise ValueError(
            f"{study.folder} has {name} {was}, not {wanted}{why}: give the same options, or another --name"
        )


def check_same_images(study: Study, recorded: str, now: str) -> None:
    """Raises ValueError if the images or their splits are no longer those that were recorded."""
    if recorded != now:
        raise ValueError(
            f"{study.folder} was recorded on other images than {study.dataset} now: bring those back, or choose "
            f"another --name for these"
        )


def check_same_weights(study: Study, recorded: str | None, now: str | None) -> None:
    """Raises ValueError if the pretrained weights are no longer those that were recorded, where they were."""
    if recorded is not None and recorded != now:
        raise ValueError(
            f"{study.folder} was recorded with other weights of {study.variant} than these now: give those with "
            f"--weights PATH, or choose another --name for these"
        )


def differences(before: dict[str, Any], now: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of every entry of `now` that was another, and of what a table in it no longer has."""
    for name, value in now.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            yield from differences(before[name], value, f"{within}{name}.")
        elif before.get(name) != value:
            yield f"{within}{name}", before.get(name), value
    if within:
        yield from ((f"{within}{name}", value, None) for name, value in before.items() if name not in now)
