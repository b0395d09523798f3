"""What goes wrong in a run is a result with its reason, and costs no other run."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, split
from study.design.recipes import RECIPES
from study.design.study import Study
from study.execution.pool import Pool
from study.execution.search import Train, search
from study.results.record import Record, Row
from study.run import main
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import train

DATA = tuple[DatasetSplits, dict[ImagesKey, Any]]


@pytest.fixture(scope="module")
def data(ray_session: None) -> DATA:
    splits = split(named.load("digits"))
    study = described(Path("unused"), trials=1)
    return splits, datasets_of_study(splits, study.pretrained_variant.preprocessing, margin=False)


def described(results: Path, *, trials: int, epochs: int = 1) -> Study:
    recipe = replace(RECIPES["fair"], epochs=epochs)
    return Study(
        "resnet", "mini", "resnet_mini", "digits", "faulty", results, recipe, trials=trials, early_stopping="none"
    )


def template(study: Study, splits: DatasetSplits) -> Run:
    model = Model(study.model, study.scale, study.variant, 10)
    return Run(
        "",
        model,
        study.point({}),
        study.recipe,
        seed=0,
        split_digests=splits.digests(),
        fit_on=("val",),
        validate_on="test",
    )


def searched(
    study: Study, data: DATA, on_epoch: Callable[[str, Row], None] = lambda name, row: None, train: Train = train
) -> Record:
    study.folder.mkdir(parents=True)
    record = Record(study.folder)
    search(
        study,
        record,
        template(study, data[0]),
        data[1],
        Resources(cpus=0.5),
        max_concurrent=1,
        interrupted=threading.Event(),
        on_start=lambda name, point: None,
        on_epoch=on_epoch,
        on_end=lambda row, curve: record.add(trials=[row], curves=curve),
        train=train,
    )
    return record


def end_trial_processes() -> int:
    """SIGKILLs every process of this session that trains for Tune; how many there were."""
    mine = psutil.process_iter(["cmdline"])
    own = {process.pid for process in psutil.Process().children(recursive=True)}
    training = [one for one in mine if one.pid in own and "ImplicitFunc" in " ".join(one.info["cmdline"] or [])]
    for process in training:
        process.kill()
    return len(training)


def test_a_trial_whose_process_dies_is_run_again(data: DATA, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_once(name: str, row: Row) -> None:
        if name == "trial-001" and row["epoch"] == 1 and not killed:
            killed.append(end_trial_processes())

    record = searched(described(tmp_path, trials=3, epochs=3), data, kill_once)
    assert killed == [1]
    assert [(row["trial_id"], row["status"], row["epochs"]) for row in record.trials] == [
        (f"trial-{n:03d}", "completed", 3) for n in range(3)
    ]
    assert [row["epoch"] for row in record.curve("trial-001")] == [1, 2, 3]


@pytest.mark.parametrize("how", ["dies", "fails"])
def test_a_trial_for_which_no_process_could_be_made_ready_gets_another(how: str, data: DATA, tmp_path: Path) -> None:
    def train_and_break(run: Run, *others: Any) -> Outcome:
        from ray.train._internal.session import get_session

        def finish(timeout: float | None = None) -> None:  # what a process does first when it is made ready
            if how == "dies":
                os._exit(1)
            raise RuntimeError("not ready")

        if run.run_id == "trial-000":
            get_session().finish = finish  # type: ignore[union-attr,method-assign]
        return train(run, *others)

    record = searched(described(tmp_path, trials=3), data, train=train_and_break)
    assert [(row["trial_id"], row["status"]) for row in record.trials] == [
        (f"trial-{n:03d}", "completed") for n in range(3)
    ]


def test_a_trial_whose_loss_is_not_finite_fails_with_the_reason_and_the_others_go_on(
    data: DATA, tmp_path: Path
) -> None:
    study = described(tmp_path, trials=3)
    study.folder.mkdir(parents=True)
    record = Record(study.folder)
    diverging = template(study, data[0])
    point = replace(study.point({}), freeze_depth=0, clip_norm=0.0)
    pool = Pool(Resources(cpus=0.5), 1)
    bad = replace(diverging, run_id="bad", hyperparameters=replace(point, lr=1e30))
    good = replace(diverging, run_id="good", hyperparameters=replace(point, lr=1e-3))
    ended = dict(pool_outcomes(pool, [bad, good], data))
    pool.close()
    assert "the training loss is" in ended["bad"].failure
    assert ended["good"].failure is None
    assert record.trials == []


def pool_outcomes(pool: Pool, runs: list[Run], data: DATA) -> list[tuple[str, Any]]:
    ended = pool.outcomes(runs, data[1], interrupted=threading.Event(), on_start=lambda run: None)
    return [(run.run_id, outcome) for run, outcome in ended]


def test_a_replicate_whose_process_dies_is_a_failed_run_and_the_next_ones_go_on(data: DATA, tmp_path: Path) -> None:
    study = described(tmp_path, trials=1, epochs=2)
    runs = [replace(template(study, data[0]), run_id=f"r{n}", seed=n) for n in range(3)]
    pool = Pool(Resources(cpus=0.5), 1)

    def kill_first(run: Run) -> None:
        if run.run_id == "r1":
            for worker in pool._idle + [worker for _, worker in pool._busy.values()]:
                ray.kill(worker)

    ended = pool.outcomes(runs, data[1], interrupted=threading.Event(), on_start=kill_first)
    outcomes = {run.run_id: outcome for run, outcome in ended}
    pool.close()
    assert set(outcomes) == {"r0", "r1", "r2"}
    assert outcomes["r2"].failure is None


def test_a_study_of_which_every_trial_diverges_says_so_in_one_line(
    ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(
        [
            *["--model", "alexnet", "--pretraining", "none", "--fix", "lr=1e30", "--fix", "freeze_depth=0"],
            *["--trials", "2", "--epochs", "1", "--results", str(tmp_path), "--name", "nan", "--quiet"],
        ]
    )
    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.startswith("error: no trial was completed")
    assert captured.err.count("\n") == 1
    record = Record(tmp_path / "nan")
    assert [row["status"] for row in record.trials] == ["failed", "failed"]
    assert all("the training loss is" in row["reason"] for row in record.trials)
    assert (tmp_path / "nan" / "report.html").exists()
