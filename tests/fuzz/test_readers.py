"""The quick part of `make fuzz`: the same damages each time."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.data import libjpeg
from tests.fuzz.cases import damage
from tests.fuzz.readers import READERS

CASES = 60


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a command has it: what Pillow and libjpeg say of damaged files is not said; scans are kept elsewhere."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with libjpeg.unheard():
            yield


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_one_line_or_read_as_they_are(name: str, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    outcomes = damage(name, READERS[name], tmp_path / "files", iter(range(CASES)), seed=1)
    assert outcomes.wrong == []
    assert outcomes.counts.total() == CASES
    assert outcomes.counts["refused"]
