"""The quick part of the fuzz over folder layouts; `make fuzz` has the long one."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import layouts


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(choose=st.randoms(use_true_random=False))
def test_a_folder_is_taken_as_it_was_meant_or_is_a_question(choose: Random) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as place:
        patch.setenv("STUDY_CACHE", f"{place}/cache")
        drawn = layouts.draw(choose)
        layouts.write(drawn, Path(place) / "x", choose)
        assert layouts.wrong(drawn, Path(place) / "x") is None


def test_the_slow_reader_notices_what_is_taken_for_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    images = {f"{part}/{name}/{i}.png": (part, name) for part in ("train", "test") for name in "ab" for i in range(4)}
    drawn = layouts.Drawn(images, (), plain=True)
    layouts.write(drawn, tmp_path / "x", Random(0))
    assert layouts.wrong(drawn, tmp_path / "x") is None
    other = {path: (part, "a" if name == "b" else "b") for path, (part, name) in images.items()}
    assert "took {" in str(layouts.wrong(layouts.Drawn(other, (), plain=True), tmp_path / "x"))
    moved = images | {"test/a/0.png": ("train", "a")}
    assert layouts.wrong(layouts.Drawn(moved, (), plain=True), tmp_path / "x") == "test/a/0.png went into test"
