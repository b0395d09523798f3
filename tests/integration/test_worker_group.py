"""A run in a DDP worker group, through Ray Train, is the run of one worker."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import split
from study.design.recipes import RECIPES
from study.design.study import Study
from study.execution.search import search
from study.results.record import Record
from trainables.resources import Resources
from trainables.run import Model, Run
from trainables.trainer import train


def test_two_workers_give_the_curve_and_the_predictions_of_one(ray_session: None) -> None:
    # a ViT: BatchNorm would normalise each worker's half of a batch on its own
    recipe = replace(RECIPES["fair"], epochs=2)
    study = Study("vit", "mini", "vit_mini", "digits", "ddp", Path("unused"), recipe)
    splits = split(named.load("digits"))
    data = datasets_of_study(splits, study.pretrained_variant.preprocessing, margin=False)
    run = Run(
        "ddp",
        Model("vit", "mini", "vit_mini", 10),
        study.point({"freeze_depth": 2}),
        recipe,
        seed=3,
        split_digests=splits.digests(),
        fit_on=("val",),
        validate_on="test",
        predict_on="test",
        keep_state=True,
    )
    alone = train(run, data, Resources(), lambda row: None)
    together = train(run, data, Resources(workers=2, cpus=0.5), lambda row: None)
    assert together.failure is None
    assert [epoch.train_loss for epoch in together.epochs] == pytest.approx(
        [epoch.train_loss for epoch in alone.epochs], rel=1e-3
    )
    assert together.predictions is not None
    assert alone.predictions is not None
    assert (together.predictions.predicted == alone.predictions.predicted).mean() > 0.98
    assert together.state is not None
    assert alone.state is not None
    assert together.state.keys() == alone.state.keys()


def test_a_search_with_two_workers_a_trial_is_told_of_every_epoch(ray_session: None, tmp_path: Path) -> None:
    recipe = replace(RECIPES["fair"], epochs=2)
    study = Study("resnet", "mini", "resnet_mini", "digits", "ddp", tmp_path, recipe, trials=1, workers_per_trial=2)
    study.folder.mkdir()
    record = Record(study.folder)
    splits = split(named.load("digits"))
    model = Model("resnet", "mini", "resnet_mini", 10)
    search(
        study,
        record,
        Run(
            "",
            model,
            study.point({}),
            recipe,
            seed=0,
            split_digests=splits.digests(),
        ),
        datasets_of_study(splits, study.pretrained_variant.preprocessing, margin=False),
        Resources(workers=2, cpus=0.5),
        max_concurrent=1,
        interrupted=threading.Event(),
        on_start=lambda name, point: None,
        on_epoch=lambda name, row: None,
        on_end=lambda row, curve: record.add(trials=[row], curves=curve),
    )
    assert [row["status"] for row in record.trials] == ["completed"]
    assert [row["epoch"] for row in record.curve("trial-000")] == [1, 2]
