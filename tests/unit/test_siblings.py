"""What is stored of a dataset's images for one split serves another: only what none has is computed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from study.data import named
from study.data.splits import split
from tests.contract.stored import FACTS, data_of, store_in
from trainables.boundaries import Chunk, Store
from trainables.siblings import copied_or_else, found

OF_A_DATASET = {**FACTS, "source": "a dataset"}
EVERYTHING = data_of((100, 4, 3, 5)).contiguous(memory_format=torch.channels_last)
LABELS = torch.arange(100) % 7


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def fill(store: Store, name: str, index: np.ndarray, **facts: str) -> list[int]:
    """Stores a split of these images, and returns which of them had to be computed; looks what is stored."""
    computed: list[int] = []

    def rest(missing: np.ndarray) -> Iterator[Chunk]:
        computed.extend(index[missing].tolist())
        yield missing, index[missing], LABELS[index[missing]].numpy(), EVERYTHING[index[missing]]

    facts = {**OF_A_DATASET, "images": name, **facts}
    rows = copied_or_else(store, facts, index, LABELS[index], rest)
    entry = store.open_or_fill(facts, len(index), 4 * 60, rows)
    assert entry, store.notes
    assert torch.equal(entry.split.images, EVERYTHING[index])
    assert entry.split.images.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(entry.split.index, index)
    assert torch.equal(entry.split.labels, LABELS[index])
    entry.close()
    return computed


def test_another_split_of_the_same_images_computes_none_of_them(store: Store) -> None:
    draw = np.random.default_rng(0)
    order = draw.permutation(100)
    assert sorted(fill(store, "train", np.sort(order[:60]))) == sorted(order[:60].tolist())
    assert fill(store, "val", np.sort(order[60:80])) == np.sort(order[60:80]).tolist()
    again = draw.permutation(order[:80])
    assert fill(store, "another train", again[:60]) == []
    assert fill(store, "another val", again[60:]) == []


def test_only_what_no_entry_holds_is_computed(store: Store) -> None:
    fill(store, "some", np.arange(40))
    assert fill(store, "more", np.arange(30, 50)) == list(range(40, 50))


@pytest.mark.parametrize("other", [{"source": "other"}, {"precision": "bf16"}, {"stage": "layer2"}])
def test_what_differs_in_anything_but_the_images_is_no_sibling(store: Store, other: dict[str, str]) -> None:
    fill(store, "some", np.arange(40))
    assert fill(store, "same", np.arange(40), **other) == list(range(40))


def test_an_image_is_found_wherever_it_stands() -> None:
    places, here = found(np.array([7, 3, 5]), np.array([9, 5, 3, 1]), np.array([True, True, False, True]))
    assert (places.tolist(), here.tolist()) == ([2], [1])


def test_splits_of_one_dataset_say_so_and_have_other_images() -> None:
    source = named.load("digits")
    one, other = (split(source, seed=seed).digests()["train"] for seed in (0, 1))
    assert one.source == other.source != ""
    assert one.content != other.content
