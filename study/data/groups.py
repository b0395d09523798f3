"""Images that belong together: of one writer, patient or scene. No group is in two splits."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from study.text import shorten

SETTINGS = {
    "group": "what belongs together and is never in two splits: a column of the table, or a pattern with (...) on the "
    "paths of images"
}


def by_path(paths: Sequence[str], settings: Mapping[str, str]) -> tuple[np.ndarray | None, list[str]]:
    """The group of each image by its path, as numbers, and what stands against that."""
    given = settings.get("group")
    if given is None:
        return None, []
    try:
        pattern = compiled(given, "group")
    except ValueError as error:
        return None, [str(error)]
    found = [captured(pattern, path) for path in paths]
    lacking = [path for path, group in zip(paths, found, strict=True) if group is None]
    if lacking:
        return None, [
            f"{len(lacking)} of {len(paths)} images have no group by the pattern {given!r}, such as {shorten(lacking)}"
        ]
    return numbered([str(group) for group in found]), []


def numbered(names: Sequence[str]) -> np.ndarray:
    return np.unique(np.array(names, object).astype(str), return_inverse=True)[1].astype(np.int64)


def compiled(pattern: str, option: str) -> re.Pattern[str]:
    """Raises ValueError for what is no pattern, or marks no part of a path."""
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--data-option {option}={pattern!r} is no regular expression: {error}") from None
    if not found.groups:
        raise ValueError(f"--data-option {option}={pattern!r} marks no part: put (...) around what names it")
    return found


def captured(pattern: re.Pattern[str], path: str) -> str | None:
    """What the first part with something in it matches."""
    match = pattern.search(path)
    return next((part for part in match.groups() if part), None) if match else None


def across(groups: np.ndarray, splits: Mapping[str, np.ndarray]) -> list[int]:
    """The groups that are in more than one split, by the rows of each."""
    several = np.concatenate([np.unique(groups[rows]) for rows in splits.values()])
    numbers, counts = np.unique(several, return_counts=True)
    return numbers[counts > 1].tolist()
