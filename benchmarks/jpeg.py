"""Images a second from JPEG files to batches of 224 px on the device, against torch's DataLoader on the same cores.

    python -m benchmarks.jpeg

4,800 photographs of 500 x 375 px (drawn here: noise that compresses to about 60 kB). Ours is what fills
boundary 0: Ray Data decodes and resizes, the driver takes batches. The DataLoader is torchvision's documented pattern,
ImageFolder and transforms v2, with a worker a core and workers that stay; both hand on uint8, both count a whole pass
after one that nobody times. The last line is every later epoch of ours: it reads boundary 0.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks._photographs import photographs
from benchmarks._searching import ray_with_a_store
from study.data import resolve
from study.data.reading import prepare
from study.data.source import DatasetRequest
from study.data.splits import DatasetSplits
from trainables.architecture import HALF, Preprocessing
from trainables.boundaries import Store
from trainables.decoded import iter_image_batches, open_or_cache

GOAL = "at least 1.3 x a DataLoader with torchvision v2"
IMAGES, BATCH, ROUNDS = 4_800, 64, 5
PREPROCESSING = Preprocessing(224, *HALF, crop=0.875)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="bench-jpeg-") as folder, ray_with_a_store():
        photographs(Path(folder), width=500, height=375, distinct=200, images=IMAGES)
        source = resolve.load(folder, DatasetRequest())
        rows = np.arange(IMAGES)
        splits = DatasetSplits(source, rows, rows[:0], rows[:0])
        loader = documented(folder)
        ours_of_all(splits), theirs_of_all(loader)
        pairs = []
        for turn in range(ROUNDS):
            ours, theirs = ours_of_all(splits), theirs_of_all(loader)
            pairs.append((ours, theirs))
            print(
                f"round {turn + 1}: ours {ours:.0f} images/s, DataLoader {theirs:.0f}, {ours / theirs:.2f} x",
                flush=True,
            )
        ours, theirs = (median(side) for side in zip(*pairs, strict=True))
        ratio = median(ours / theirs for ours, theirs in pairs)
        print(f"median of {ROUNDS}: ours {ours:.0f} images/s, DataLoader {theirs:.0f} images/s, {ratio:.2f} x")
        print(f"every later epoch, from boundary 0: {later(splits):,.0f} images/s")


def batches(splits: DatasetSplits) -> Iterator[torch.Tensor]:
    """What Ray Data brings, in batches."""
    kept: list[torch.Tensor] = []
    for _, _, _, pixels in iter_image_batches(prepare(splits, PREPROCESSING, ("train",))["train"]):
        kept.append(pixels)
        if sum(map(len, kept)) >= BATCH:
            *whole, rest = torch.cat(kept).split(BATCH)
            yield from whole
            kept = [rest]
    yield from kept


def ours_of_all(splits: DatasetSplits) -> float:
    return pace(batches(splits))


def documented(folder: str) -> DataLoader:
    transform = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
    return DataLoader(ImageFolder(folder, transform), BATCH, num_workers=os.cpu_count() or 1, persistent_workers=True)


def theirs_of_all(loader: DataLoader) -> float:
    return pace(images for images, _ in loader)


def pace(batches: Iterator[torch.Tensor]) -> float:
    """Images a second."""
    start = perf_counter()
    images = sum(len(batch) for batch in batches)
    assert images == IMAGES
    return images / (perf_counter() - start)


def later(splits: DatasetSplits) -> float:
    entry = open_or_cache(
        Store.here(),
        splits.digests()["train"],
        PREPROCESSING,
        lambda: prepare(splits, PREPROCESSING, ("train",))["train"],
    )
    assert entry
    rows = torch.randperm(IMAGES)
    return max(pace(entry.split.images_at(some) for some in rows.split(BATCH)) for _ in range(ROUNDS))


if __name__ == "__main__":
    main()
