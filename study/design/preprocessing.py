"""--preprocessing NAME=VALUE: how images become a model's input, where it is not to be as its checkpoint has it."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from trainables.architecture import Preprocessing, Variant
from trainables.choices import choose

KINDS = {"size": "a whole number", "crop": "a number", "mean": "three numbers R,G,B", "std": "three numbers R,G,B"}


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
    choose("preprocessing", name, [field.name for field in fields(Preprocessing)])
    try:
        return name, converted(name, value)
    except ValueError:
        raise ValueError(f"--preprocessing {name} takes {KINDS[name]}, got {value!r}") from None


def converted(name: str, value: str) -> Any:
    if name == "size":
        return int(value)
    if name == "crop":
        return float(value)
    if name == "interpolation":
        return value
    first, second, third = map(float, value.split(","))
    return first, second, third
