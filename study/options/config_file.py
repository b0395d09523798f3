"""`--config FILE.toml`: any option of a command, as the words that its command line would have.

    model = "vit"
    trials = 16
    fix = ["lr=1e-3", "label_smoothing=0.1"]
    offline = true

An option is named as on the command line, with - or _. A value is checked as there, for it takes the same way.
"""

import argparse
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from study.files import expanded
from trainables.choices import did_you_mean

SWITCH = {True: "--{}", False: "--no-{}"}


def words(path: str, options: Mapping[str, argparse.Action], *, leave_out: Collection[str] = ()) -> list[str]:
    """What a file gives.

    Args:
        path: of the TOML file.
        options: those of the command, by name without dashes.
        leave_out: the names in the namespace of options that are given elsewhere.

    Raises ValueError for a mistake.
    """
    found: list[str] = []
    for key, value in table(path).items():
        name = key.replace("_", "-")
        if name not in options:
            raise ValueError(f"unknown option {key!r}{did_you_mean(name, options)}")
        if options[name].dest not in leave_out:
            found += words_of(name, value, options[name])
    return found


def table(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(expanded(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror}): give the path of a TOML file") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ValueError(f"it is not TOML: {error}") from None


def words_of(name: str, value: Any, option: argparse.Action) -> list[str]:
    """One option as words. Raises ValueError for a value of a kind that it cannot take."""
    is_switch = option.nargs == 0
    takes_several = option.nargs in ("+", "*")
    if is_switch or isinstance(value, bool):
        if not (is_switch and isinstance(value, bool)):
            raise ValueError(f"{name} takes {'true or false' if is_switch else 'a value'}, got {shown(value)}")
        return [SWITCH[value].format(name)]
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, dict | list | bool) for one in values):
        raise ValueError(f"{name} takes a value or a list of values, got {shown(value)}")
    if takes_several:
        return [f"--{name}", *map(str, values)]
    if isinstance(value, list) and not isinstance(option, argparse._AppendAction):
        raise ValueError(f"{name} takes one value, got {shown(value)}")
    return [f"--{name}={one}" for one in values]


def shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
