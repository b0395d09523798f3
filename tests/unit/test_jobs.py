"""A command as a job: where its results lie, and where the cluster is that takes it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from study.cluster import jobs
from study.options import command_line
from study.submit import main, resumed

RUN = ["study.run", "--model", "vit"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ([], "~/study-results"),
        (["--results", "results"], "~/study-results"),
        (["--results", "mine/two"], "~/study-results/mine/two"),
        (["--results=mine"], "~/study-results/mine"),
        (["--results", "/data/studies"], "/data/studies"),
        (["--results", "~/studies"], "~/studies"),
        (["--results", "s3://bucket/studies"], "s3://bucket/studies"),
    ],
)
def test_the_results_of_a_job_lie_where_they_stay(given: list[str], place: str) -> None:
    assert jobs.with_lasting_results([*RUN, *given]) == ([*RUN, "--results", place], place)


def test_a_command_in_the_folder_of_its_job_writes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "session" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    package.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--model", "vit", "--results", "mine"]
    assert command_line.parse(words)[0].results == Path("mine")
    monkeypatch.chdir(package)
    assert command_line.parse(words)[0].results == tmp_path / "study-results" / "mine"
    assert command_line.parse([*words, "--results", "/data"])[0].results == Path("/data")


@pytest.mark.parametrize(
    ("variables", "given", "url"),
    [
        ({}, None, "http://127.0.0.1:8265"),
        ({}, "http://head:9000/", "http://head:9000"),
        ({}, "head:6379", "http://head:8265"),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, None, "http://10.0.0.1:8265"),
        ({"RAY_ADDRESS": "ray://10.0.0.1:10001"}, None, "http://10.0.0.1:8265"),
        ({"RAY_ADDRESS": "10.0.0.1:6379", "RAY_API_SERVER_ADDRESS": "http://head:1"}, None, "http://head:1"),
    ],
)
def test_jobs_are_taken_where_ray_is_said_to_be(
    variables: dict[str, str],
    given: str | None,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert jobs.url(given) == url


def test_a_job_of_somebody_else_is_none_of_ours() -> None:
    assert jobs.words_of(SimpleNamespace(entrypoint=jobs.entrypoint(RUN))) == RUN
    assert jobs.words_of(SimpleNamespace(entrypoint="python train.py")) is None
    assert jobs.words_of(SimpleNamespace(entrypoint=None)) is None


def test_only_a_study_needs_to_be_told_to_go_on() -> None:
    assert resumed(RUN) == [*RUN, "--resume"]
    assert resumed([*RUN, "--resume"]) == [*RUN, "--resume"]
    assert resumed(["study.compare"]) == ["study.compare"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give a command after --"),
        (["--", "study.rn"], "unknown command 'rn'"),
        (["--", "study.run", "--trials", "3"], "--model"),
        (["--stop", "job", "--", *RUN], "give a command after --"),
        (["--working-dir", "/nowhere", "--", *RUN], "--working-dir /nowhere is no folder"),
        (["--address", "s3://x", "--", *RUN], "--address takes http://HOST:8265"),
        (["--address", "http://127.0.0.1:9", "--", *RUN], "no Ray cluster takes jobs at http://127.0.0.1:9"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as exit:  # argparse's own
        code = int(str(exit.code))
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
