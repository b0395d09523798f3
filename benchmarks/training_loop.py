"""Images a second of a fully fine-tuned trial beside a bare PyTorch loop over tensors in memory.

    python -m benchmarks.training_loop

The mini CoAtNet and ResNet on one thread in fp32, an epoch of all digits in batches of 64, in turns. The bare loop is
forward, cross-entropy, backward, clipping, fused AdamW and a schedule's step, as one would write it by hand; ours is
trainables.loop.fit without validation. Ray's part of a trial is in benchmarks.orchestration.
"""

import argparse
from dataclasses import replace
from statistics import median
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

from study.data import named
from study.data.resizing import resized
from study.design.recipes import RECIPES
from trainables import architecture, building
from trainables.architecture import MINI_INPUT
from trainables.batches import CachedSplit
from trainables.loop import fit
from trainables.precision import Precision
from trainables.stages import StagedModel

GOAL = "at least 0.95 of a bare loop"

ROUNDS, EPOCHS, BATCH = 5, 1, 64
POINT = RECIPES["fair"].point(lr=1e-3, weight_decay=1e-2, freeze_depth=0, batch_size=BATCH)
FP32 = Precision("fp32", torch.device("cpu"))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    split = digits()
    for name in ("coatnet", "resnet"):
        pairs = [(ours(name, split), bare(name, split)) for _ in range(ROUNDS)]
        mine, theirs = (len(split) * EPOCHS / median(side) for side in zip(*pairs, strict=True))
        ratio = median(hand / loop for loop, hand in pairs)
        print(f"{name}: ours {mine:.0f} images/s, bare loop {theirs:.0f}: {ratio:.2f} of it", flush=True)


def digits() -> CachedSplit:
    from sklearn.datasets import load_digits

    labels = named.load("digits").labels
    pixels = load_digits().images * (255 / 16)
    images = torch.stack([torch.from_numpy(resized(image.round().astype("uint8"), MINI_INPUT)) for image in pixels])
    return CachedSplit(images.permute(0, 3, 1, 2), torch.from_numpy(labels), torch.arange(len(labels)).numpy())


def ours(name: str, split: CachedSplit) -> float:
    recipe = replace(RECIPES["fair"], epochs=EPOCHS)
    model = untrained(name)
    start = perf_counter()
    fit(model, split, None, hyperparameters=POINT, recipe=recipe, precision=FP32, seed=0, report=lambda epoch: None)
    return perf_counter() - start


def bare(name: str, split: CachedSplit) -> float:
    model = untrained(name).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
    steps = EPOCHS * (len(split) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = perf_counter()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(split)).tensor_split(len(split) // BATCH + 1):
            loss = cross_entropy(model(split.images[rows]), split.labels[rows], label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return perf_counter() - start


def untrained(name: str) -> StagedModel:
    torch.manual_seed(0)
    family = architecture.get(name)
    return building.assemble(family, family.variant("mini", "none"), 10).to(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
