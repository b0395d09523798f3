"""One small study, end to end, on real images: what it leaves on disk, and that it can be believed."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pyarrow.parquet as pq
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from safetensors.torch import load_file

from study.data import named
from study.data.reading import prepare
from study.data.splits import split
from study.design import start
from study.results.cost import COSTS, costs, flops
from study.results.record import TABLES, Record
from study.run import main
from tests.wandb_stand_in import read
from trainables import architecture, building
from trainables.decoded import load_in_memory
from trainables.loop import predict
from trainables.precision import precision

BUDGET = ["--trials", "5", "--epochs", "3", "--top-k", "1", "--seeds", "2", "--max-concurrent", "1"]
STUDY = ["--model", "resnet", "--pretraining", "none", "--name", "small", *BUDGET]


@dataclass(frozen=True)
class Done:
    record: Record
    printed: str


@pytest.fixture(scope="module")
def done(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The study, finished, and what it printed."""
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words))))
        assert main([*STUDY, "--results", str(results)]) == 0
    return Done(Record(results / "small"), "\n".join(printed))


def test_every_trial_is_in_the_record_once(done: Done) -> None:
    assert sorted(row["trial_id"] for row in done.record.trials) == [f"trial-{n:03d}" for n in range(5)]
    assert {row["status"] for row in done.record.trials} <= {"completed", "pruned", "failed"}


def test_trial_0_is_where_a_search_starts(done: Done) -> None:
    first = next(row for row in done.record.trials if row["trial_id"] == "trial-000")
    assert {name: first[name] for name in ("lr", "weight_decay")} == start.FURTHER
    assert first["freeze_depth"] == architecture.get("resnet").paper(5).freeze_depth


def test_every_table_has_the_columns_that_the_format_promises(done: Done) -> None:
    for name, schema in TABLES.items():
        assert pq.read_table(done.record.folder / f"{name}.parquet").schema.equals(schema)


def test_a_curve_has_a_row_for_every_epoch_that_its_run_trained(done: Done) -> None:
    for row in [*done.record.trials, *done.record.runs]:
        curve = done.record.curve(row.get("run_id", row.get("trial_id")))
        assert [epoch["epoch"] for epoch in curve] == list(range(1, row["epochs"] + 1))


def test_what_the_winner_costs_is_in_the_record(done: Done) -> None:
    cost, resources = done.record.study.cost, done.record.study.resources
    assert cost is not None
    assert cost.inference is not None
    assert resources is not None
    assert cost.stage_flops == flops("resnet", "mini", "resnet_mini", 10).stages
    assert cost.inference.threads == resources.threads
    found = costs(done.record)
    assert set(found) == set(COSTS)
    assert all(value > 0 for value in found.values())


def test_a_run_goes_over_the_bytes_of_the_boundary_that_it_reads(done: Done) -> None:
    sizes = done.record.data.sizes
    for row in done.record.runs:
        if row["boundary"].startswith("reads boundary 0"):
            images = sizes["train"] + sizes["val"] if row["phase"] == "replicate" else sum(sizes.values())
            assert row["bytes_read"] == images * 3 * 32 * 32
    assert all(row["bytes_read"] > 0 for row in [*done.record.trials, *done.record.runs])


def test_a_trials_accuracy_is_that_of_its_best_epoch(done: Done) -> None:
    for row in done.record.trials:
        curve = done.record.curve(row["trial_id"])
        assert row["val_accuracy"] == max(epoch["val_accuracy"] for epoch in curve)
        assert curve[row["best_epoch"] - 1]["val_accuracy"] == row["val_accuracy"]


def test_the_trained_share_is_that_of_the_stages_after_the_freeze_depth(done: Done) -> None:
    family = architecture.get("resnet")
    model = building.assemble(family, family.variant("mini", name="resnet_mini"), 10)
    for row in done.record.trials:
        stages = list(model.stages.values())[row["freeze_depth"] :]
        trained = sum(parameter.numel() for stage in stages for parameter in stage.parameters())
        everything = sum(parameter.numel() for parameter in model.parameters())
        assert row["trained_share"] == pytest.approx(trained / everything)


def test_replicates_use_new_seeds_and_the_winner_has_the_best_mean(done: Done) -> None:
    replicates = done.record.study.replicates
    assert all(row["seeds"] == [1, 2] for row in replicates)
    assert done.record.winner["val_accuracy"] == max(row["val_accuracy"] for row in replicates)
    assert {row["trial_id"] for row in replicates} >= {"trial-000"}


def test_every_test_image_is_predicted_once_a_seed(done: Done) -> None:
    test_rows = split(named.load("digits")).test
    predictions = done.record.tables["predictions"]
    for seed in (501, 502):  # others than those of the replicates, which chose the winner
        assert sorted(row["index"] for row in predictions if row["seed"] == seed) == test_rows.tolist()


def test_the_reported_accuracy_is_that_of_the_stored_predictions(done: Done) -> None:
    predictions = done.record.tables["predictions"]
    test = done.record.test
    right = np.mean([row["label"] == row["predicted"] for row in predictions])
    assert test.accuracy == pytest.approx(right)
    assert test.interval[0] <= test.accuracy <= test.interval[1]
    assert done.record.confusion[:, 2].sum() == len(predictions)


def test_validation_runs_have_no_test_accuracy_and_test_runs_no_validation(done: Done) -> None:
    for row in done.record.runs:
        assert (row["test_accuracy"] is None) == (row["phase"] == "replicate")
        assert (row["val_accuracy"] is None) == (row["phase"] != "replicate")


def test_the_best_model_given_back_predicts_what_the_record_says(done: Done) -> None:
    config = json.loads((done.record.folder / "best" / "config.json").read_text())
    family = architecture.get(config["model"])
    variant = family.variant(config["scale"], name=config["variant"])
    model = building.assemble(family, variant, len(config["classes"])).to(memory_format=torch.channels_last)
    model.load(load_file(done.record.folder / "best" / "model.safetensors"), head=True)
    test = load_in_memory(prepare(split(named.load("digits")), variant.preprocessing, ("test",))["test"])
    seen = predict(model, test, precision("fp32", torch.device("cpu")))
    seed = config["metrics"]["seed"]
    stored = {row["index"]: row["predicted"] for row in done.record.tables["predictions"] if row["seed"] == seed}
    assert dict(zip(seen.index.tolist(), seen.predicted.tolist(), strict=True)) == stored


def test_optuna_opens_the_journal_and_finds_every_trial(done: Done) -> None:
    storage = JournalStorage(JournalFileBackend(str(done.record.folder / "optuna.journal")))
    study = optuna.load_study(study_name="small", storage=storage)
    states = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    rows = {row["trial_id"]: row for row in done.record.trials}
    assert len(study.trials) == len(rows)
    for trial in study.trials:
        row = rows[trial.user_attrs["trial_id"]]
        assert trial.state.name == states[row["status"]]
        assert trial.params == {name: row[name] for name in ("lr", "weight_decay", "freeze_depth")}


def test_every_run_is_a_run_of_wandb(done: Done) -> None:
    runs = list((done.record.folder / "wandb").glob("offline-run-*"))
    assert len(runs) == len(done.record.trials) + len(done.record.runs) + 1  # what the study has come to


def test_wandb_can_group_by_point_knows_whence_a_run_comes_and_has_none_of_rays_figures(done: Done) -> None:
    for file in (done.record.folder / "wandb").glob("offline-run-*/run-*.wandb"):
        written = read(file)
        assert {"trial_id", "point", "command", "versions"} <= set(written.config)
        assert not {"pid", "timestamp", "time_since_restore", "training_iteration"} & set(written.summary)


def test_the_samples_are_pictures_of_test_images(done: Done) -> None:
    samples = done.record.tables["samples"]
    assert samples
    assert all(row["png"].startswith(b"\x89PNG") for row in samples)
    assert {row["index"] for row in samples} <= {row["index"] for row in done.record.tables["predictions"]}


def test_the_summary_names_the_winner_the_start_and_the_page(done: Done) -> None:
    assert f"{done.record.test.accuracy:.2%}" in done.printed
    assert done.record.winner["trial_id"] in done.printed
    assert "the start" in done.printed
    assert "points [" in done.printed  # the gain on the test images
    assert str(done.record.folder / "report.html") in done.printed
    assert (done.record.folder / "report.html").stat().st_size > 10_000


def test_the_same_seed_gives_the_same_trials_and_the_same_numbers(done: Done, tmp_path: Path) -> None:
    assert main([*STUDY, "--results", str(tmp_path), "--wandb", "disabled", "--quiet"]) == 0
    again = Record(tmp_path / "small")
    same = ("trial_id", "status", "lr", "weight_decay", "freeze_depth", "val_accuracy", "best_epoch")
    assert [[row[name] for name in same] for row in again.trials] == [
        [row[name] for name in same] for row in done.record.trials
    ]
    losses = [
        [(row["run_id"], row["epoch"], row["train_loss"]) for row in record.curves] for record in (again, done.record)
    ]
    assert sorted(losses[0]) == sorted(losses[1])
    assert again.test == done.record.test


def test_a_finished_study_that_is_resumed_shows_its_summary_and_trains_nothing(
    done: Done, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in done.record.folder.glob("*.parquet")}
    assert main([*STUDY, "--results", str(done.record.folder.parent), "--resume", "--quiet"]) == 0
    assert {path: path.read_bytes() for path in done.record.folder.glob("*.parquet")} == before
    assert f"{done.record.test.accuracy:.2%}" in capsys.readouterr().out


def test_more_trials_after_the_test_set_was_seen_are_refused(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    more = [word if word != "5" else "9" for word in STUDY]
    assert main([*more, "--results", str(done.record.folder.parent), "--resume"]) == 2
    assert "its test set has been seen" in capsys.readouterr().err
