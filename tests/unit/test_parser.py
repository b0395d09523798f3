"""Every command's parser: short and whole help, config files, mistakes of one line."""

from pathlib import Path

import pytest

from study.options.parser import Parser

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def parser() -> Parser:
    parser = Parser("study.some", "STUDY [options]", "Does something.", common={"trials"}, epilog="examples: none")
    parser.add_argument("--trials", type=int, default=32, help="default %(default)s")
    rare = parser.add_argument_group("what is rare")
    rare.add_argument("--models", nargs="+", default=["vit"], help="which")
    rare.add_argument("--fix", action="append", default=[], help="what is fixed")
    rare.add_argument("--max-concurrent", type=int, help="at a time")
    rare.add_argument("--quiet", action="store_true", help="say little")
    return parser


def config(folder: Path, text: str) -> list[str]:
    path = folder / "study.toml"
    path.write_text(text)
    return ["--config", str(path)]


def said(parser: Parser, arguments: list[str], captured: Captured) -> str:
    """What is printed before it exits with 0."""
    with pytest.raises(SystemExit) as exit:
        parser.parse(arguments)
    assert exit.value.code == 0
    out, err = captured.readouterr()
    assert err == ""
    return out


def mistake(parser: Parser, arguments: list[str], captured: Captured) -> str:
    """The one line of a mistake."""
    with pytest.raises(SystemExit) as exit:
        parser.parse(arguments)
    assert exit.value.code == 2
    out, err = captured.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    return err


# Help


def test_help_shows_the_options_that_most_runs_need_and_says_where_the_others_are(
    parser: Parser, capsys: Captured
) -> None:
    text = said(parser, ["--help"], capsys)
    assert text.startswith("usage: python -m study.some STUDY [options]\n")
    assert "--trials" in text
    assert "--help-all" in text
    assert not any(word in text for word in ("--models", "--max-concurrent", "what is rare"))
    assert "examples: none" in text


def test_help_all_shows_every_option_in_its_group(parser: Parser, capsys: Captured) -> None:
    text = said(parser, ["--help-all"], capsys)
    for option in ("--trials", "--models", "--fix", "--max-concurrent", "--quiet", "--config", "--version"):
        assert option in text
    assert "what is rare:" in text
    assert "--no-quiet" not in text


def test_the_short_help_hides_nothing_for_good(parser: Parser, capsys: Captured) -> None:
    said(parser, ["--help"], capsys)
    assert "--models" in said(parser, ["--help-all"], capsys)


def test_the_version_is_that_of_the_package(parser: Parser, capsys: Captured) -> None:
    assert said(parser, ["--version"], capsys).startswith("attention-or-convolution ")


# Mistakes


def test_an_unknown_option_names_the_nearest(parser: Parser, capsys: Captured) -> None:
    line = mistake(parser, ["--trails", "3"], capsys)
    assert "unknown option --trails; did you mean --trials?" in line
    assert "python -m study.some --help-all" in line
    assert "unexpected argument 'vit'" in mistake(parser, ["vit"], capsys)


# Config files


def test_a_config_file_gives_every_kind_of_option(parser: Parser, tmp_path: Path) -> None:
    text = 'trials = 5\nmodels = ["vit", "resnet"]\nfix = ["lr=1", "batch_size=2"]\nmax_concurrent = 3\nquiet = true\n'
    options = parser.parse(config(tmp_path, text))
    assert (options.trials, options.models, options.max_concurrent) == (5, ["vit", "resnet"], 3)
    assert (options.fix, options.quiet) == (["lr=1", "batch_size=2"], True)


def test_an_option_may_be_written_with_dashes(parser: Parser, tmp_path: Path) -> None:
    assert parser.parse(config(tmp_path, "max-concurrent = 2\n")).max_concurrent == 2


def test_a_list_of_one_may_be_written_as_a_value(parser: Parser, tmp_path: Path) -> None:
    options = parser.parse(config(tmp_path, 'models = "vit"\nfix = "lr=1"\n'))
    assert (options.models, options.fix) == (["vit"], ["lr=1"])


@pytest.mark.parametrize("file_first", [True, False])
def test_the_command_line_wins_wherever_it_names_the_file(file_first: bool, parser: Parser, tmp_path: Path) -> None:
    file = config(tmp_path, 'trials = 5\nfix = ["lr=1"]\nquiet = true\nmodels = ["vit"]\nmax_concurrent = 2\n')
    given = ["--trials", "7", "--fix", "lr=2", "--no-quiet", "--models", "resnet"]
    options = parser.parse([*file, *given] if file_first else [*given, *file])
    assert (options.trials, options.fix, options.quiet, options.models) == (7, ["lr=2"], False, ["resnet"])
    assert options.max_concurrent == 2


def test_what_an_option_is_by_default_does_not_win_over_the_file(parser: Parser, tmp_path: Path) -> None:
    assert parser.parse([*config(tmp_path, "trials = 5\n"), "--quiet"]).trials == 5


def test_a_required_option_may_be_in_the_file(parser: Parser, tmp_path: Path) -> None:
    parser.add_argument("--model", required=True)
    assert parser.parse(config(tmp_path, 'model = "vit"\n')).model == "vit"


def test_the_words_are_a_command_line_that_needs_no_file(parser: Parser, tmp_path: Path) -> None:
    file = config(tmp_path, 'trials = 5\nmodels = ["vit", "resnet"]\nquiet = false\n')
    for arguments in ([*file, "--fix", "lr=1"], ["--fix", "lr=1", f"--config={file[1]}"], [f"--conf={file[1]}"]):
        options = parser.parse(arguments)
        assert not any("--conf" in word for word in options.words)
        again = parser.parse(options.words)
        assert vars(again) == vars(options) | {"config": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trails = 5\n", ["unknown option 'trails'; did you mean trials?"]),
        ("trials = 'many'\n", ["--trials", "'many'"]),
        ("trials = 5.5\n", ["--trials", "'5.5'"]),
        ("trials = [5, 6]\n", ["trials takes one value, got [5, 6]"]),
        ("trials = true\n", ["trials takes a value, got true"]),
        ("quiet = 1\n", ["quiet takes true or false, got 1"]),
        ("fix = { lr = 1 }\n", ["fix takes a value or a list of values"]),
        ("config = 'other.toml'\n", ["unknown option 'config'"]),
        ("help = true\n", ["unknown option 'help'"]),
        ("trials = \n", ["it is not TOML"]),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_the_file(
    text: str, words: list[str], parser: Parser, tmp_path: Path, capsys: Captured
) -> None:
    arguments = config(tmp_path, text)
    line = mistake(parser, arguments, capsys)
    assert f"config {arguments[1]}: " in line
    for word in words:
        assert word in line


def test_a_file_that_is_not_there_is_one_line(parser: Parser, capsys: Captured) -> None:
    assert "config none.toml: it cannot be read" in mistake(parser, ["--config", "none.toml"], capsys)


def test_a_mistake_on_the_command_line_is_not_the_files(parser: Parser, tmp_path: Path, capsys: Captured) -> None:
    arguments = [*config(tmp_path, "trials = 5\n"), "--max-concurrent", "many"]
    assert "config" not in mistake(parser, arguments, capsys).replace("study.toml", "")
