"""Whose W&B runs a report is about. Imports no reader of records: the command line checks its folder with it."""

import json
from pathlib import Path

from study.options.comparison import study_folders


def folders_in(folder: Path) -> list[Path]:
    """The folders of the studies in a folder, or of those that a comparison in it was made from."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: name the folder of a study, or of a comparison")
    comparison = folder / "comparison.json"
    if comparison.is_file() and not any(folder.glob("*/study.json")):
        groups = json.loads(comparison.read_text(encoding="utf-8"))["groups"]
        return study_folders([Path(row["record"]) for group in groups for row in group["rows"]])
    return study_folders([folder])
