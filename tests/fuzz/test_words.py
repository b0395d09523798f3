"""Command lines, configuration files, spaces, recipes and records that nobody would write: a refusal is one line and
exit code 2; what is taken says the same again where it is written down.
"""

import json
import os
import shlex
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date, datetime, time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.cluster import environment
from study.design import recipes, space
from study.options import command_line, comparison, config_file
from study.results import provenance
from study.results.study_file import StudyFile
from study.terminal.mistake import MISTAKE, reason
from tests import records
from trainables.architecture import names
from trainables.hyperparameters import DECLARED

EXAMPLES = int(os.environ.get("EXAMPLES", "150"))
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
ODD = (
    "",
    "-",
    "--",
    "-1",
    "0",
    "1e400",
    "inf",
    "nan",
    "all",
    "auto",
    "none",
    "~",
    "/",
    "x" * 300,
    "é",
    "٣",
    "1_0",
    "=",
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and nothing of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert environment.address() is None


# What a user writes in TOML

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 1 << 64])
moments = st.sampled_from([date(2026, 1, 2), time(3, 4), datetime(2026, 1, 2, 3, 4)])
scalars = texts | numbers | st.booleans() | moments | st.sampled_from(ODD)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=6
)


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True)
    if isinstance(value, float):
        return repr(value) if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{toml(name)} = {toml(one)}' for name, one in value.items())} }}"
    return value.isoformat() if isinstance(value, date | time) else str(value)


def document(table: dict[str, Any]) -> str:
    return "".join(f"{toml(name)} = {toml(value)}\n" for name, value in table.items())


def refused(error: ValueError) -> None:
    said = str(error)
    assert said
    assert "\n" not in said
    assert not isinstance(error, UnicodeError)


ranges = st.fixed_dictionaries(
    {}, optional={"low": scalars, "high": scalars, "log": scalars, "choices": st.lists(scalars, max_size=4) | scalars}
)


@quick
@given(st.dictionaries(st.sampled_from([*DECLARED, "lr ", ""]), ranges | values, max_size=4))
def test_a_space_is_refused_in_a_line_or_is_the_same_from_a_record(table: dict[str, Any]) -> None:
    try:
        found = space.parse(document(table), "space mine.toml", 6)
    except ValueError as error:
        refused(error)
        return
    facts = json.loads(json.dumps({name: one.facts() for name, one in found.items()}))
    assert space.from_facts(facts) == found
    space.size(found)


FIELDS = (*DECLARED, "name", "epochs", "milestones", "head_first", "share", "")


@quick
@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))
def test_a_recipe_is_refused_in_a_line_or_is_the_same_from_a_record(table: dict[str, Any]) -> None:
    path = Path("mine.toml")
    path.write_text(document(table), encoding="utf-8")
    try:
        found = recipes.read(path)
    except ValueError as error:
        refused(error)
        return
    assert recipes.from_facts(json.loads(json.dumps(found.facts()))).facts() == found.facts()


OPTIONS = [*command_line.parser().by_name()]


@quick
@given(st.dictionaries(st.sampled_from(OPTIONS) | texts, values, max_size=4))
def test_a_configuration_file_is_refused_in_a_line_or_gives_words_that_mean_the_same(table: dict[str, Any]) -> None:
    Path("mine.toml").write_text(document(table), encoding="utf-8")
    try:
        config_file.words("mine.toml", command_line.parser().by_name())
    except ValueError as error:
        refused(error)
        return
    read(["--model", "vit", "--config", "mine.toml"])


# Command lines


def said_of(command: Callable[[], object]) -> bool:
    """Whether a command's options were taken; else they were refused as they should be, or only help was asked for."""
    said, shown = StringIO(), StringIO()
    with redirect_stderr(said), redirect_stdout(shown):
        try:
            command()
        except SystemExit as end:
            code = end.code
        except (ValueError, OSError) as error:  # which the command says as one line
            refused(ValueError(reason(error)))
            return False
        else:
            return True
    if code:
        assert code == MISTAKE
        assert said.getvalue().startswith("error: ")
        assert said.getvalue().count("\n") == 1
    else:
        assert shown.getvalue()
    return False


def read(words: list[str]) -> None:
    def command() -> None:
        options, parsed = command_line.parse(words)
        command_line.studies(options)
        line = shlex.split(provenance.command(parsed))[3:]
        assert repr(command_line.parse(line)[0]) == repr(options)  # not ==, for nan

    said_of(command)


PLAUSIBLE = {
    "trials": "4", "seeds": "2", "top-k": "1", "epochs": "3", "seed": "7", "max-concurrent": "1", "grad-accum": "2",
    "workers-per-trial": "1", "train-fraction": "0.5", "images-per-class": "20", "scale": "mini", "name": "mine",
    "pretraining": "none", "fix": "lr=1e-3", "recipe": "fair", "metric": "loss", "early-stopping": "none",
    "boundaries": "off", "precision": "fp32", "wandb": "offline", "results": "here", "duplicates": "drop",
    "preprocessing": "size=32", "dataset": "digits", "augmentation": "flip", "data-dir": ".", "model": "resnet",
}  # fmt: skip
plausible = st.sampled_from(sorted(PLAUSIBLE)).map(lambda name: [f"--{name}", PLAUSIBLE[name]])
option_words = st.sampled_from(OPTIONS).map(lambda name: f"--{name}")
odd = st.sampled_from(ODD) | texts | numbers.map(str)
of_ours = st.sampled_from(
    [*names(), "digits", "fair", "lr=1e-3", "freeze_depth=all", "batch_size=inf", "size=0", "4", "0.5"]
)
words = st.lists(
    st.tuples(option_words, odd | of_ours, st.booleans()).map(
        lambda pair: [f"{pair[0]}={pair[1]}"] if pair[2] else [pair[0], pair[1]]
    )
    | odd.map(lambda word: [word])
    | plausible
    | plausible,
    max_size=5,
)


@quick
@given(words, st.sampled_from([*names(), "vti", ""]))
def test_a_command_line_is_refused_in_a_line_or_is_the_same_from_a_record(
    given_words: list[list[str]], model: str
) -> None:
    read(["--model", model, *(word for pair in given_words for word in pair)])


@quick
@given(words)
def test_the_command_line_of_a_comparison_is_refused_in_a_line(given_words: list[list[str]]) -> None:
    def command() -> None:
        options, _ = comparison.parse([word for pair in given_words for word in pair])
        comparison.possible(options)

    said_of(command)


# Records

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    records.started(folder / "study")
    return dict(json.loads((folder / "study" / "study.json").read_text()))


@quick
@given(data=st.data())
def test_a_record_with_other_entries_is_refused_in_a_line_or_read_and_written_alike(
    data: st.DataObject, whole: dict[str, Any]
) -> None:
    entries = st.sampled_from(sorted({*whole, "test", "winner", "replicates", "cost", "search", "seconds", "x"}))
    changed = whole | data.draw(st.dictionaries(entries, jsons, max_size=3))
    if isinstance(changed.get("study"), dict) and data.draw(st.booleans()):
        changed["study"] = changed["study"] | data.draw(
            st.dictionaries(st.sampled_from(sorted(changed["study"]) or ["x"]), jsons, max_size=2)
        )
    folder = Path("record")
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(changed))
    try:
        found = StudyFile.read(folder)
    except ValueError as error:
        refused(error)
        return
    found.write(folder)
    assert StudyFile.read(folder) == found
