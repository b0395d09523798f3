"""What is taken to a GPU machine without a network: all that a study imports and that machine lacks."""

import re
import tomllib
from pathlib import Path

from gpu import check, pack

ROOT = Path(__file__).parents[2]


def named(requirement: str) -> str:
    """The name of a distribution, as constraints.txt has it."""
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return name.group().lower().replace("_", "-")


def test_every_dependency_is_packed_or_there_or_left_out_on_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {named(requirement) for requirement in project["dependencies"]}
    assert wanted <= {*pack.LACKING, *pack.THERE, *pack.LEFT_OUT}
    assert not set(pack.LACKING) & set(pack.THERE)


def test_what_is_packed_is_of_the_versions_that_are_tested() -> None:
    pinned = {named(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert set(pack.LACKING) <= pinned


def test_the_check_runs_tests_that_there_are() -> None:
    assert all((ROOT / test).is_file() for test in check.TESTS)
    marked = {path for path in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.gpu" in path.read_text()}
    assert {path.relative_to(ROOT).as_posix() for path in marked - {Path(__file__)}} == set(check.TESTS)


def test_how_busy_a_gpu_was_is_told_for_each_step_of_a_study() -> None:
    samples = [(0.0, 0.0), (1.0, 0.2), (2.0, 0.8), (3.0, 1.0), (4.0, 0.5)]
    found = check.shares(samples, {"startup": 2.0, "search": 2.0, "replicate": 1.0})
    assert found == {"whole": 0.5, "startup": 0.1, "search": 0.9, "replicate": 0.5}
    assert check.shares([], {"startup": 2.0}) == {}
