"""After the search: replicate the best trials on validation, then test the winner, once a seed. No other order."""

from dataclasses import replace
from statistics import fmean, median_low
from typing import Any

import numpy as np

from study.design.states import Phase, RunStatus
from study.design.study import Study
from study.execution.candidates import candidates
from study.execution.last_epoch import last_as_good
from study.results.record import Record, Row
from study.statistics import accuracy_interval, confused, most_confused, scores
from study.statistics.comparison import difference
from trainables.hyperparameters import as_row
from trainables.run import Run


def replicate_runs(study: Study, record: Record, template: Run) -> dict[str, tuple[Row, Run]]:
    """The runs that step 3 of the protocol needs, by run id: every candidate under every seed."""
    runs = {}
    for row in candidates(study, record):
        for seed in study.replicate_seeds:
            name = f"replicate-{row['trial_id'].removeprefix('trial-')}-seed{seed}"
            runs[name] = row, replace(template, run_id=name, hyperparameters=study.point_of(row), seed=seed)
    return runs


def ranking(study: Study, record: Record) -> list[dict[str, Any]]:
    """The replicated trials, best mean first; one with a failed replicate comes last, for it cannot be relied on."""
    metric, rows = study.metric, []
    for row in candidates(study, record):
        runs = [r for r in record.runs if r["phase"] == Phase.REPLICATE and r["trial_id"] == row["trial_id"]]
        good = sorted((r for r in runs if r["status"] == RunStatus.COMPLETED), key=lambda r: r["seed"])
        scores = [r[metric.column] for r in good]
        rows.append(
            {
                "trial_id": row["trial_id"],
                **as_row(study.point_of(row)),
                "trained_share": row["trained_share"],
                "seeds": [r["seed"] for r in good],
                "scores": scores,
                "score": fmean(scores) if good else None,
                "val_accuracies": [r["val_accuracy"] for r in good],
                "val_accuracy": fmean(r["val_accuracy"] for r in good) if good else None,
                "failed": len(runs) - len(good),
                "last_epoch": last_epoch(study, record, good) if good else None,
            }
        )
    return sorted(rows, key=lambda row: (row["failed"] > 0, -metric.merit(row["score"]), row["trial_id"]))


def last_epoch(study: Study, record: Record, replicates: list[Row]) -> int:
    """After which epoch of the schedule a test run of a replicated point ends."""
    merits = [
        [study.metric.merit(epoch[study.metric.column]) for epoch in record.curve(run["run_id"])] for run in replicates
    ]
    if study.protocol == 1 or not all(merits):
        return median_low([run["best_epoch"] for run in replicates])
    return last_as_good(merits)


def test_runs(study: Study, winner: Row, template: Run) -> dict[str, tuple[Row, Run]]:
    """The runs of step 4: the winner on train + validation, until the epoch that `last_epoch` chose on validation.

    A study of a part of train tests on just that part: its result is about an amount of data.
    """
    return {
        f"test-seed{seed}": (
            winner,
            replace(
                template,
                run_id=f"test-seed{seed}",
                hyperparameters=study.point_of(winner),
                seed=seed,
                fit_on=("train",) if template.split_digests["train"].chosen is not None else ("train", "val"),
                validate_on=None,
                predict_on="test",
                last_epoch=winner["last_epoch"],
                keep_state=True,
            ),
        )
        for seed in study.test_seeds
    }


def start_runs(study: Study, record: Record, template: Run) -> dict[str, tuple[Row, Run]]:
    """The starting point tested as the winner is, with its seeds: what the search gains, on images that chose nothing.

    None where the start has won, or has no replicate that was completed; nor before protocol 2.
    """
    start, winner = record.study.paper, record.winner
    if study.protocol == 1 or start is None or start["score"] is None or start["trial_id"] == winner["trial_id"]:
        return {}
    runs: dict[str, tuple[Row, Run]] = {}
    for seed, (_, run) in zip(study.test_seeds, test_runs(study, start, template).values(), strict=True):
        name = f"start-seed{seed}"
        runs[name] = start, replace(run, run_id=name, keep_state=False)
    return runs


def gain(record: Record) -> dict[str, Any] | None:
    """The winner's test accuracy less the starting point's; None where that was not tested."""
    if not record.tables["start"]:
        return None
    winner, start = answers(record.tables["predictions"]), answers(record.tables["start"])
    found = difference(winner, start)
    return {
        "accuracies": start.mean(axis=1).tolist(),
        "accuracy": float(start.mean()),
        "gain": found.mean,
        "interval": list(found.interval),
        "p": found.p,
    }


def answers(rows: list[Row]) -> np.ndarray:
    """(seeds, images) bool: which predictions are right."""
    ordered = sorted(rows, key=lambda row: (row["seed"], row["index"]))
    right = np.array([row["label"] == row["predicted"] for row in ordered])
    return right.reshape(len({row["seed"] for row in rows}), -1)


def verdict(record: Record, classes: tuple[str, ...]) -> dict[str, Any]:
    """What the predictions on disk say of the winner; what was taken for what becomes a table. Raises OSError."""
    rows = record.tables["predictions"]
    seeds = sorted({row["seed"] for row in rows})
    by_seed = [sorted((r for r in rows if r["seed"] == seed), key=lambda r: r["index"]) for seed in seeds]
    label = np.array([r["label"] for r in by_seed[0]])
    predicted = np.array([[r["predicted"] for r in run] for run in by_seed])
    each = [scores(label, one, classes) for one in predicted]
    pairs = confused(np.tile(label, len(predicted)), predicted.ravel())
    names = ("label", "predicted", "count")
    record.replace_table("confusion", [dict(zip(names, row, strict=True)) for row in pairs.tolist()])
    per_class = [
        {
            "class": name,
            **{k: fmean(e["per_class"][i][k] for e in each) for k in ("precision", "recall", "f1-score", "support")},
        }
        for i, name in enumerate(classes)
    ]
    low, high = accuracy_interval(predicted == label)
    return {
        "n": len(label),
        "seeds": seeds,
        "accuracies": [e["accuracy"] for e in each],
        "accuracy": fmean(e["accuracy"] for e in each),
        "interval": [low, high],
        "macro_f1": fmean(e["macro_f1"] for e in each),
        "mean_class_accuracy": fmean(e["mean_class_accuracy"] for e in each),
        "per_class": per_class,
        "most_confused": [[classes[i], classes[j], n] for i, j, n in most_confused(pairs, 5)],
    }
