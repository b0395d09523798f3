"""--preprocessing NAME=VALUE: how images become a model's input, where it is not to be as its checkpoint has it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from trainables.architecture import Preprocessing, Variant
from trainables.choices import choose

THREE = tuple[float, float, float]
KINDS: dict[str, tuple[Any, str]] = {
    "size": (int, "a whole number"),
    "crop": (float, "a number"),
    "interpolation": (str, "a name"),
    "mean": (THREE, "three numbers R,G,B"),
    "std": (THREE, "three numbers R,G,B"),
}


def overridden(assignments: Sequence[str], variant: Variant) -> Preprocessing | None:
    """The variant's preprocessing with what is given, None if nothing is. Raises ValueError for a mistake."""
    if not assignments:
        return None
    values = dict(assigned(assignment) for assignment in assignments)
    try:
        return replace(variant.preprocessing, **values)
    except ValueError as error:
        raise ValueError(f"--preprocessing: {error}") from None


def assigned(assignment: str) -> tuple[str, Any]:
    name, equals, value = assignment.partition("=")
    if not equals:
        raise ValueError(f"--preprocessing takes NAME=VALUE, got {assignment!r}")
    kind, takes = KINDS[choose("preprocessing", name, KINDS)]
    words = [word.strip() for word in value.split(",")] if kind is THREE else value
    try:
        return name, msgspec.convert(words, kind, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"--preprocessing {name} takes {takes}, got {value!r}") from None
