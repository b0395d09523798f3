"""A run: which images it may read by its own point, and what became of it as a row."""

from dataclasses import replace

import pytest

from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch
from trainables.metrics import COLUMNS, Metric
from trainables.recipe import Recipe
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey, SplitDigest

POINT = Hyperparameters(lr=1e-3, weight_decay=0.0, freeze_depth=2)
RUN = Run(
    "run",
    Model("resnet", "mini", "resnet_mini", 10),
    POINT,
    Recipe("mine", epochs=2),
    seed=0,
    split_digests={name: SplitDigest(name, 10) for name in ("train", "val", "test")},
    fit_on=("train", "val"),
    validate_on=None,
    predict_on="test",
)
TRAIN, VAL, TEST = (ImagesKey(name) for name in ("train", "val", "test"))


def of(**changed: object) -> Run:
    return replace(RUN, hyperparameters=replace(POINT, **changed))  # type: ignore[arg-type]


def test_a_run_reads_its_splits_as_the_model_takes_them() -> None:
    assert {key: preprocessing.size for key, (_, preprocessing) in RUN.images.items()} == {TRAIN: 32, VAL: 32, TEST: 32}
    assert RUN.images[TRAIN][0] == SplitDigest("train", 10)


def test_a_point_that_crops_at_random_reads_what_it_trains_on_with_a_margin_and_nothing_else() -> None:
    sizes = {key: preprocessing.size for key, (_, preprocessing) in of(augmentation="alexnet").images.items()}
    assert sizes == {TRAIN._replace(margin=True): 37, VAL._replace(margin=True): 37, TEST: 32}


@pytest.mark.parametrize(
    ("changed", "on_images"),
    [({}, False), ({"augmentation": "flip"}, True), ({"mixup": 0.2}, True), ({"dropout": 0.1}, False)],
)
def test_a_run_trains_on_images_where_they_change_at_random(changed: dict[str, object], on_images: bool) -> None:
    assert of(**changed).trains_on_images is on_images


def test_a_summary_has_every_metric_of_the_epoch_that_is_best_by_the_runs_own() -> None:
    epochs = [
        Epoch(1, 0.5, 1.5, 0.9, 0.2, 0.3, 1e-3, 1.0, 2.0),
        Epoch(2, 0.4, 1.0, 0.8, 0.6, 0.4, 1e-3, 1.0, 2.0),
    ]
    for metric, best in ((Metric.ACCURACY, epochs[0]), (Metric.MACRO_F1, epochs[1]), (Metric.LOSS, epochs[1])):
        outcome = Outcome("run", metric, epochs, best)
        summary = outcome.summary()
        assert {column: summary[column] for column in COLUMNS} == {column: getattr(best, column) for column in COLUMNS}
        assert summary["score"] == getattr(best, metric.column)
        assert summary["best_epoch"] == best.epoch
        assert summary["epochs"] == 2


def test_a_run_without_validation_has_a_summary_without_scores() -> None:
    summary = Outcome("run", epochs=[Epoch(1, 0.5, None, None, None, None, 1e-3, 1.0, 1.0)]).summary()
    assert [summary[name] for name in (*COLUMNS, "score", "best_epoch")] == [None] * (len(COLUMNS) + 2)
