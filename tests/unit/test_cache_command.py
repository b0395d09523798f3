"""`python -m study.cache` says what is stored, removes what is damaged, and clears what nobody reads."""

import json
import re
from pathlib import Path

import pytest

from study.cache import main
from tests.contract.stored import contents, data_of, filled, flip
from trainables.boundaries import Store

IMAGES = {"boundary": 0, "images": "0123456789abcdef", "transform": [32, 1.0, "bilinear"]}
FEATURES = {**IMAGES, "boundary": 3, "stage": "layer3", "variant": "resnet_mini", "precision": "fp32"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("STUDY_CACHE_GIB", "0.5")
    return Store.here()


@pytest.fixture
def two(store: Store) -> Store:
    filled(store, data_of((70, 3, 32, 32), "uint8"), IMAGES).close()
    filled(store, data_of((70, 64)), FEATURES).close()
    return store


@pytest.mark.parametrize("action", [[], ["list"], ["verify"], ["clear"]], ids=str)
def test_a_store_that_is_not_there_yet_is_empty(
    action: list[str], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(action) == 0
    out, err = capsys.readouterr()
    assert str(store.folder) in out
    assert re.search(r"\b0 boundaries", out)
    assert err == ""
    assert not store.folder.exists()


@pytest.mark.parametrize("action", [[], ["list"]], ids=str)
def test_the_list_names_every_entry(action: list[str], two: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(action) == 0
    out = capsys.readouterr().out
    for facts in (IMAGES, FEATURES):
        assert two.path(facts).name in out
    assert f"{two.folder}: 2 boundaries, 0.00 of 0.5 GiB" in out


def test_the_list_says_what_an_entry_is(
    two: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    images, features = (next(line for line in lines if two.path(facts).name in line) for facts in (IMAGES, FEATURES))
    assert all(said in images for said in ("0, images", "3x32x32", " 70 ", " 0.2 "))
    assert all(said in features for said in ("3 after layer3", "resnet_mini fp32", " 70 ", " 0.0 "))


def test_the_list_goes_on_past_a_damaged_entry(two: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (two.path(IMAGES) / "entry.json").write_text('{"facts": ')
    assert main(["list"]) == 0
    assert two.path(FEATURES).name in capsys.readouterr().out


def test_verify_finds_all_whole(two: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert "2 boundaries are whole, 0 were damaged" in capsys.readouterr().out
    assert len(contents(two)) == 2


@pytest.mark.parametrize("name", ["boundary.npy", "rows.npz", "entry.json"])
def test_verify_removes_a_flipped_byte(name: str, two: Store, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = two.path(FEATURES)
    flip(damaged / name, (damaged / name).stat().st_size // 2)
    assert main(["verify"]) == 1
    out = capsys.readouterr().out
    assert f"{damaged.name}: removed" in out
    assert "1 boundaries are whole, 1 were damaged" in out
    assert contents(two) == {two.path(IMAGES).name}
    assert main(["verify"]) == 0


def test_verify_removes_an_entry_under_the_name_of_another(two: Store) -> None:
    other = two.folder / two.path({**FEATURES, "boundary": 4}).name
    two.path(FEATURES).rename(other)
    assert main(["verify"]) == 1
    assert not other.exists()


def test_clear_keeps_what_is_open(two: Store, capsys: pytest.CaptureFixture[str]) -> None:
    entry = two.open(FEATURES)
    assert entry
    assert main(["clear"]) == 0
    assert f"{two.folder}: removed 1 boundaries, 0.00 GiB, 1 are in use" in capsys.readouterr().out
    assert contents(two) == {two.path(FEATURES).name}
    assert json.loads((entry.path / "entry.json").read_text())["facts"] == FEATURES
    entry.close()
    assert main(["clear"]) == 0
    assert f"{two.folder}: removed 1 boundaries, 0.00 GiB\n" in capsys.readouterr().out
    assert contents(two) == set()


@pytest.mark.parametrize("action", ["list", "verify", "clear"])
def test_a_limit_that_is_no_number_is_one_line_and_code_2(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDY_CACHE_GIB", "plenty")
    assert main([action]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "STUDY_CACHE_GIB must be a number of GiB above 0, got 'plenty'" in err
