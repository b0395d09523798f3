"""`python -m study.data check`: what is in a dataset and what a study would do with it, as a table and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.data.__main__ import main
from tests.contract.photographs import encoded, folder_of, in_parts, parquet, pixels_of, plain, png, rows, write


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["check", *arguments, "--json"])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, json.loads(captured.out)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two hundred images of two classes, and something of everything among them."""
    place = folder_of(tmp_path / "mixed", {"cat": 150, "dog": 50})
    write(place / "cat" / "broken.jpg", b"text")
    write(place / "cat" / "copy.png", png(0, 7))
    write(place / "dog" / "cat.png", png(0, 9))
    write(place / "dog" / "large.jpg", encoded(pixels_of(1, 60).repeat(4, 0).repeat(9, 1), "JPEG"))
    write(place / "notes.txt", b"")
    return place


def test_everything_is_counted(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, report = checked(capsys, str(mixed))
    assert status == 0
    assert (report["images"], report["usable"], report["ignored_files"]) == (204, True, 1)
    assert report["classes"]["images"] == {"cat": 152, "dog": 52}
    assert report["classes"]["images_of_each"] == {"least": 52, "median": 102.0, "most": 152}
    assert report["width"] == {"least": 16, "median": 16.0, "most": 144}
    assert report["height"] == {"least": 16, "median": 16.0, "most": 64}
    assert report["formats"] == {"PNG": 202, "JPEG": 1}
    assert report["modes"] == {"L": 203}
    assert report["unreadable"] == [{"image": "cat/broken.jpg", "why": "not an image"}]
    assert report["copies"]["groups"] == 2
    assert sorted(report["copies"]["names"]) == [["cat/007.png", "cat/copy.png"], ["cat/009.png", "dog/cat.png"]]
    assert report["copies"]["under_two_labels"] == [["cat/009.png", "dog/cat.png"]]
    assert report["copies"]["across_splits"] == []
    assert [one["image"] for one in report["left_out"]] == [
        *["cat/009.png", "cat/broken.jpg", "cat/copy.png", "dog/cat.png"]
    ]
    assert sum(report["splits"].values()) == 200


def test_the_table_says_the_same_in_words(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(mixed)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        *("a study takes it", "images 204", "classes 2, from 'dog' (52) to 'cat' (152)", "(drawn by seed)"),
        *("pixels 16 to 144 (median 16) wide, 16 to 64 (median 16) high", "formats PNG 202, JPEG 1"),
        *("colours L 203 (grey, repeated into three channels)", "unreadable 1: cat/broken.jpg (not an image)"),
        *("exact copies 2:", "two labels 1: cat/009.png = dog/cat.png", "other files 1 (no image, or in no class)"),
        "left out 4 images",
    ):
        assert words in shown


def test_images_in_two_splits_are_named_and_a_study_refuses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = in_parts(tmp_path / "leaky")
    write(place / "test" / "one" / "x.png", (place / "train" / "one" / "000.png").read_bytes())
    status, report = checked(capsys, str(place))
    assert (status, report["usable"], report["splits"]) == (1, False, None)
    assert "1 image is in more than one of its splits" in report["study"]
    assert report["copies"]["across_splits"] == [["test/one/x.png", "train/one/000.png"]]
    assert report["comes_with"] == ["test", "train", "val"]
    status, report = checked(capsys, str(place), "--duplicates", "drop")
    assert (status, report["splits"]) == (0, {"train": 17, "val": 6, "test": 10})
    assert main(["check", str(place)]) == 1
    assert "across splits" in capsys.readouterr().out


def test_what_is_refused_is_described_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder_of(tmp_path / "few", {"cat": 5, "dog": 1})
    write(place / "cat" / "x.jpg", b"")
    status, report = checked(capsys, str(place))
    assert status == 1
    assert report["images"] == 7
    assert "1 of 7 images cannot be read" in report["study"]
    assert main(["check", str(place), "--strict"]) == 1
    assert "cat/x.jpg" in capsys.readouterr().out


def test_tables_and_our_own_datasets_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = rows(10)
    status, report = checked(capsys, str(parquet(tmp_path / "ten.parquet", plain(images, [f"n{n}" for n in labels]))))
    assert (status, report["images"], list(report["classes"]["images"])) == (0, 30, ["n0", "n1", "n2"])
    status, report = checked(capsys, "digits")
    assert (status, report["images"], report["modes"]) == (0, 1797, {"L": 1797})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "no/such"], "dataset no/such: no such folder or file"),
        (["check", "digit"], "did you mean digits?"),
        (["check"], "SOURCE"),
        (["look", "digits"], "'look'"),
        (["check", "digits", "--data-option", "x=1"], "digits takes no --data-option, got 'x'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as exit:
        status = int(str(exit.code))
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_the_page_shows_each_class_and_the_odd_ones_and_is_one_file(mixed: Path, tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    assert main(["check", str(mixed), "--html", str(page)]) == 0
    text = page.read_text()
    assert text.count("data:image/png;base64,") > 8 * 5
    for words in (
        "A study takes it",
        "<p>cat<",
        "<p>dog<",
        *("smallest", "largest", "darkest", "brightest", "most alike"),
    ):
        assert words in text
    assert "cat/copy.png" in text
    assert "http" not in text


def test_the_page_escapes_what_names_hold_and_is_there_for_a_refused_folder_too(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "data", {"<b>train": 3, "test<script>": 3})
    page = tmp_path / "sheet.html"
    assert main(["check", str(place), "--html", str(page)]) == 1
    text = page.read_text()
    assert "A study refuses it" in text
    assert "<script>" not in text
    assert "<b>" not in text


def test_a_page_in_a_folder_that_is_not_there_is_a_mistake(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(mixed), "--html", str(mixed / "no" / "sheet.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
