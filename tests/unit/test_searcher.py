"""What the search proposes: each point once, the same again for a seed, and what Optuna is told of every trial."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from study.design import space as spaces
from study.design.recipes import FAIR
from study.design.study import Study
from study.execution.search import StopOn
from study.execution.searcher import Searcher, trial_id
from study.results.record import Record
from trainables.metrics import Metric

EPOCHS = 3


def study_of(folder: Path, **changes: Any) -> Study:
    described = Study(
        model="alexnet",
        scale="mini",
        variant="alexnet_mini",
        dataset="digits",
        name="searched",
        results=folder,
        recipe=replace(FAIR, epochs=EPOCHS),
        trials=40,
    )
    described = replace(described, **changes)
    described.folder.mkdir(exist_ok=True, parents=True)
    return described


def curve_of(proposed: dict[str, Any], epochs: int) -> list[float]:
    """Accuracies that depend on the point alone."""
    point = proposed["hyperparameters"]
    level = 0.5 + 0.05 * np.log10(point["lr"]) + 0.01 * point["freeze_depth"]
    return [level + 0.01 * epoch for epoch in range(1, epochs + 1)]


def run(searcher: Searcher, proposed: dict[str, Any], *, epochs: int) -> list[dict[str, Any]]:
    """A trial that Tune stops after some epochs: the last result goes to `on_trial_complete` alone."""
    name = proposed["trial_id"]
    results = [
        {"epochs": epoch, "val_accuracy": value, "val_loss": 1 - value}
        for epoch, value in enumerate(curve_of(proposed, epochs), 1)
    ]
    for result in results[:-1]:
        searcher.on_trial_result(name, result)
    searcher.on_trial_complete(name, results[-1])
    return results


def rows_of(proposed: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    status = "completed" if len(results) == EPOCHS else "pruned"
    name = proposed["trial_id"]
    row = {**proposed["hyperparameters"], **results[-1], "trial_id": name, "status": status, "seed": 0}
    curve = [{"run_id": name, "epoch": one["epochs"], "phase": "search", **one} for one in results]
    return {"trials": [row], "curves": curve}


def searched(study: Study, record: Record, trials: int, *, keep: bool = True) -> list[dict[str, Any]]:
    """So many more trials; every third of them is pruned after its first epoch."""
    searcher, proposals = Searcher(study, record), []
    for _ in range(trials):
        number = len(record.trials)
        proposed = searcher.suggest(trial_id(number))
        if proposed == searcher.FINISHED:
            break
        assert isinstance(proposed, dict)
        results = run(searcher, proposed, epochs=1 if number % 3 == 2 else EPOCHS)
        if keep:
            record.add(**rows_of(proposed, results))
        proposals.append(proposed)
    searcher.close()
    return proposals


def journal_of(study: Study) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(study.folder / "optuna.journal")))
    return optuna.load_study(study_name=study.name, storage=storage).trials


@pytest.mark.timeout(60)
def test_a_search_goes_on_where_the_one_before_was_killed_while_it_wrote_optunas_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = study_of(Path("here"))
    searched(study, Record(study.folder), 1)
    journal = study.folder / "optuna.journal"
    journal.with_name("optuna.journal.lock").symlink_to(journal)  # leads nowhere: it is relative to itself
    journal.with_name("optuna.journal.lock12ab.rename").symlink_to(journal)
    searched(study, Record(study.folder), 1)
    assert [trial.user_attrs["trial_id"] for trial in journal_of(study)] == ["trial-000", "trial-001"]
    assert sorted(study.folder.glob("optuna*")) == [journal]


def test_no_trial_fails_where_optunas_journal_was_removed_meanwhile(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    record = Record(study.folder)
    searcher = Searcher(study, record)
    for number in range(8):
        if number == 2:
            (study.folder / "optuna.journal").unlink()
        proposed = searcher.suggest(trial_id(number))
        assert isinstance(proposed, dict)
        record.add(**rows_of(proposed, run(searcher, proposed, epochs=EPOCHS)))
    searcher.close()


def test_the_first_trial_is_the_papers_point_and_the_others_are_drawn_from_the_space(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    first, *others = searched(study, Record(study.folder), 6)
    assert study.point(first["hyperparameters"]) == study.point({})
    assert all(spaces.contains(study.space, study.point(one["hyperparameters"])) for one in others)


@pytest.mark.parametrize("seed", range(4))
def test_a_search_that_goes_on_proposes_what_an_undisturbed_one_proposes(tmp_path: Path, seed: int) -> None:
    whole = study_of(tmp_path / "whole", seed=seed)
    undisturbed = searched(whole, Record(whole.folder), 24)
    parts = study_of(tmp_path / "parts", seed=seed)
    resumed = searched(parts, Record(parts.folder), 13) + searched(parts, Record(parts.folder), 11)
    assert resumed == undisturbed


def test_a_trial_that_has_a_checkpoint_is_proposed_at_its_point_whatever_has_ended_since(tmp_path: Path) -> None:
    study = study_of(tmp_path, seed=1)
    record = Record(study.folder)
    searched(study, record, 12)
    searcher = Searcher(study, record)
    side_by_side: list[Any] = [searcher.suggest(trial_id(number)) for number in range(12, 16)]
    for proposed in (side_by_side[0], side_by_side[2]):
        record.add(**rows_of(proposed, run(searcher, proposed, epochs=EPOCHS)))
    searcher.close()
    first, last = side_by_side[1], side_by_side[3]

    def proposed_again(begun: dict[str, Any]) -> list[Any]:
        again = Searcher(study, record, begun)
        return [again.suggest(trial_id(number)) for number in (13, 15)]

    assert proposed_again({one["trial_id"]: one["hyperparameters"] for one in (first, last)}) == [first, last]
    unknown = proposed_again({})
    assert unknown != [first, last]  # the sampler has seen more now
    for other in ({"lr": 9.0}, {"freeze_depth": "many"}, {"label_smoothing": 0.9}):  # of another space than this
        assert proposed_again({"trial-013": first["hyperparameters"] | other}) == unknown
    assert proposed_again({"trial-013": {"lr": 1e-3}}) == unknown


def test_optuna_knows_every_epoch_of_a_trial_that_was_pruned(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    searched(study, Record(study.folder), 6)
    trials = journal_of(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED] * 2
    assert [len(trial.intermediate_values) for trial in trials] == [3, 3, 1] * 2


def test_no_point_is_proposed_twice_and_a_space_that_is_used_up_ends_the_search(tmp_path: Path) -> None:
    table = spaces.parse('freeze_depth = { low = 0, high = "all" }', "a file", 7)
    study = study_of(tmp_path, table=table, trials=32)
    assert study.budget == 8
    proposals = searched(study, Record(study.folder), 32)
    assert sorted(one["hyperparameters"]["freeze_depth"] for one in proposals) == list(range(8))


def test_a_point_of_the_paper_that_lies_outside_of_the_space_is_trained_all_the_same(tmp_path: Path) -> None:
    table = spaces.parse(
        'freeze_depth = { low = 0, high = 2 }\nschedule = { choices = ["step", "constant"] }', "a file", 7
    )
    study = study_of(tmp_path, table=table, trials=32)
    assert study.budget == 7
    proposals = searched(study, Record(study.folder), 4) + searched(study, Record(study.folder), 28)
    points = [(one["hyperparameters"]["freeze_depth"], one["hyperparameters"]["schedule"]) for one in proposals]
    assert points[0] == (7, "cosine")
    assert sorted(points[1:]) == [(depth, name) for depth in range(3) for name in ("constant", "step")]
    assert [trial.user_attrs["trial_id"] for trial in journal_of(study)] == [trial_id(n) for n in range(7)]


def test_the_journal_numbers_trials_as_the_record_does_whichever_ends_first(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    searcher = Searcher(study, Record(study.folder))
    proposed = [searcher.suggest(trial_id(number)) for number in range(4)]
    for number in (1, 3, 0):
        one = proposed[number]
        assert isinstance(one, dict)
        run(searcher, one, epochs=EPOCHS)
    searcher.close()  # trial 2 has not ended
    trials = journal_of(study)
    assert [trial.user_attrs.get("trial_id") for trial in trials] == ["trial-000", "trial-001", None, "trial-003"]
    assert trials[2].state == TrialState.WAITING


def test_a_search_by_loss_looks_for_the_smallest(tmp_path: Path) -> None:
    study = study_of(tmp_path, metric=Metric.LOSS, trials=40)
    searched(study, Record(study.folder), 8)
    storage = JournalStorage(JournalFileBackend(str(study.folder / "optuna.journal")))
    journal = optuna.load_study(study_name=study.name, storage=storage)
    assert journal.direction == optuna.study.StudyDirection.MINIMIZE
    assert journal.best_value == min(t.value for t in journal.trials if t.value is not None)


def test_the_head_alone_has_the_same_chance_in_every_model_however_many_stages_it_has(tmp_path: Path) -> None:
    shares = []
    for model in ("alexnet", "coatnet"):
        alone, drawn = 0, 0
        for seed in range(12):
            study = study_of(tmp_path / f"{model}{seed}", model=model, variant=f"{model}_mini", seed=seed)
            depths = [one["hyperparameters"]["freeze_depth"] for one in searched(study, Record(study.folder), 10)[1:]]
            alone, drawn = alone + depths.count(study.backbone_stages), drawn + len(depths)
        shares.append(alone / drawn)
    assert all(0.07 < share < 0.28 for share in shares), shares


def test_where_everything_is_fixed_the_only_trial_is_that_point(tmp_path: Path) -> None:
    fixed = {"lr": 2e-3, "weight_decay": 0.1, "freeze_depth": 2}
    study = study_of(tmp_path, fixed=fixed, trials=1)
    record = Record(study.folder)
    searcher = Searcher(study, record)
    assert searcher.set_search_properties(None, None, {})  # as Tune does
    proposed = searcher.suggest(trial_id(0))
    assert isinstance(proposed, dict)
    assert proposed["hyperparameters"].items() >= fixed.items()
    record.add(**rows_of(proposed, run(searcher, proposed, epochs=EPOCHS)))
    searcher.close()
    assert Searcher(study, record)._numbers == [1]


def test_where_no_other_trial_fits_the_search_ends_and_those_under_way_after_their_epoch(tmp_path: Path) -> None:
    time = [1]
    study = study_of(tmp_path)
    searcher = Searcher(study, Record(study.folder), more=lambda: bool(time))
    stop = StopOn(threading.Event(), another_fits=lambda: bool(time))
    assert searcher.suggest("one")["trial_id"] == "trial-000"
    assert not stop("one", {})
    time.clear()
    assert searcher.suggest("two") == Searcher.FINISHED
    assert stop("one", {})
    assert stop.out_of_time == {"one"}
    assert not stop.stop_all()  # what it has come to is told
