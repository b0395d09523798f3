"""What a study searches: a table of ranges and choices, one line per hyperparameter.

The tables of `search_spaces/` and a file given by --space are read by the same code:

    lr = { low = 1e-5, high = 3e-2, log = true }        # or [lr] with a line for each
    freeze_depth = { low = 0, high = "all" }            # stages; a share of them as 0.5; "all"
    augmentation = { choices = ["none", "flip"] }
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import search_spaces
from trainables.choices import choose
from trainables.hyperparameters import DECLARED, Hyperparameter, Hyperparameters, Value, declared

ALL = "all"
DEPTH = "freeze_depth"  # the one whose bounds follow from the model


@dataclass(frozen=True)
class Range:
    """Every value from `low` to `high`, both included; drawn on a logarithmic axis where `log`."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: Value) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    def facts(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Choices:
    """Some values, none of which is between others."""

    values: tuple[Value, ...]

    def __contains__(self, value: Value) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.values

    def facts(self) -> dict[str, Any]:
        return {"choices": list(self.values)}


Domain = Range | Choices
Space = Mapping[str, Domain]


def default(model: str, backbone_stages: int) -> Space:
    """The space of an architecture, from its table in `search_spaces/`."""
    name = f"{model}.toml"
    return parse((files(search_spaces) / name).read_text(encoding="utf-8"), f"search_spaces/{name}", backbone_stages)


def read(path: Path, backbone_stages: int) -> Space:
    """The space in a file. Raises ValueError, naming the file, the field and the way out, for a mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"space {path} cannot be read ({error.strerror}): give the path of a TOML file") from None
    except UnicodeDecodeError:
        raise ValueError(f"space {path} is not text: give the path of a TOML file") from None
    return parse(text, f"space {path}", backbone_stages)


def parse(text: str, where: str, backbone_stages: int) -> Space:
    """The space that a TOML text says, in its order. Raises ValueError for a mistake, beginning with `where`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where} is not TOML: {error}") from None
    try:
        space = {name: domain(declared(name), entry, backbone_stages) for name, entry in table.items()}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not space:
        raise ValueError(f"{where} is empty: give a line such as lr = {{ low = 1e-5, high = 1e-2 }}")
    return space


def from_facts(facts: Mapping[str, Mapping[str, Any]]) -> Space:
    """The space that a record holds."""
    return {
        name: Choices(tuple(one["choices"])) if "choices" in one else Range(one["low"], one["high"], one["log"])
        for name, one in facts.items()
    }


def domain(of: Hyperparameter, entry: Any, backbone_stages: int) -> Domain:
    """One line of a table. Raises ValueError for a mistake."""
    if not isinstance(entry, dict):
        raise ValueError(f"{of.name} takes a table of low and high, or of choices, got {entry!r}")
    for field in entry:
        choose(f"field of {of.name}", field, ["low", "high", "log", "choices"])
    if "choices" in entry:
        if len(entry) > 1:
            raise ValueError(f"{of.name} has choices and a range: give one of them")
        return choices(of, entry["choices"], backbone_stages)
    if of.kind is str:
        raise ValueError(f"{of.name} takes choices, of {', '.join(of.choices)}")
    for field in ("low", "high"):
        if field not in entry:
            raise ValueError(f"{of.name} has no {field}: give low and high, or choices")
    return bounds(of, entry, backbone_stages)


def choices(of: Hyperparameter, given: Any, backbone_stages: int) -> Choices:
    if not isinstance(given, list) or len(given) < 2:
        raise ValueError(f"{of.name} takes a list of two choices or more, got {given!r}: --fix sets a single value")
    values = tuple(value_of(of, one, backbone_stages) for one in given)
    if len(set(values)) < len(values):
        raise ValueError(f"{of.name} has a choice twice: {', '.join(map(str, given))}")
    return Choices(values)


def bounds(of: Hyperparameter, entry: Mapping[str, Any], backbone_stages: int) -> Range:
    low, high = (value_of(of, entry[field], backbone_stages) for field in ("low", "high"))
    assert isinstance(low, int | float) and isinstance(high, int | float)
    log = entry.get("log", of.log)
    if not isinstance(log, bool):
        raise ValueError(f"{of.name}: log takes true or false, got {log!r}")
    if low > high:
        raise ValueError(f"{of.name}: low {low:g} is above high {high:g}")
    if low == high:
        raise ValueError(f"{of.name}: low and high are both {low:g}: --fix {of.name}={low:g} sets a single value")
    if log and low <= 0:
        raise ValueError(f"{of.name}: a logarithmic range needs a low above 0, got {low:g}: raise it, or log = false")
    return Range(low, high, log)


def value_of(of: Hyperparameter, given: Any, backbone_stages: int) -> Value:
    """A value as files say it: of the freeze depth also a share of the backbone's stages, or `all` of them."""
    if of.name != DEPTH:
        return of.check(given)
    if given == ALL:
        return backbone_stages
    if isinstance(given, float) and 0 <= given <= 1:
        return round(given * backbone_stages)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= backbone_stages:
        raise ValueError(f"{DEPTH} must be 0 to {backbone_stages} stages, a share such as 0.5, or all, got {given!r}")
    return given


def fixed(assignments: Iterable[str], backbone_stages: int) -> dict[str, Value]:
    """Every NAME=VALUE of --fix, the last one of a name. Raises ValueError."""
    return dict(fixed_value(assignment, backbone_stages) for assignment in assignments)


def fixed_value(assignment: str, backbone_stages: int) -> tuple[str, Value]:
    """NAME=VALUE of --fix, checked. Raises ValueError."""
    name, equals, text = assignment.partition("=")
    if not equals:
        raise ValueError(f"--fix takes NAME=VALUE, got {assignment!r}")
    of = DECLARED[choose("hyperparameter to fix", name, DECLARED)]
    if of.name != DEPTH:
        try:
            return name, of.parse(text)
        except ValueError as error:
            raise ValueError(f"--fix {error}") from None
    if text == ALL:
        return name, backbone_stages
    try:
        return name, value_of(of, float(text) if "." in text else int(text), backbone_stages)
    except ValueError:
        raise ValueError(
            f"--fix {name} takes a whole number from 0 to {backbone_stages}, a share such as 0.5, or all, got {text!r}"
        ) from None


def size(space: Space) -> int | None:
    """How many points there are; None where one of the hyperparameters takes any number of a range."""
    counts = [count(DECLARED[name], one) for name, one in space.items()]
    return None if None in counts else prod(n for n in counts if n is not None)


def count(of: Hyperparameter, one: Domain) -> int | None:
    if isinstance(one, Choices):
        return len(one.values)
    return int(one.high - one.low) + 1 if of.kind is int else None


def contains(space: Space, point: Hyperparameters) -> bool:
    return all(getattr(point, name) in one for name, one in space.items())
