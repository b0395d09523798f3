"""Names of classes and files: composed in two ways, in two cases, not UTF-8, in any locale."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from study.data.class_names import alike, merged
from tests.contract.photographs import encoded, parquet, plain, rows, write
from tests.unit.pictures import classes, jpeg, load, photo

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_names_that_differ_by_composition_only_are_one_class(tmp_path: Path) -> None:
    classes(tmp_path / "train", names=(COMPOSED, "tea"))
    classes(tmp_path / "test", names=(DECOMPOSED, "tea"), first=50)
    source = load(tmp_path)
    assert len(source.classes) == 2
    assert source.test_rows is not None
    assert merged([COMPOSED, DECOMPOSED, "tea"]) == {COMPOSED: DECOMPOSED, DECOMPOSED: DECOMPOSED, "tea": "tea"}


def test_a_name_with_one_spelling_stays_as_it_is(tmp_path: Path) -> None:
    assert load(classes(tmp_path, names=(DECOMPOSED, "tea"))).classes == (DECOMPOSED, "tea")


@pytest.mark.parametrize("other", ["Cat", "CAT", "cat ", "c\u200bat", "\uff43at"])
def test_names_that_look_alike_are_a_question_with_two_answers(other: str, tmp_path: Path) -> None:
    classes(tmp_path, names=("cat", other, "dog"))
    with pytest.raises(
        ValueError, match=r"differ only in case or in what cannot be seen: .*case=same.*case=apart"
    ) as why:
        load(tmp_path)
    assert repr(other) in str(why.value)
    assert len(load(tmp_path, case="same").classes) == 2
    assert len(load(tmp_path, case="apart").classes) == 3
    with pytest.raises(ValueError, match="case must be apart or same, got 'no'"):
        load(tmp_path, case="no")


def test_letters_in_two_cases_are_classes_of_handwriting(tmp_path: Path) -> None:
    assert load(classes(tmp_path, names=("a", "A", "b"))).classes == ("A", "a", "b")
    assert alike(["ä", "Ä", "x"]) == []


def test_the_words_of_a_table_are_looked_at_too(tmp_path: Path) -> None:
    images, _ = rows(4)
    place = parquet(tmp_path / "x.parquet", plain(images, ["cat", "Cat", "dog"] * 4))
    with pytest.raises(ValueError, match="classes 'Cat' and 'cat' differ only in case"):
        load(place)
    assert load(place, case="same").classes == ("Cat", "dog")
    composed = parquet(tmp_path / "y.parquet", plain(images, [COMPOSED, DECOMPOSED, "tea"] * 4))
    assert len(load(composed).classes) == 2


def test_names_are_bytes_whatever_the_locale_says(tmp_path: Path) -> None:
    for number, name in enumerate(("café", "猫")):
        for i in range(4):
            write(tmp_path / name / f"ñ{i}.png", encoded(photo(10 * number + i)))
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["STUDY_CACHE"] = str(tmp_path.parent / "cache")
    code = (
        "import sys, os; from study.data import resolve; from study.data.source import DatasetRequest; "
        "found = resolve.load(sys.argv[1], DatasetRequest()); print(len(found.left_out), ascii(found.classes))"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    ran = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout == f"0 {('café', '猫')!a}\n", ran.stderr


def test_a_name_that_is_no_utf_8_is_one_true_line(tmp_path: Path) -> None:
    classes(tmp_path)
    folder = os.fsencode(tmp_path) + b"/cat/"
    with open(folder + b"caf\xe9.jpg", "wb") as file:
        file.write(jpeg(3))
    with pytest.raises(ValueError, match=r"caf\\xe9\.jpg' is not UTF-8: rename it"):
        load(tmp_path)
