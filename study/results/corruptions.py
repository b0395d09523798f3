"""`corruptions.json`: what a study's model does with corrupted test images, where it was measured."""

import json
from pathlib import Path

from study.results.study_file import damaged

FILE = "corruptions.json"
CLEAN = "none"


def read(folder: Path) -> dict[str, dict[int, float]]:
    """Accuracy by corruption and severity; `none` has severity 0 alone. Empty where nothing was measured.

    Raises ValueError for a file that is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[str, dict[int, float]] = {}
    try:
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            found.setdefault(row["corruption"], {})[int(row["severity"])] = row["right"] / row["images"]
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise damaged(path, error) from None
    return found
