"""Every command answers help, the version and a mistake at once: it imports nothing that takes long.

How many seconds that are is measured by benchmarks/help.py.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from study.__main__ import COMMANDS, main
from study.options import command_line
from trainables import architecture

OLD = Path(__file__).parents[1] / "old_records" / "alexnet-fashion60k-digits" / "study.json"
LIGHT = {"numpy", "msgspec", "rich", "psutil", "typing_extensions"}  # torch and Ray take seconds, others tenths of one
OURS = {"study", "trainables", "search_spaces"}
INSTALLED = {name for name in packages_distributions() if not name.startswith("_")} - LIGHT - OURS
MODULES = {name: f"study.{name}" for name in COMMANDS} | {"requirements": "study.requirements", "study": "study"}


@dataclass(frozen=True)
class Answer:
    """What a command that was started in a process of its own said and took."""

    code: int
    out: str
    err: str
    imported: frozenset[str]


def answer(module: str, words: list[str], folder: Path) -> Answer:
    """Runs a command in a folder; what it imports is in its -X importtime."""
    with (folder / ".out").open("w+") as out, (folder / ".err").open("w+") as err:
        command = [sys.executable, "-X", "importtime", "-m", module, *words]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env=environment)
        code = process.wait()
        for file in (out, err):
            file.seek(0)
        said, lines = out.read(), err.read().splitlines(keepends=True)
    imports = [line for line in lines if line.startswith("import time:")]
    return Answer(
        code=code,
        out=said,
        err="".join(line for line in lines if line not in imports),
        imported=frozenset(line.rpartition("|")[2].strip().split(".")[0] for line in imports),
    )


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_help_comes_at_once(module: str, tmp_path: Path) -> None:
    told = answer(module, ["--help"], tmp_path)
    assert told.imported & INSTALLED == set()
    assert told.code == 0, told.err
    assert told.out.startswith("usage: ")


@pytest.mark.parametrize("module", ["study", "study.run"])
def test_the_version_comes_at_once(module: str, tmp_path: Path) -> None:
    told = answer(module, ["--version"], tmp_path)
    assert told.imported & INSTALLED == set()
    assert told.code == 0, told.err
    assert told.out.startswith("attention-or-convolution ")


# Mistakes of all commands in one process, for each imports the same; what is said and written is looked at after each
ANSWERS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

asked = json.load(sys.stdin)
for module, words in asked:
    name = f"{module}.__main__" if find_spec(module).submodule_search_locations else module
    out, err = io.StringIO(), io.StringIO()
    before = set(Path().rglob("*"))
    main = import_module(name).main
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code
    written = [str(path) for path in set(Path().rglob("*")) ^ before]
    said = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "written": written}
    print(json.dumps(said | {"imported": sorted({one.partition(".")[0] for one in sys.modules})}))
"""


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was answered to each mistake."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "there").mkdir()
    (folder / "there" / "notes.txt").touch()
    (folder / "bad.toml").write_text("lr = { low = 1.0, high = 0.1 }\n")
    (folder / "going-on").mkdir()
    (folder / "going-on" / "study.json").write_text(OLD.read_text().replace('"finished"', '"interrupted"'))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    asked = json.dumps([(module, words) for module, words, _ in MISTAKES.values()])
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS], cwd=folder, env=environment, input=asked, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(MISTAKES, map(json.loads, done.stdout.splitlines()), strict=True))


RUN = ["--model", "vit", "--scale", "mini"]
MISTAKES = {
    "run: an unknown option": ("study.run", [*RUN, "--trails", "3"], "did you mean --trials?"),
    "run: no model": ("study.run", [], "--model"),
    "run: an unknown model": ("study.run", ["--model", "vti"], "did you mean vit?"),
    "run: a model that timm lacks": ("study.run", ["--model", "timm/resnt18"], "did you mean timm/resnet18?"),
    "run: a model of timm": ("study.run", ["--model", "convnext_atto"], "give --model timm/convnext_atto"),
    "run: no trials": ("study.run", [*RUN, "--trials", "0"], "trials must be at least 1, got 0"),
    "run: words for a number": ("study.run", [*RUN, "--trials", "many"], "'many'"),
    "run: an unknown pretraining": ("study.run", [*RUN, "--pretraining", "nope"], "'nope'"),
    "run: a pretraining that no scale has": ("study.run", ["--model", "vit", "--pretraining", "nope"], "'nope'"),
    "run: a value that is none": ("study.run", [*RUN, "--fix", "lr=abc"], "'abc'"),
    "run: an unknown hyperparameter": ("study.run", [*RUN, "--fix", "weight_decy=1"], "did you mean weight_decay?"),
    "run: a depth beyond the backbone": ("study.run", [*RUN, "--fix", "freeze_depth=99"], "0 to 8"),
    "run: a recipe that is not there": ("study.run", [*RUN, "--recipe", "missing.toml"], "missing.toml"),
    "run: a space that is not there": ("study.run", [*RUN, "--space", "missing.toml"], "missing.toml"),
    "run: a space of mistakes": ("study.run", [*RUN, "--space", "bad.toml"], "bad.toml"),
    "run: a config that is not there": ("study.run", [*RUN, "--config", "missing.toml"], "missing.toml"),
    "run: an unknown metric": ("study.run", [*RUN, "--metric", "acuracy"], "did you mean accuracy?"),
    "run: an unknown preprocessing": ("study.run", [*RUN, "--preprocessing", "sise=3"], "did you mean size?"),
    "run: an unknown dataset": ("study.run", [*RUN, "--dataset", "digit"], "did you mean digits?"),
    "run: a place that is not there": ("study.run", [*RUN, "--dataset", "./nowhere"], "no such folder"),
    "run: a very long place": ("study.run", [*RUN, "--dataset", "./" + 300 * "x"], "dataset ./xxx"),
    "run: an option that a dataset has not": ("study.run", [*RUN, "--data-option", "x=1"], "takes no --data-option"),
    "run: a part of train that is none": ("study.run", [*RUN, "--train-fraction", "2"], "train-fraction"),
    "run: weights that are not there": ("study.run", [*RUN, "--weights", "none.safetensors"], "none.safetensors"),
    "run: a folder that exists": ("study.run", [*RUN, "--results", ".", "--name", "there"], "--resume"),
    "run: a value that argparse takes for none": ("study.run", [*RUN, "--name=--"], "--name needs a value, got --"),
    "run: a path beyond the system's": ("study.run", [*RUN, "--results", "deep/" * 1200], "is longer than 3500 bytes"),
    "run: a configuration with a long name": ("study.run", [*RUN, "--config", "x" * 300], "File name too long"),
    "run: a name that is a path": ("study.run", [*RUN, "--name", "../x"], "'../x'"),
    "run: a seed that is too large": ("study.run", [*RUN, "--seed", str(2**32)], "seed must be"),
    "run: an unknown mode": ("study.run", [*RUN, "--boundaries", "of"], "did you mean off?"),
    "run: no concurrency": ("study.run", [*RUN, "--max-concurrent", "0"], "max-concurrent must be"),
    "compare: an unknown model": ("study.compare", ["--models", "vti"], "did you mean vit?"),
    "compare: a model that timm lacks": ("study.compare", ["--models", "vit", "timm/vit"], "timm/vit"),
    "compare: no trials": ("study.compare", ["--trials", "0"], "trials must be at least 1, got 0"),
    "compare: nowhere to read from": ("study.compare", ["--from", "nowhere"], "nowhere is no folder"),
    "compare: training while reading": ("study.compare", ["--from", ".", "--trials", "3"], "only reads records"),
    "compare: an unknown option": ("study.compare", ["--data-eficiency"], "did you mean --data-efficiency?"),
    "probe: an unknown model": ("study.probe", ["--model", "vti"], "did you mean vit?"),
    "probe: a model that timm lacks": ("study.probe", ["--model", "timm/"], "timm/"),
    "probe: no seeds": ("study.probe", ["--model", "vit", "--seeds", "0"], "seeds must be at least 1, got 0"),
    "select: a model that timm lacks": ("study.select", ["--models", "timm/resnett50"], "did you mean timm/resnet50?"),
    "select: an unknown model": ("study.select", ["--models", "vti"], "did you mean vit?"),
    "select: a pattern of nothing": ("study.select", ["--models", "timm/nothing*"], "names no model"),
    "select: a pretraining that none has": ("study.select", ["--pretraining", "nope"], "has pretraining nope"),
    "select: a model without weights": (
        "study.select",
        ["--models", "timm/test_coatnet"],
        "--pretraining none to race",
    ),
    "select: no time": ("study.select", ["--budget", "soon"], "--budget takes a time above 0 as 90s"),
    "select: a limit that is none": ("study.select", ["--max-params", "few"], "--max-params takes a number above 0"),
    "select: nobody to keep": ("study.select", ["--keep", "0"], "keep must be at least 1, got 0"),
    "select: a margin that is none": ("study.select", ["--margin", "-1"], "margin must be points of accuracy"),
    "select: weights that are nowhere": ("study.select", ["--weights-dir", "nowhere"], "there is no such folder"),
    "select: scores that are nowhere": ("study.select", ["--scores", "no.csv"], "there is no such file"),
    "data: an unknown setting": (
        "study.data",
        ["check", "caltech256", "--data-option", "spilt=1"],
        "did you mean split?",
    ),
    "data: nowhere": ("study.data", ["check", "./nowhere"], "no such folder"),
    "data: an unknown action": ("study.data", ["chekc", "digits"], "'chekc'"),
    "data_efficiency: no study": ("study.data_efficiency", ["nowhere"], "nowhere is no study"),
    "data_efficiency: an interrupted study": ("study.data_efficiency", ["going-on"], "go on with study.run"),
    "data_efficiency: no images": ("study.data_efficiency", [".", "--images-per-class", "0"], "'0'"),
    "cache: an unknown action": ("study.cache", ["clean"], "'clean'"),
    "sync: nowhere": ("study.sync", ["nowhere"], "nowhere is no folder"),
    "wandb_report: nowhere": ("study.wandb_report", ["nowhere"], "nowhere is no folder"),
    "pretrain: an unknown model": ("study.pretrain", ["--model", "vti"], "'vti'"),
    "an unknown command": ("study", ["rum"], "did you mean run?"),
    "a mistake behind the one name": ("study", ["run", "--model", "vti"], "did you mean vit?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_at_once_and_writes_nothing(mistake: str, mistaken: dict[str, dict[str, Any]]) -> None:
    told, wanted = mistaken[mistake], MISTAKES[mistake][2]
    assert (told["code"], told["out"]) == (2, "")
    assert told["err"].startswith("error: ")
    assert told["err"].count("\n") == 1
    assert wanted in told["err"]
    assert told["written"] == []
    assert not INSTALLED.intersection(told["imported"])


def test_a_mistake_is_answered_at_once_by_a_process_of_its_own(tmp_path: Path) -> None:
    told = answer("study.run", [*RUN, "--trails", "3"], tmp_path)
    assert told.imported & INSTALLED == set()
    assert (told.code, told.out) == (2, "")


# One name for all of them


def test_the_commands_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in COMMANDS.items():
        assert any(line.split() == [name, *command.what.split()] for line in lines)


def test_every_command_of_the_package_is_listed() -> None:
    package = Path(__file__).parents[2] / "study"
    modules = {path.stem for path in package.glob("*.py") if "def main(" in path.read_text()}
    rooms = {path.parent.name for path in package.glob("*/__main__.py")}
    assert (modules | rooms) - {"__main__", "requirements"} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_its_words_behind_the_one_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main([name.replace("_", "-"), "--help"])
    assert exit.value.code == 0
    assert f"python -m study.{name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["study", ""], set(COMMANDS)),
        (["study", "run", "--met"], {"--metric"}),
        (["study", "run", "--model", ""], set(architecture.names())),
        (["study", "run", "--metric", "m"], {"mean_class_accuracy", "macro_f1"}),
        (["study", "run", "--dataset", "d"], {"digits"}),
        (["study", "run", "--recipe", "f"], {"fair"}),
        (["study", "compare", "--models", "vit", "r"], {"resnet"}),
    ],
    ids=lambda given: " ".join(given),
)
def test_bash_completes_commands_options_and_values(
    words: list[str], wanted: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-completion", "bash"]) == 0
    (tmp_path / "completion.sh").write_text(capsys.readouterr().out)
    script = f"""
        source {tmp_path}/completion.sh
        COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
        _shtab_study study "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    replies = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(replies) == wanted


def test_zsh_gets_a_script_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion=zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef study")


# docs/command-line.md

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def test_the_files_of_the_page_are_files_that_a_study_takes(tmp_path: Path) -> None:
    config, space = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "study.toml").write_text(config)
    (tmp_path / "space.toml").write_text(space)
    words = ["--config", str(tmp_path / "study.toml"), "--space", str(tmp_path / "space.toml"), "--scale", "mini"]
    [study] = command_line.studies(command_line.parse([*words, "--no-offline", "--results", str(tmp_path)])[0])
    assert (study.model, study.trials, study.metric) == ("resnet", 16, "macro_f1")
    assert study.fixed == {"freeze_depth": 5, "label_smoothing": 0.1}
    assert set(study.space) == {"lr", "batch_size"}
    assert not study.request.offline


def test_a_switch_of_the_page_can_be_turned_off() -> None:
    assert command_line.parse(["--model", "vit", "--offline", "--no-offline"])[0].offline is False
