"""Which recipe a study trains by: `fair`, one of the model's own, or a file's."""

import tomllib
from collections.abc import Callable
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

from study.design.study import RECIPES
from trainables.architecture import Architecture
from trainables.choices import choose
from trainables.recipe import HeadFirst, Recipe

FAIR = RECIPES["fair"]


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)


KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("a whole number", lambda value: type(value) is int),
    float: ("a number", is_number),
    str: ("a text in quotes", lambda value: type(value) is str),
    tuple[float, ...]: ("a list of numbers", lambda value: type(value) is list and all(map(is_number, value))),
    HeadFirst | None: ("a table of share and lr_scale", lambda value: type(value) is dict),
}


def offered(architecture: Architecture) -> dict[str, Recipe]:
    return RECIPES | {recipe.name: recipe for recipe in architecture.recipes}


def chosen(given: str, architecture: Architecture) -> Recipe:
    """The recipe of that name, or of that file. Raises ValueError for a mistake."""
    if given.endswith(".toml"):
        return read(Path(given))
    recipes = offered(architecture)
    return recipes[choose("recipe", given, [*recipes, "FILE.toml"])]


def read(path: Path) -> Recipe:
    """A recipe from TOML: a field that the file leaves out is `fair`'s, and the name is the file's."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"recipe {path} cannot be read ({error.strerror}): give the path of a TOML file") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ValueError(f"recipe {path} is not TOML: {error}") from None
    try:
        check(table, Recipe)
        if "head_first" in table:
            check(table["head_first"], HeadFirst, within="head_first.", complete=True)
            table["head_first"] = HeadFirst(**table["head_first"])
        if "milestones" in table:
            table["milestones"] = tuple(table["milestones"])
        return replace(FAIR, **{"name": path.stem, **table})
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from None


def check(
    table: dict[str, Any], kind: type[Recipe] | type[HeadFirst], within: str = "", *, complete: bool = False
) -> None:
    """Raises ValueError for a field that there is not, is of another type, or is missing from a complete table."""
    kinds = {field.name: KINDS[field.type] for field in fields(kind)}
    for name, value in table.items():
        choose("field", within + name, [within + known for known in kinds])
        wanted, fits = kinds[name]
        if not fits(value):
            raise ValueError(f"{within}{name} takes {wanted}, got {value!r}")
    for name in kinds if complete else ():
        if name not in table:
            raise ValueError(f"{within}{name} is missing: give {kinds[name][0]}")
