"""What was registered before anything ran, and whether it is what was run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from study.comparison import compare
from study.comparison.registration import Registration
from study.comparison.summary import summary
from study.options import comparison as command_line
from study.report import comparison as report
from study.results.record import Record
from tests.pages import Page
from tests.rows import answers, study

LATER, EARLIER = "2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00"


@pytest.fixture
def made(tmp_path: Path) -> list[Path]:
    return [
        study(tmp_path / "rows", model, correct, started=LATER)
        for model, correct in (("vit", answers(0.95, 0.95, 0.94)), ("resnet", answers(0.8, 0.8, 0.81, seed=1)))
    ]


def registration(folders: list[Path], **changed: Any) -> Registration:
    rows = {Record(one).configuration.name: msgspec.to_builtins(Record(one).configuration) for one in folders}
    whole = Registration(rows, ("resnet-none-insects", "vit-none-insects"), None, "python -m ...", None, EARLIER)
    return replace(whole, **changed)


def test_what_was_run_as_registered_is_said_to_be_with_the_primary_contrast(made: list[Path], tmp_path: Path) -> None:
    comparison = compare(made, registration=registration(made))
    assert comparison.registered is not None
    assert comparison.registered.deviations == ()
    assert comparison.registered.primary.startswith("The primary contrast: ViT from scratch is 14.3 points [")
    assert comparison.registered.primary.endswith("tested alone), different given this search")
    screen, page = summary(comparison, tmp_path), Page(report.render(comparison))
    for said in (screen, page.said):
        assert "what was run is what was registered" in said
        assert comparison.registered.primary in said


def test_every_deviation_is_named(made: list[Path]) -> None:
    asked = registration(made, written="2026-06-01T00:00:00+00:00", commit="abc", rope=0.5)
    rows = {name: dict(row) for name, row in asked.rows.items()}
    rows["vit-none-insects"]["trials"] = 9
    rows["alexnet"] = rows.pop("resnet-none-insects")
    comparison = compare(made, registration=replace(asked, rows=rows))
    assert comparison.registered is not None
    assert comparison.registered.deviations == (
        "registered and not here: alexnet",
        "here and not registered: resnet-none-insects",
        "trials of vit-none-insects is 4, registered 9",
        "vit-none-insects began before it was registered",
        "vit-none-insects ran code none, registered abc",
        "rope is none, registered 0.5",
    )
    assert "NOT as registered" in str(comparison.registered)


def test_a_registration_is_read_as_it_was_written_and_not_once_it_was_changed(made: list[Path], tmp_path: Path) -> None:
    path, wanted = tmp_path / "registration.json", registration(made)
    wanted.write(path)
    assert Registration.read(path) == wanted
    content = json.loads(path.read_text())
    assert content["family"].endswith("tested before them, alone")
    assert content["budget"]["trials"] == 4
    path.write_text(json.dumps(content | {"primary": None}))
    with pytest.raises(ValueError, match="was changed after it was written"):
        Registration.read(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="is no registration of a comparison"):
        Registration.read(path)


def planned(tmp_path: Path, *words: str) -> command_line.Plan:
    given = ["--models", "vit", "resnet", "--scale", "mini", "--results", str(tmp_path), "--name", "both", *words]
    return command_line.running(command_line.parse(given)[0], "mini")


def test_the_primary_contrast_is_of_rows_that_there_are(tmp_path: Path) -> None:
    studies = planned(tmp_path).studies
    names = [one.name for one in studies]
    found = Registration.of(studies, names, 0.5, "python")
    assert (found.primary, list(found.rows)) == (tuple(names), names)
    with pytest.raises(ValueError, match=f"primary names two rows of the comparison, got 'vti': it has {names[0]}"):
        Registration.of(studies, ["vti", names[0]], None, "python")


def test_a_registration_comes_before_anything_runs(tmp_path: Path) -> None:
    from study.compare import registered

    plan = planned(tmp_path, "--register", str(tmp_path / "plan.json"))
    folder = plan.studies[0].folder
    folder.mkdir(parents=True)
    (folder / "study.json").write_text("{}")
    with pytest.raises(ValueError, match="would be written too late"):
        registered(plan, "python")
    (folder / "study.json").unlink()
    first = registered(plan, "python")
    assert first is not None
    assert (plan.folder / "registration.json").is_file()
    (folder / "study.json").write_text("{}")
    assert registered(plan, "python --later") == first  # the same command again goes on


def test_records_that_are_read_have_the_registration_beside_them_and_no_other(made: list[Path], tmp_path: Path) -> None:
    from study.compare import registered

    def reading(*places: Path) -> command_line.Plan:
        words = ["--from", *map(str, places), "--results", str(tmp_path), "--name", "read"]
        return command_line.reading(command_line.parse(words)[0])

    wanted = registration(made)
    wanted.write(tmp_path / "rows" / "registration.json")
    assert registered(reading(tmp_path / "rows"), "python") == wanted
    assert registered(reading(made[0]), "python") == wanted
    assert (tmp_path / "read" / "registration.json").is_file()
    other = study(tmp_path / "others", "alexnet", answers(0.7, 0.7, 0.7))
    assert registered(reading(other), "python") is None
    assert not (tmp_path / "read" / "registration.json").exists()
