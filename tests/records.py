"""Records for tests, made through `Record` as a study would: finished, still searching, and with nothing to show."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

from study import statistics
from study.results.point import Domain
from study.results.record import Record, Row
from study.results.study_file import FORMAT
from trainables.hyperparameters import DECLARED, Hyperparameters
from trainables.metrics import COLUMNS, Metric

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
STAGES = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
TRAINED_SHARES = (1.0, 0.99, 0.94, 0.76, 0.28, 0.004)
PARAMETERS = 176_842
THREE: Mapping[str, Domain] = {
    "lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "weight_decay": {"low": 1e-6, "high": 1e-1, "log": True},
    "freeze_depth": {"low": 0, "high": len(STAGES) - 1, "log": False},
}
EIGHT: Mapping[str, Domain] = {
    **THREE,
    "batch_size": {"low": 16, "high": 256, "log": True},
    "label_smoothing": {"low": 0.0, "high": 0.2, "log": False},
    "schedule": {"choices": ["cosine", "onecycle", "constant"]},
    "augmentation": {"choices": ["none", "flip", "crop_flip", "autoaugment_cifar10"]},
    "layer_decay": {"low": 0.5, "high": 1.0, "log": False},
}


PAPER = Hyperparameters(lr=1e-4, weight_decay=1e-2, freeze_depth=0)


@dataclass(frozen=True)
class Shape:
    """How large a study is, and of what; `draw` gives it runs of its own, `hard` is the share of images it may miss."""

    model: str = "resnet"
    pretraining: str = "fashion6k"
    dataset: str = "digits"
    draw: int = 0
    hard: float = 1 / 12
    classes: tuple[str, ...] = DIGITS
    trials: int = 32
    epochs: int = 12
    seeds: int = 3
    images_per_class: int = 36
    samples: int = 40
    metric: Metric = Metric.ACCURACY
    space: Mapping[str, Domain] = field(default_factory=lambda: THREE)

    @property
    def name(self) -> str:
        """Of the study, as a comparison calls its rows; a pretraining other than the usual one is in it."""
        other = "" if self.pretraining == "fashion6k" else f"-{self.pretraining}"
        return f"{self.model}{other}-{self.dataset}"


def started(folder: Path, shape: Shape = Shape()) -> Record:
    """A study that has begun and has no trial yet."""
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(folder)
    n = len(shape.classes) * shape.images_per_class
    record.note(
        format=FORMAT,
        study={
            "name": shape.name,
            "model": shape.model,
            "scale": "mini",
            "variant": f"{shape.model}_mini.{shape.pretraining}",
            "pretraining": shape.pretraining,
            "dataset": shape.dataset,
            "trials": shape.trials,
            "epochs": shape.epochs,
            "seed": 0,
            "seeds": shape.seeds,
            "top_k": 3,
            "early_stopping": "asha",
            "precision": "fp32",
            "workers_per_trial": 1,
            "max_concurrent": 2,
            "fixed": {},
            "metric": str(shape.metric),
            "recipe": {"name": "shared", "epochs": shape.epochs, "batch_size": 64, "schedule": "cosine", "warmup": 0.1},
        },
        data={
            "name": shape.dataset,
            "classes": list(shape.classes),
            "fingerprint": "8f14e45fceea167a",
            "sizes": {"train": 3 * n, "val": n, "test": n},
        },
        preprocessing={"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "crop": 1.0, "interpolation": "bilinear"},
        model={"parameters": PARAMETERS, "stage_names": list(STAGES)},
        space=dict(shape.space),
        command=f"python -m study.run --model {shape.model} --dataset {shape.dataset} --trials {shape.trials} "
        f"--name {shape.name}",
        versions={"python": "3.11.9", "torch": "2.14.1", "ray": "2.60.0", "optuna": "5.0.0"},
        hardware={"cpus": 2, "gpus": 0, "processor": "x86_64", "memory_bytes": 16_000_000_000},
        status="running",
        started="2025-03-01T09:30:00Z",
        seconds={"startup": 6.2},
    )
    return record


def failed(folder: Path, shape: Shape = Shape()) -> Record:
    """A study whose trials have all failed."""
    record = started(folder, shape)
    record.add(trials=[trial(i, shape, np.random.default_rng(i), "failed") for i in range(3)])
    record.note(search={"completed": 0, "pruned": 0, "failed": 3}, status="failed")
    return record


def searched(folder: Path, shape: Shape = Shape()) -> Record:
    """A study that was interrupted after its search: completed, pruned and failed trials and their curves."""
    record = started(folder, shape)
    rng = np.random.default_rng(100 * shape.draw)
    for i in range(shape.trials):
        status = "failed" if i in (11, 26) else "pruned" if i % 4 == 3 else "completed"
        row = trial(i, shape, rng, status)
        curves = curve(row["trial_id"], "search", row, row["epochs"], 0, rng)
        if status != "failed":
            row |= best_of(curves, shape.metric)
        record.add(trials=[row], curves=curves)
    counts = {s: sum(t["status"] == s for t in record.trials) for s in ("completed", "pruned", "failed")}
    record.note(search=counts, status="interrupted", seconds={"startup": 6.2, "search": 214.8})
    return record


def finished(folder: Path, shape: Shape = Shape()) -> Record:
    """A whole study: searched, the best and the paper's recipe replicated, the winner tested."""
    record = searched(folder, shape)
    rng = np.random.default_rng(100 * shape.draw + 1)
    completed = [t for t in record.trials if t["status"] == "completed"]
    merit = {t["trial_id"]: shape.metric.merit(shape.metric.of(t)) for t in completed}
    top = sorted(completed, key=lambda t: merit[t["trial_id"]], reverse=True)[:3]
    chosen = list({t["trial_id"]: t for t in [*top, record.trials[0]]}.values())
    replicates = [replicate(record, t, shape, rng) for t in chosen]
    replicates.sort(key=lambda r: shape.metric.merit(r["score"]), reverse=True)
    paper = next(r for r in replicates if r["trial_id"] == "trial-000")
    record.note(replicates=replicates, winner={**replicates[0], "last_epoch": shape.epochs - 2}, paper=paper)
    tested(record, shape, rng)
    record.note(status="finished", seconds={"startup": 6.2, "search": 214.8, "replicate": 61.0, "test": 22.4})
    return record


def trial(i: int, shape: Shape, rng: np.random.Generator, status: str) -> dict[str, Any]:
    """A row of `trials`; trial 0 is the paper's point."""
    epochs = {"completed": shape.epochs, "pruned": max(1, shape.epochs // 4), "failed": 0}[status]
    point = asdict(PAPER) | ({name: drawn(domain, rng) for name, domain in shape.space.items()} if i else {})
    depth = point["freeze_depth"]
    reasons = {
        "completed": None,
        "pruned": f"below the best half at epoch {epochs}",
        "failed": "NotFinite: the training loss is nan in epoch 1",
    }
    return {
        "trial_id": f"trial-{i:03d}",
        "status": status,
        "reason": reasons[status],
        **point,
        **dict.fromkeys(COLUMNS),
        "epochs": epochs,
        "best_epoch": epochs or None,
        "train_seconds": 0.9 * epochs * (1 - depth / 8) if epochs else None,
        "total_seconds": epochs * 1.1 * (1 - depth / 8) + 0.2,
        "peak_memory_bytes": int(9e8 - 5e7 * depth),
        "bytes_read": 3072 * 4 * len(shape.classes) * shape.images_per_class,
        "parameters": PARAMETERS,
        "trained_parameters": int(PARAMETERS * TRAINED_SHARES[depth]),
        "trained_share": TRAINED_SHARES[depth],
        "precision": "fp32",
        "seed": 0,
    }


def drawn(domain: Domain, rng: np.random.Generator) -> Any:
    """A value of a range or one of some choices."""
    if "choices" in domain:
        return domain["choices"][int(rng.integers(len(domain["choices"])))]
    if isinstance(domain["low"], int) and not domain["log"]:
        return int(rng.integers(domain["low"], domain["high"] + 1))
    if domain["log"]:
        value = 10 ** rng.uniform(np.log10(domain["low"]), np.log10(domain["high"]))
        return round(value) if isinstance(domain["low"], int) else float(value)
    return float(rng.uniform(domain["low"], domain["high"]))


def best_of(curves: Sequence[Row], metric: Metric) -> dict[str, Any]:
    """What a run reached at its best epoch."""
    best = max(curves, key=lambda epoch: metric.merit(epoch[metric.column]))
    return {name: best[name] for name in COLUMNS}


def curve(
    run_id: str, phase: str, point: Row, epochs: int, seed: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Epochs of a run that learns best near a learning rate of 3e-3 with little frozen."""
    quality = np.exp(-((np.log10(point["lr"]) + 2.5) ** 2) / 14) * (1 - 0.05 * point["freeze_depth"])
    rows = []
    for epoch in range(1, epochs + 1):
        learned = quality * (1 - np.exp(-epoch * (0.25 + 0.4 * quality)))
        accuracy = float(np.clip(0.1 + 0.87 * learned + rng.normal(0, 0.006), 0, 1))
        loss = float(2.3 * (1 - 0.97 * learned) * np.exp(rng.normal(0, 0.02)))
        validation = {name: round(accuracy * (1 - 0.01 * i), 4) for i, name in enumerate(COLUMNS, start=1)}
        validation |= {"val_loss": loss * 1.1 + 0.03, "val_accuracy": round(accuracy, 4)}
        is_test = phase == "test"
        rows.append(
            {
                "run_id": run_id,
                "phase": phase,
                "seed": seed,
                "epoch": epoch,
                "train_loss": loss,
                **{name: float("nan") if is_test else value for name, value in validation.items()},
                "lr": point["lr"] * (1 - (epoch - 1) / epochs),
                "train_seconds": 0.9,
                "seconds": 1.1,
            }
        )
    return rows


def replicate(record: Record, row: Row, shape: Shape, rng: np.random.Generator) -> dict[str, Any]:
    """Adds a trial's replicates and returns its entry of `replicates`."""
    reached = []
    seeds = list(range(1, shape.seeds + 1))
    for seed in seeds:
        run_id = f"{row['trial_id'].replace('trial', 'replicate')}-seed{seed}"
        curves = curve(run_id, "replicate", row, shape.epochs, seed, rng)
        reached.append(best_of(curves, shape.metric))
        run = {**row, **reached[-1], "run_id": run_id, "phase": "replicate", "seed": seed}
        record.add(runs=[run], curves=curves)
    values = {name: [one[name] for one in reached] for name in ("val_accuracy", shape.metric.column)}
    return {
        **{name: row[name] for name in ("trial_id", *DECLARED, "trained_share")},
        "seeds": seeds,
        "val_accuracies": values["val_accuracy"],
        "val_accuracy": float(np.mean(values["val_accuracy"])),
        "scores": values[shape.metric.column],
        "score": float(np.mean(values[shape.metric.column])),
    }


def tested(record: Record, shape: Shape, rng: np.random.Generator) -> None:
    """Adds the winner's test runs, their predictions, samples and scores."""
    winner = next(t for t in record.trials if t["trial_id"] == record.winner["trial_id"])
    classes, n = len(shape.classes), len(shape.classes) * shape.images_per_class
    label = np.repeat(np.arange(classes), shape.images_per_class)
    hard = rng.choice(n, int(n * shape.hard), replace=False)  # the same images are hard under every seed
    predictions = []
    for seed in range(shape.seeds):
        predicted = label.copy()
        wrong = hard[rng.random(len(hard)) < 0.5]
        predicted[wrong] = (label[wrong] + rng.choice([1, 5, 7], len(wrong), p=[0.6, 0.25, 0.15])) % classes
        confidence = np.clip(rng.beta(9, 1, n) - 0.35 * np.isin(np.arange(n), hard), 0.2, 1)
        predictions.append(predicted)
        rows = [
            {"seed": seed, "index": 1000 + i, "label": int(a), "predicted": int(b), "confidence": float(c)}
            for i, (a, b, c) in enumerate(zip(label, predicted, confidence, strict=True))
        ]
        run_id = f"test-seed{seed}"
        accuracy = float((label == predicted).mean())
        run = {
            **winner,
            "run_id": run_id,
            "phase": "test",
            "seed": seed,
            **dict.fromkeys(COLUMNS),
            "test_accuracy": accuracy,
        }
        record.add(runs=[run], curves=curve(run_id, "test", winner, shape.epochs - 2, seed, rng), predictions=rows)
        if seed == 0:
            record.add(samples=samples(rows, shape.samples))
    pairs = statistics.confused(np.tile(label, len(predictions)), np.concatenate(predictions))
    columns = ("label", "predicted", "count")
    record.replace_table("confusion", [dict(zip(columns, pair, strict=True)) for pair in pairs.tolist()])
    record.note(test=scores(label, np.stack(predictions), shape.classes))


def samples(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Wrong ones first, then right ones, with images of handwritten digits."""
    digits = load_digits()
    images = {d: digits.images[digits.target == d] for d in range(10)}
    wrong = [row for row in rows if row["label"] != row["predicted"]]
    right = [row for row in rows if row["label"] == row["predicted"]][:: max(1, len(rows) // most)]
    chosen = [*wrong, *right][:most]
    return [{**row, "png": png(images[row["label"] % 10][i % 100])} for i, row in enumerate(chosen)]


def png(image: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray((image * 255 / 16).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def scores(label: np.ndarray, predictions: np.ndarray, classes: Iterable[str]) -> dict[str, Any]:
    """The entry `test`, computed as a study does."""
    names = tuple(classes)
    by_seed: list[dict[str, Any]] = [dict(statistics.scores(label, p, names)) for p in predictions]
    pairs = statistics.confused(np.tile(label, len(predictions)), np.concatenate(list(predictions)))
    mean = {k: float(np.mean([s[k] for s in by_seed])) for k in ("accuracy", "macro_f1", "mean_class_accuracy")}
    keys = ("precision", "recall", "f1-score", "support")
    return {
        "n": len(label),
        "seeds": list(range(len(predictions))),
        "accuracies": [s["accuracy"] for s in by_seed],
        **mean,
        "interval": list(statistics.accuracy_interval(predictions == label)),
        "per_class": [
            {"class": name, **{k: float(np.mean([s["per_class"][i][k] for s in by_seed])) for k in keys}}
            for i, name in enumerate(names)
        ],
        "most_confused": [[names[i], names[j], n] for i, j, n in statistics.most_confused(pairs, 10)],
    }


def as_format_1(record: Record) -> Record:
    """The same study as a version wrote it that declared three hyperparameters and knew accuracy alone."""
    new = {*DECLARED} - {*THREE}
    content = record.study.content() | {"format": 1}
    content["study"] = {name: value for name, value in content["study"].items() if name != "metric"}
    for name in ("winner", "paper"):
        content[name] = {k: v for k, v in content[name].items() if k not in {*new, "score", "scores"}}
    content["replicates"] = [
        {k: v for k, v in row.items() if k not in {*new, "score", "scores"}} for row in content["replicates"]
    ]
    (record.folder / "study.json").write_text(json.dumps(content))
    (record.folder / "record.journal").unlink()
    for name in ("trials", "runs", "curves"):
        path = record.folder / f"{name}.parquet"
        table = pq.read_table(path)
        pq.write_table(table.drop_columns([n for n in table.column_names if n in {*new, *COLUMNS[1:3]}]), path)
    return Record(record.folder)
