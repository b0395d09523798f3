"""Images that are too many for memory, or for the store: what filling, opening and streaming take, memory included.

    python -m benchmarks.large_data                     # 4,000 photographs: 0.6 GB of boundary 0
    python -m benchmarks.large_data --images 20000      # 3 GB

Photographs of 500 x 375 px as in `benchmarks.jpeg`, at 224 px; and an index of as many names as ImageNet has images,
with hashes that are made up, for nobody has the files here. Memory is the most that the process of the trial held as
its own (it fills the store, or takes the batches), over what it held before; the kernel may take back what it has
mapped of a file.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import torch

from benchmarks._photographs import photographs
from benchmarks._searching import ray_with_a_store
from study.data import files, resolve, scan
from study.data.image_index import Files, ImageIndex
from study.data.reading import datasets_of_study
from study.data.source import DatasetRequest, ExampleSource
from study.data.splits import DatasetSplits, split
from trainables.architecture import HALF, Preprocessing
from trainables.augmentation import NONE
from trainables.boundaries import VERIFIED, Store, damage
from trainables.decoded import facts_of_images, image_bytes, iter_image_batches, open_or_cache
from trainables.splits import ImagesKey
from trainables.streaming import Streamed, UnstoredSplit
from trainables.world import World

GOAL = "memory that does not grow with the number of images"
BATCH = 64
PREPROCESSING = Preprocessing(224, *HALF, crop=0.875)
IMAGENET = 1_281_167
MB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4_000)
    images = parser.parse_args().images
    print(f"{'':34} {'seconds':>8} {'images/s':>9} {'MB/s':>7} {'memory MB':>10}")
    with measured("index of ImageNet's size", IMAGENET):
        split(index(IMAGENET)).digests()
    with tempfile.TemporaryDirectory(prefix="bench-large-") as folder, ray_with_a_store():
        photographs(Path(folder), width=500, height=375, distinct=200, images=images)
        source = resolve.load(folder, DatasetRequest(duplicates="keep"))
        rows = np.arange(images)
        splits = DatasetSplits(source, rows, rows[:0], rows[:0])
        train, digest = datasets_of_study(splits, PREPROCESSING, margin=False)[ImagesKey("train")], splits.digests()
        size, store = image_bytes(PREPROCESSING), Store.here()
        for _ in iter_image_batches(train):  # Ray's processes have started
            break
        with measured("fill the store", images, size):
            entry = open_or_cache(store, digest["train"], PREPROCESSING, lambda: train)
        assert entry
        with measured("open, found right before", images):
            again = Store(store.folder, store.limit).open(facts_of_images(digest["train"], PREPROCESSING))
        assert again
        (entry.path / VERIFIED).unlink()
        with measured("verify, once a node and boot", images, size):
            assert damage(entry.path) is None
        order = torch.randperm(images)
        with measured("an epoch from the store", images, size):
            for some in order.split(BATCH):
                entry.split.batch(some)
        with measured("an epoch streamed, same order", images, size):
            stream = Streamed(UnstoredSplit.of(train), NONE, seed=0, epochs=1)
            seen = sum(len(labels) for _, labels in stream.shuffled(BATCH, torch.Generator(), World()))
        assert seen == images


@contextmanager
def measured(what: str, images: int, size: int = 0) -> Iterator[None]:
    before, most, over = own(), [0], Event()

    def watch() -> None:
        while not over.wait(0.02):
            most.append(own())

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    start = perf_counter()
    yield
    seconds = perf_counter() - start
    over.set()
    watcher.join()
    speed = f"{images * size / seconds / MB:7,.0f}" if size else f"{'':7}"
    print(
        f"{what:34} {seconds:8.2f} {images / seconds:9,.0f} {speed} {max(0, max(most) - before) / MB:10,.0f}",
        flush=True,
    )


def own() -> int:
    """Bytes of memory that belong to this process alone."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in status if line.startswith("RssAnon:")).split()[1])


def index(images: int) -> ExampleSource:
    """A dataset of a thousand classes, as its scan would have it."""
    labels = np.sort(np.arange(images) % 1000)
    paths = pa.array([f"n{label:08}/n{label:08}_{i}.JPEG" for i, label in enumerate(labels)], pa.large_string())
    count = {"bytes": 110_000, "width": 500, "height": 375, "frames": 1}
    columns = {name: np.full(images, value) for name, value in count.items()}
    words = {"format": "JPEG", "mode": "RGB", "rotated": False, "problem": None}
    columns |= {name: pa.array([value] * images) for name, value in words.items()}
    columns["hash"] = pa.array([sha256(str(i).encode()).hexdigest() for i in range(images)])
    table = pa.table({name: pa.array(columns[name]).cast(scan.SCHEMA.field(name).type) for name in scan.SCHEMA.names})
    names = tuple(f"n{i:08}" for i in range(1000))
    described = ImageIndex("imagenet", Files(pafs.LocalFileSystem(), "/nowhere", paths, "0"), labels, names)
    with patch.object(files, "scan", lambda images, name: table):
        return files.source_of(described, DatasetRequest())


if __name__ == "__main__":
    main()
