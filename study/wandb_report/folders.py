"""Whose W&B runs a report is about. Imports no reader of records: the command line checks its folder with it."""

import json
from pathlib import Path

from study.options.comparison import study_folders
from study.results import bucket
from study.results.place import local, shown


def folders_in(folder: Path) -> list[Path]:
    """The folders of the studies in a folder, or of those that a comparison in it was made from."""
    bucket.fetch(folder)
    if not folder.is_dir():
        raise ValueError(f"{shown(folder)} is no folder: name the folder of a study, or of a comparison")
    comparison = folder / "comparison.json"
    if comparison.is_file() and not any(folder.glob("*/study.json")):
        groups = json.loads(comparison.read_text(encoding="utf-8"))["groups"]
        folders = [local(row["record"]) for group in groups for row in group["rows"]]
        for one in folders:
            bucket.fetch(one)
        return study_folders(folders)
    return study_folders([folder])
