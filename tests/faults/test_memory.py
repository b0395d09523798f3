"""A run on a device with little memory is not lost, and one on a device with too little ends with one reason."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, split
from study.design.recipes import RECIPES
from tests.contract.tiny import little_memory
from trainables import process
from trainables.hyperparameters import Hyperparameters
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import prepared_model, train

DATA = tuple[DatasetSplits, dict[ImagesKey, Any]]
MODEL = Model("resnet", "mini", "resnet_mini", 10)


@pytest.fixture(scope="module")
def data(ray_session: None) -> DATA:
    splits = split(named.load("digits"))
    return splits, datasets_of_study(splits, MODEL.described.preprocessing, margin=False)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The model that these runs leave in the process has little memory: no other test shall get it."""
    process.current().models.pop(MODEL, None)
    yield
    process.current().models.pop(MODEL, None)


def ran(data: DATA, limit: int, **given: Any) -> Outcome:
    little_memory(prepared_model(MODEL, 0, process.current()), limit)
    run = Run(
        run_id="little",
        model=MODEL,
        hyperparameters=Hyperparameters(lr=1e-3, weight_decay=0.0, freeze_depth=0),
        recipe=replace(RECIPES["fair"], epochs=1),
        seed=0,
        split_digests=data[0].digests(),
        boundaries="off",
        fit_on=("val",),
        validate_on="test",
        predict_on="test",
    )
    return train(replace(run, **given), data[1], Resources(), lambda row: None)


def test_a_run_that_does_not_fit_divides_its_batches_and_says_so(data: DATA) -> None:
    outcome = ran(data, limit=20)
    assert outcome.failure is None
    assert outcome.predictions is not None
    assert outcome.micro_batch_size == outcome.summary()["micro_batch_size"] == 15  # 360 images are 6 batches of 60
    training, evaluation = outcome.notes
    assert training.startswith("a batch of 60 images of training does not fit")
    assert evaluation.startswith("a batch of 256 images of evaluation does not fit")


def test_a_run_for_which_nothing_fits_fails_with_one_reason(data: DATA) -> None:
    outcome = ran(data, limit=0)
    assert outcome.failure == "out of memory with one image at a time: choose a smaller model or a larger device"
    assert outcome.epochs == []


def test_parts_that_were_asked_for_and_do_not_fit_are_the_reason(data: DATA) -> None:
    outcome = ran(data, limit=20, grad_accum_steps=2)
    assert outcome.failure == "out of memory with 30 images at a time: give --grad-accum auto or above 2"
