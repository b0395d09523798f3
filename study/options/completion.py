"""Completion of commands, options and their values in a shell: a script that shtab makes of the parsers."""

import argparse
from collections.abc import Callable, Iterable, Mapping

import shtab

from study.data import named
from study.data.source import DUPLICATES
from study.design.recipes import RECIPES
from study.design.study import EARLY_STOPPING
from study.options.parser import Parser
from trainables import architecture
from trainables.choices import BOUNDARY_MODES, PRECISIONS, SCALES
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric


def pretrainings() -> list[str]:
    return list(dict.fromkeys(variant.pretraining for _, variant in architecture.every()))


def recipes() -> list[str]:
    own = [recipe.name for name in architecture.names() for recipe in architecture.get(name).recipes]
    return list(dict.fromkeys([*RECIPES, *own]))


# The values of an option, by its name in the namespace. argparse knows few of them: a mistake names the nearest
VALUES: Mapping[str, Callable[[], Iterable[str]]] = {
    "model": architecture.names,
    "models": architecture.names,
    "dataset": named.names,
    "datasets": named.names,
    "pretraining": pretrainings,
    "variant": lambda: [variant.name for _, variant in architecture.every()],
    "recipe": recipes,
    "metric": lambda: list(Metric),
    "scale": lambda: ["auto", *SCALES],
    "augmentation": lambda: DECLARED["augmentation"].choices,
    "fix": lambda: [f"{name}=" for name in DECLARED],
    "early_stopping": lambda: EARLY_STOPPING,
    "boundaries": lambda: BOUNDARY_MODES,
    "precision": lambda: ["auto", *PRECISIONS],
    "duplicates": lambda: DUPLICATES,
}
FILES = {"FILE.toml": shtab.FILE, "PATH": shtab.FILE, "DIR": shtab.DIRECTORY, "STUDY": shtab.DIRECTORY}


def script(shell: str, commands: Mapping[str, tuple[str, Parser]]) -> str:
    """The completion of `study COMMAND ...` for a shell.

    Args:
        shell: bash, zsh or tcsh.
        commands: by name, what each does and its parser.
    """
    whole = argparse.ArgumentParser("study")
    subparsers = whole.add_subparsers()
    for name, (what, parser) in commands.items():
        for action in parser._actions:
            teach(action)
        subparsers.add_parser(name, help=what, parents=[parser], add_help=False)
    return shtab.complete(whole, shell)


def teach(action: argparse.Action) -> None:
    """Says of an option what its values are."""
    if action.choices is None and action.dest in VALUES:
        action.choices = list(VALUES[action.dest]())
    elif isinstance(action.metavar, str) and action.metavar in FILES:
        action.complete = FILES[action.metavar]  # type: ignore[attr-defined]
