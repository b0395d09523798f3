"""Pretrains mini variants on Fashion-MNIST, for the weights in `trainables/weights`: what `study.pretrain` does."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from study.data.reading import prepare
from study.data.source import ExampleSource
from study.data.splits import DatasetSplits, stratified
from study.files import replacing, write_json, write_text
from trainables import building, process
from trainables.architecture import Architecture, Variant
from trainables.decoded import load_in_memory
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch, fit, predict
from trainables.precision import Precision
from trainables.recipe import Recipe

EPOCHS_OF_60K = 8
HYPERPARAMETERS = Hyperparameters(
    lr=1e-3, weight_decay=5e-2, freeze_depth=0, batch_size=128, warmup=0.05, label_smoothing=0.1
)


def pretrain(family: Architecture, variant: Variant, source: ExampleSource, images: int, out: Path, seed: int) -> None:
    """Writes the weights of a variant, in half precision to be small, and a row of their table.

    Args:
        source: Fashion-MNIST, with its test images.
        images: how many of the training images to train on.
        out: the folder of the weights.
        seed: of the choice of images, the weights that it starts from and the order of the batches.
    """
    assert source.test_rows is not None
    train_rows = np.setdiff1d(np.arange(len(source.labels)), source.test_rows)
    if images < len(train_rows):
        _, train_rows = stratified(source, train_rows, images / len(train_rows), seed)
    splits = DatasetSplits(source, train_rows, train_rows[:0], source.test_rows)
    prepared = prepare(splits, variant.preprocessing, ("train", "test"))
    train, test = load_in_memory(prepared["train"]), load_in_memory(prepared["test"])

    recipe = Recipe("pretrain", epochs=EPOCHS_OF_60K * 60_000 // images)
    torch.manual_seed(seed)
    model = building.assemble(family, variant, len(source.classes)).to(memory_format=torch.channels_last)
    device = process.device()
    fit(
        model.to(device),
        train.to(device),
        None,
        hyperparameters=HYPERPARAMETERS,
        recipe=recipe,
        precision=Precision("fp32", device),
        seed=seed,
        report=lambda epoch: progress(variant, recipe, epoch),
    )
    path = out / f"{variant.name}.safetensors"
    small = {
        name: t.half() if t.is_floating_point() and t.ndim else t for name, t in model.library_state_dict().items()
    }
    with replacing(path) as part:
        save_file(small, part)
    model.load(load_file(path), head=True)
    seen = predict(model, test.to(device), Precision("fp32", device))
    row = {
        "file": path.name,
        "images": images,
        "parameters": model.parameter_counts()[0],
        "bytes": path.stat().st_size,
        "test_accuracy": round(seen.accuracy, 4),
        "command": f"python -m study.pretrain --model {family.name} --images {images} --seed {seed}",
    }
    write_json(path.with_suffix(".json"), row)
    print(f"{path.name}: {seen.accuracy:.4f} on {len(test):,} test images", flush=True)


def progress(variant: Variant, recipe: Recipe, epoch: Epoch) -> None:
    print(
        f"{variant.name}  epoch {epoch.epoch}/{recipe.epochs}  loss {epoch.train_loss:.3f}  {epoch.seconds:.0f} s",
        flush=True,
    )


def table(out: Path) -> None:
    """README.md beside the weights: what each reached, and the command."""
    rows = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    lines = [
        "# Weights of the mini scale",
        "",
        "Pretrained on Fashion-MNIST (Xiao et al. 2017, MIT licence) and scored once on its 10,000 test images, as",
        "the file is: parameters in half precision. `python -m study.pretrain` makes them again.",
        "",
        "| file | images | parameters | kB | test accuracy | command |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{r['file']}` | {r['images']:,} | {r['parameters']:,} | {r['bytes'] / 1000:.0f} "
            f"| {r['test_accuracy']:.4f} | `{r['command']}` |"
            for r in rows
        ),
    ]
    write_text(out / "README.md", "\n".join(lines) + "\n")
