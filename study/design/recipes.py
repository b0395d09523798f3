"""Which recipe a study trains by: `fair`, one of the model's own, or a file's."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.files import expanded
from trainables.architecture import Architecture
from trainables.choices import choose
from trainables.hyperparameters import DECLARED, REQUIRED
from trainables.recipe import Recipe

# The same for every model: what differs between models is what was searched
FAIR = Recipe("fair", epochs=10, settings={"label_smoothing": 0.1})
RECIPES = {FAIR.name: FAIR}


def offered(architecture: Architecture) -> dict[str, Recipe]:
    return RECIPES | {recipe.name: recipe for recipe in architecture.recipes}


def chosen(given: str, architecture: Architecture) -> Recipe:
    """The recipe of that name, or of that file. Raises ValueError for a mistake."""
    if given.endswith(".toml"):
        return read(expanded(given))
    recipes = offered(architecture)
    return recipes[choose("recipe", given, [*recipes, "FILE.toml"])]


def read(path: Path) -> Recipe:
    """A recipe from TOML: what the file leaves out is as in `fair`, and the name is the file's."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"recipe {path} cannot be read ({error.strerror}): give the path of a TOML file") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ValueError(f"recipe {path} is not TOML: {error}") from None
    try:
        return from_table(path.stem, flat(table))
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from None


def from_facts(facts: Mapping[str, Any]) -> Recipe:
    """The recipe that a record holds. One from before a hyperparameter was declared has its default."""
    own = {name: value for name, value in flat(facts).items() if name in DECLARED}
    return Recipe(facts["name"], facts["epochs"], tuple(facts["milestones"]), own)


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table in a table as fields of its own: `[head_first] share` is `head_first_share`."""
    fields: dict[str, Any] = {}
    for name, value in table.items():
        inner = {f"{name}_{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        fields |= inner
    return fields


def from_table(name: str, table: Mapping[str, Any]) -> Recipe:
    """Raises ValueError for a field that there is not, or a value that it cannot have."""
    settings = dict(table)
    known = ["name", "epochs", "milestones", *(one for one in DECLARED if one not in REQUIRED)]
    for field in settings:
        if field not in REQUIRED:  # `Recipe` says why not
            choose("field", field, known)
    name, epochs = settings.pop("name", name), settings.pop("epochs", FAIR.epochs)
    milestones = settings.pop("milestones", list(FAIR.milestones))
    if not isinstance(name, str):
        raise ValueError(f"name takes a text in quotes, got {name!r}")
    if isinstance(epochs, bool) or not isinstance(epochs, int):
        raise ValueError(f"epochs takes a whole number, got {epochs!r}")
    if not isinstance(milestones, list) or not all(type(one) in (int, float) for one in milestones):
        raise ValueError(f"milestones takes a list of numbers, got {milestones!r}")
    for i, share in enumerate(milestones):
        if abs(share) > 1:  # which may be more than a float can be
            raise ValueError(f"milestones[{i}] must be at least 0 and below 1, got {share}")
    return Recipe(name, epochs, tuple(map(float, milestones)), {**FAIR.settings, **settings})
