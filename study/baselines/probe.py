"""An instant baseline: ridge regression in closed form on frozen features, seconds after the features exist.

The features are what flows into the head of the pretrained model: activations that are computed once and cached
(docs/boundaries.md). The regression is onto one-hot labels, in float64. The penalty is chosen on validation; then train
+ validation are fitted once more and the test images are predicted once, as in a study (docs/protocol.md).

What a seed means here: given its images, ridge regression has one answer and draws nothing. Two things around it are
drawn, and these are what a seed redraws: how train + validation are divided to choose the penalty, and, without
pretraining, the weights of the backbone. So with pretrained weights the accuracies of the seeds differ by the penalty
alone, often not at all, and the interval is that of the test images. It says nothing of other training images; to
resample those would fit fewer of them than a study does, and compare what is not comparable.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from study.baselines.ridge import ridge
from study.cluster import connection, nodes
from study.cluster.allocation import allocate
from study.data.reading import datasets_of_study
from study.data.splits import DatasetSplits, stratified
from study.execution.pool import Pool
from study.execution.session import Session
from study.files import write_json, write_parquet
from study.results import ledger, probes, provenance
from study.results.record import TABLES, prediction_rows
from study.statistics import accuracy_interval
from trainables.architecture import Architecture, Variant
from trainables.features import Features, features
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Predictions
from trainables.recipe import Recipe
from trainables.resources import Resources
from trainables.run import Model, Run


@dataclass(frozen=True)
class Probed:
    """What came out of one model.

    Attributes:
        row: of the comparison, as `probe.json` holds it.
        predictions: rows of `probe.parquet`, one per test image and seed.
    """

    row: dict[str, Any]
    predictions: list[dict[str, Any]]


def probe(
    model: Model, splits: DatasetSplits, resources: Resources, pool: Callable[[], Pool], *, seeds: int, precision: str
) -> Probed:
    """Ridge regressions on the features of one model, one per seed.

    Args:
        model: with its weights in Ray's object store, or with none: then each seed has a backbone of its own.
        splits: train and validation are fitted, the penalty being chosen on a part of them; test is predicted.
        resources: of one run, for computing the features.
        pool: makes the process that does so on a GPU.
        seeds: how many; they are 1, 2 and so on.
        precision: of the features: fp32, bf16, fp16, or auto.
    """
    numbers = list(range(1, seeds + 1))  # a study's seeds: without pretraining the same backbones
    fits, predictions, feature_seconds, ridge_seconds = [], [], 0.0, 0.0
    for seed in numbers:
        if seed == 1 or model.weights is None:
            start = perf_counter()
            extracted = extract(run_of(model, splits, seed, precision), splits, resources, pool)
            feature_seconds += perf_counter() - start
        known, test = concatenate(extracted["train"], extracted["val"]), extracted["test"]
        start = perf_counter()
        train, val = division(splits, known, seed)
        fit = ridge(
            *(known.values, known.label, test.values),
            classes=model.classes,
            train=train,
            val=val,
            fitted=fitted(splits, known),
        )
        ridge_seconds += perf_counter() - start
        fits.append(fit)
        answers = Predictions(test.index, test.label, fit.predicted, fit.confidence, 0.0)
        predictions += prediction_rows(seed, answers, splits.source.images.name)
    correct = np.stack([fit.predicted == test.label for fit in fits])
    variant = model.described
    row = {
        "model": model.architecture,
        "scale": model.scale,
        "variant": variant.name,
        "pretraining": variant.pretraining,
        "features": test.values.shape[1],
        "n": len(test.label),
        "seeds": numbers,
        "accuracies": correct.mean(axis=1).tolist(),
        "accuracy": float(correct.mean()),
        "interval": list(accuracy_interval(correct)),
        "val_accuracies": [fit.val_accuracy for fit in fits],
        "penalties": [fit.penalty for fit in fits],
        "feature_seconds": round(feature_seconds, 3),
        "ridge_seconds": round(ridge_seconds, 3),
    }
    return Probed(row, predictions)


def run_of(model: Model, splits: DatasetSplits, seed: int, precision: str) -> Run:
    """What `features` needs to know, as a run on all of the data that trains nothing but the head."""
    depth = model.described.backbone_stages
    return Run(
        run_id="probe",
        model=model,
        hyperparameters=Hyperparameters(lr=1.0, weight_decay=0.0, freeze_depth=depth),
        recipe=Recipe("probe", epochs=1),
        seed=seed,
        split_digests=splits.digests(),
        precision=precision,
        boundaries="always",
        fit_on=("train", "val"),
        validate_on=None,
        predict_on="test",
    )


def extract(run: Run, splits: DatasetSplits, resources: Resources, pool: Callable[[], Pool]) -> dict[str, Features]:
    """The features, from here; or from a process that Ray gives a GPU, and that gives its memory back by its end."""
    datasets = datasets_of_study(splits, run.model.described.preprocessing, margin=False)
    if not resources.gpus:
        return features(run, datasets, resources.threads)
    with closing(pool()) as processes:
        return processes.call("features", features, run, datasets, resources.threads)


def concatenate(*parts: Features) -> Features:
    """Several splits as one, in the order of the dataset."""
    index = np.concatenate([part.index for part in parts])
    order = index.argsort()
    values, label = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "label"))
    return Features(values[order], label[order], index[order])


def division(splits: DatasetSplits, known: Features, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `known` to fit and to choose the penalty on: as many as in the study's splits, drawn again."""
    sizes = splits.sizes()
    train, val = stratified(splits.source, known.index, sizes["val"] / (sizes["train"] + sizes["val"]), seed)
    return np.searchsorted(known.index, train), np.searchsorted(known.index, val)


def fitted(splits: DatasetSplits, known: Features) -> np.ndarray:
    """Rows of `known` that the test's regression is fitted to: a study of a part of train tests on just that part."""
    if splits.chosen is None:
        return np.arange(len(known.index))
    return np.searchsorted(known.index, splits.train[splits.chosen])


@dataclass(frozen=True)
class Plan:
    """What is probed, all of it checked.

    Attributes:
        folder: where the result is written, None for nowhere.
        command: the line that does it again.
    """

    models: Sequence[tuple[Architecture, Variant, dict[str, Tensor] | None]]
    splits: DatasetSplits
    scale: str
    seeds: int
    precision: str
    folder: Path | None
    command: str


def run(plan: Plan, *, say: Callable[[str], None], verbose: bool = False) -> list[Probed]:
    """Probes every model, says a line for each, and writes the results where the plan says."""
    results = []
    with connection.connected(verbose=verbose):
        resources = allocate(1, 1, nodes.here()).resources
        for family, variant, weights in plan.models:
            classes = len(plan.splits.source.classes)
            model = Model(family.name, plan.scale, variant.name, classes, connection.put(weights))
            pool = partial(Pool, resources, 1, say)
            results.append(probe(model, plan.splits, resources, pool, seeds=plan.seeds, precision=plan.precision))
            now = datetime.now(UTC).isoformat()
            ledger.note(plan.splits.test_set, what="study.probe", study=variant.name, started=now, run="")
            say(format_probe(results[-1].row))
    if plan.folder:
        write(plan.folder, plan.splits, results, plan.command)
    return results


def format_probe(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    penalties = " ".join(f"{penalty:.1e}" for penalty in dict.fromkeys(row["penalties"]))
    return (
        f"{row['variant']:<24} test accuracy {row['accuracy']:.2%}, 95 % interval {low:.2%} to {high:.2%} "
        f"({row['n']} images, seeds {len(row['seeds'])}; validation {fmean(row['val_accuracies']):.2%})  "
        f"penalty {penalties}  {row['features']} features in {row['feature_seconds']:.1f} s, "
        f"regression in {row['ridge_seconds']:.2f} s"
    )


def probe_study(session: Session) -> None:
    """Probes the model of a study that has just ended, on its own splits, into its folder."""
    study = session.study
    if probes.whole(study.folder):
        return
    session.terminal.say(f"linear probe of {study.variant}")
    session.terminal.doing(f"ridge regression on the features of {study.variant}")
    resources = session.allocate().resources
    pool = partial(session.pool, resources, 1)
    probed = probe(session.model(), session.splits, resources, pool, seeds=study.seeds, precision=study.precision)
    words = ["--model", study.model, "--scale", study.scale, "--pretraining", probed.row["pretraining"]]
    command = provenance.command([*words, "--dataset", study.dataset], module="study.probe")
    if session.splits.chosen is not None:
        command += "  # but of the study's own part of train"
    session.looked("ridge regression")
    write(study.folder, session.splits, [probed], command)


def write(folder: Path, splits: DatasetSplits, results: Sequence[Probed], command: str) -> None:
    """probe.json, and in probe.parquet a row per test image, seed and variant."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("variant", pa.string()), *TABLES["predictions"]])
    lines = [{"variant": probed.row["variant"], **line} for probed in results for line in probed.predictions]
    write_parquet(folder / probes.ANSWERS, pa.Table.from_pylist(lines, schema=schema))
    facts = {
        "format": 1,
        "dataset": splits.source.name,
        "fingerprint": splits.fingerprint,
        "sizes": splits.sizes(),
        "probes": [probed.row for probed in results],
        "command": command,
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }
    write_json(folder / probes.FACTS, facts)
