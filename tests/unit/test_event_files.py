"""Event files, read back by TensorBoard's own reader."""

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from study.design.states import Phase, RunStatus
from study.tracking import Disabled, Predictions
from study.tracking.event_files import Both, EventFiles

CONFIG = {"lr": 0.01, "freeze_depth": 2, "schedule": "cosine", "seed": 3, "trial_id": "trial-000", "model": "resnet"}


def whole_run(folder: Path, run_id: str = "trial-000", test: Predictions | None = None) -> EventAccumulator:
    tracker = Both(Disabled(), EventFiles(folder, metric="val_accuracy"))
    tracker.begin(run_id, Phase.SEARCH, CONFIG)
    for epoch in (1, 2, 3):
        tracker.log(run_id, {"epoch": epoch, "seed": 3, "run_id": run_id, "val_accuracy": epoch / 10, "val_loss": None})
    tracker.finish(run_id, {"val_accuracy": 0.3, "train_seconds": 1.5, "epochs": 3}, RunStatus.PRUNED, test)
    tracker.close(1)
    return EventAccumulator(str(folder / run_id)).Reload()


def test_a_run_is_a_curve_by_epoch_with_its_point_and_result_for_hparams(tmp_path: Path) -> None:
    events = whole_run(tmp_path)
    assert set(events.Tags()["scalars"]) == {"val_accuracy", "hparam/val_accuracy"}
    assert [one.step for one in events.Scalars("val_accuracy")] == [1, 2, 3]
    assert [one.value for one in events.Scalars("val_accuracy")] == pytest.approx([0.1, 0.2, 0.3])
    start = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    point = metadata.parse_session_start_info_plugin_data(start).hparams
    assert {name: getattr(value, value.WhichOneof("kind")) for name, value in point.items()} == {
        **{"lr": 0.01, "freeze_depth": 2, "schedule": "cosine", "seed": 3, "trial_id": "trial-000"},
        **{"phase": "search", "status": "pruned"},
    }
    told = metadata.parse_experiment_plugin_data(events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content)
    assert [one.name.tag for one in told.metric_infos] == ["hparam/val_accuracy"]


def test_a_run_that_is_begun_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    whole_run(tmp_path)
    assert [one.step for one in whole_run(tmp_path).Scalars("val_accuracy")] == [1, 2, 3]
    assert len(list((tmp_path / "trial-000").iterdir())) == 1


def test_a_test_run_has_its_confusion_and_its_report(tmp_path: Path) -> None:
    one = np.array([0, 1])
    test = Predictions(["cat", "dog"], one, one, np.array([0.9, 0.8]), [{"class": "cat", "precision": 1.0}], [])
    events = whole_run(tmp_path, "test-seed0", test)
    [image] = events.Images("confusion_matrix")
    assert (image.width, image.height) == (512, 512)
    assert "classification_report/text_summary" in events.Tags()["tensors"]
