"""Pretrains the mini variants on Fashion-MNIST: the weights that ship in `trainables/weights`, made again.

    python -m study.pretrain                         # all four models, 6,000 and 60,000 images
    python -m study.pretrain --model vit --images 6000

Trains on Fashion-MNIST's training images (or a stratified 6,000 of them) at full depth from random weights with
the training loop of the studies, and scores once on its 10,000 test images. Both amounts of data get the same
number of steps. Expect 0.82 to 0.88 from 6,000 images and 0.88 to 0.92 from 60,000: the table beside the weights
says which reached what. It takes an hour or two on two cores.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from study.cluster import connection
from study.data import named
from study.data.reading import prepare
from study.data.source import ExampleSource
from study.data.splits import DatasetSplits, stratified
from study.terminal.progress import fail
from trainables import architecture, building, weights, world
from trainables.architecture import Architecture, Variant
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch, fit, predict
from trainables.precision import Precision
from trainables.reader import load_in_memory
from trainables.recipe import Recipe

EPOCHS_OF_60K = 8
HYPERPARAMETERS = Hyperparameters(
    lr=1e-3, weight_decay=5e-2, freeze_depth=0, batch_size=128, warmup=0.05, label_smoothing=0.1
)
AMOUNTS = {6_000: "fashion6k", 60_000: "fashion60k"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=architecture.names(), action="append", help="default: all of them")
    parser.add_argument("--images", type=int, choices=AMOUNTS, action="append", help="default: both")
    parser.add_argument("--out", type=Path, default=weights.PACKAGED, help="folder of the weights")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    connection.quieten()
    try:
        source = named.load("fashion_mnist")
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as mistake:
        return fail(str(mistake))
    with connection.connected():
        for name in options.model or architecture.names():
            for images in options.images or AMOUNTS:
                pretrain(architecture.get(name), source, images, options.out, options.seed)
    table(options.out)
    return 0


def pretrain(family: Architecture, source: ExampleSource, images: int, out: Path, seed: int) -> None:
    """Writes the weights of one variant (half-precision parameters, to be small) and a row of their table."""
    variant = family.variant("mini", AMOUNTS[images])
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
    device = world.device()
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
    save_file(small, path)
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
    path.with_suffix(".json").write_text(json.dumps(row, indent=1) + "\n")
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
    (out / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
