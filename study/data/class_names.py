"""Names of classes that a person would take for one: composed differently, or in another case."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

CASE = ("apart", "same")
SETTINGS = {"case": "whether classes that differ only in case are the `same`, or `apart`"}


def merged(names: Iterable[str]) -> dict[str, str]:
    """Each name, and the class that it is: names that differ only by how their letters are composed are one class.

    It is called as the first of them is, so that a dataset with one spelling has the names that it always had.
    """
    first: dict[str, str] = {}
    found = sorted(set(names))
    for name in found:
        first.setdefault(unicodedata.normalize("NFC", name), name)
    return {name: first[unicodedata.normalize("NFC", name)] for name in found}


def looks(name: str) -> str:
    """The same for names that a person may take for one: no case, no invisible characters, no double spaces."""
    seen = unicodedata.normalize("NFKC", name).casefold()
    return " ".join("".join(letter for letter in seen if unicodedata.category(letter) != "Cf").split())


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that look alike. Single letters in two cases are what a dataset of handwriting has."""
    groups = defaultdict(list)
    for name in sorted(set(names)):
        groups[looks(name)].append(name)
    return [group for group in groups.values() if len(group) > 1 and any(len(name.strip()) > 1 for name in group)]


def settle(names: Mapping[str, str], case: str | None) -> tuple[dict[str, str], list[str]]:
    """The class of each name, and what is to be asked of a person.

    Args:
        names: each name and its class, as `merged` has it.
        case: what `--data-option case=` says of classes that look alike: `same` or `apart`; None where it is not given.
    """
    if case not in (None, *CASE):
        return dict(names), [f"--data-option case must be {' or '.join(CASE)}, got {case!r}"]
    groups = alike(names.values())
    if case == "same":
        one = {name: group[0] for group in groups for name in group}
        return {name: one.get(class_, class_) for name, class_ in names.items()}, []
    if case == "apart" or not groups:
        return dict(names), []
    shown = " and ".join(map(repr, groups[0]))  # which escapes what cannot be seen
    more = f" (and {len(groups) - 1} more such groups)" if len(groups) > 1 else ""
    return dict(names), [
        f"classes {shown} differ only in case or in what cannot be seen{more}: rename one, or say by --data-option "
        "case=same that they are one class, by case=apart that they are not"
    ]
