"""Python and the command line are given the same things, by the same names."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from study import api
from study.options import command_line
from study.options import comparison as comparison_line
from study.options.keywords import ComparisonKeywords, Keywords, ProbeKeywords, SelectKeywords, StudyKeywords
from study.options.parser import Parser
from study.probe import parser as probe_parser
from study.select import parser as select_parser

COMMANDS = [
    (api.run, StudyKeywords, command_line.parser),
    (api.compare, ComparisonKeywords, comparison_line.parser),
    (api.probe, ProbeKeywords, probe_parser),
    (api.select, SelectKeywords, select_parser),
]


def plain(default: Any) -> Any:
    """A default without what is a matter of type: a path, an empty list, nothing."""
    return str(default) if isinstance(default, Path) else default or None


@pytest.mark.parametrize(("function", "kind", "parser"), COMMANDS)
def test_a_function_takes_the_options_of_its_command_with_their_defaults(
    function: Callable[..., Any], kind: type[Keywords], parser: Callable[[], Parser]
) -> None:
    options = {action.dest: action.default for action in parser()._actions if action.option_strings}
    named = {field.name: field.default for field in fields(kind)}
    assert named.keys() == options.keys() - {"config", "==SUPPRESS=="}
    parameters = inspect.signature(function).parameters
    assert parameters.keys() == named.keys()
    for name, default in named.items():
        if default is not MISSING and parameters[name].default is not inspect.Parameter.empty:
            given = parameters[name].default
            assert plain(list(given) if isinstance(given, tuple) else given) == plain(
                list(default) if isinstance(default, tuple) else default
            ), name
            if "SUPPRESS" not in str(options[name]):
                assert plain(options[name]) == plain(list(default) if isinstance(default, tuple) else default), name


def test_keywords_give_the_command_line_that_gives_them() -> None:
    keywords = StudyKeywords(
        model="vit",
        trials=4,
        fix=["lr=0.001", "freeze_depth=all"],
        preprocessing=["mean=0.5,0.5,0.5"],
        space=Path("space.toml"),
        train_fraction=0.5,
        offline=True,
        data_option=[],
    )
    again, _ = command_line.parse(keywords.words())
    assert [*keywords.words()] == [*again.words()]
    assert (again.fix, again.space, again.offline) == (keywords.fix, keywords.space, True)


def test_a_comparison_gives_the_command_line_that_gives_it() -> None:
    keywords = ComparisonKeywords(models=["vit", "resnet"], datasets=["digits", "cifar10"], data_efficiency=[1, None])
    again, _ = comparison_line.parse(keywords.words())
    assert (again.models, again.datasets, again.data_efficiency) == (
        ["vit", "resnet"],
        ["digits", "cifar10"],
        [1, None],
    )
    reading, _ = comparison_line.parse(
        ComparisonKeywords(models=keywords.models, records=[Path("results")]).words()[3:]
    )
    assert reading.records == [Path("results")]


def test_values_of_python_are_the_assignments_of_the_command_line() -> None:
    assert api.assignments({"lr": 1e-3, "freeze_depth": "all", "mean": (0.5, 0.5, 0.5)}) == [
        "lr=0.001",
        "freeze_depth=all",
        "mean=0.5,0.5,0.5",
    ]
    assert api.assignments(None) == []


def test_a_mistake_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean vit"):
        api.run("vitt", results=tmp_path, scale="mini")
    with pytest.raises(ValueError, match="max-concurrent must be at least 1, got 0"):
        api.run("vit", results=tmp_path, scale="mini", max_concurrent=0)
    assert list(tmp_path.iterdir()) == []


LIGHT = """
import sys
import study
assert not {"torch", "ray", "msgspec"} & sys.modules.keys()
from study import compare, probe, run, select
import study.run, study.compare, study.probe, study.select
assert not {"torch", "ray"} & sys.modules.keys()
assert callable(run) and study.run is run and study.compare is compare
assert study.probe is probe and study.select is select
from study.run import main
import importlib
assert importlib.import_module("study.run").main is main
assert study.run is run
"""


def test_importing_is_light_and_a_command_does_not_take_the_place_of_its_function() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, cwd=Path(__file__).parents[2])


def test_what_the_package_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        getattr(sys.modules["study"], "walk")  # noqa: B009
