"""What a study says of its images before it starts, where neither the store nor memory takes them."""

from dataclasses import replace

import numpy as np
import pytest

from study.data import named
from study.data.splits import DatasetSplits, split
from study.execution import room
from trainables.architecture import HALF, Preprocessing

MINI = Preprocessing(32, *HALF, crop=1.0)


@pytest.fixture(scope="module")
def splits() -> DatasetSplits:
    return split(named.load("digits"))


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "fits_in_memory", lambda size: False)


@pytest.mark.usefixtures("no_memory")
def test_a_split_that_fits_is_not_worth_a_word(splits: DatasetSplits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_CACHE_GIB", "1")
    assert room.notes(splits, MINI, "on") == []


def test_what_memory_takes_is_not_worth_a_word_either(splits: DatasetSplits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_CACHE_GIB", "0.0001")
    assert room.notes(splits, MINI, "on") == []


@pytest.mark.usefixtures("no_memory")
def test_a_split_that_does_not_fit_is_one_line_with_its_size_the_limit_and_what_is_read(
    splits: DatasetSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE_GIB", "0.002")
    large = replace(splits, source=replace(splits.source, encoded_bytes=1797 * 1_000_000))
    [line] = room.notes(large, MINI, "on")  # of train: validation and test are a third of it
    assert line.startswith("train (1,077 images x 3 KiB = 0.00308 GiB) does not fit the 0.002 GiB")
    assert line.endswith("it is streamed every epoch: about 1.08 GB read per epoch")


@pytest.mark.usefixtures("no_memory")
def test_without_a_store_nothing_fits(splits: DatasetSplits) -> None:
    assert [line.split()[0] for line in room.notes(splits, MINI, "off")] == ["train", "val", "test"]
    nothing = replace(splits, val=np.empty(0, np.int64))
    assert [line.split()[0] for line in room.notes(nothing, MINI, "off")] == ["train", "test"]
