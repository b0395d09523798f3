"""The scan of a dataset beside a plain loop that decodes every image: what it finds out must cost next to nothing.

    python -m benchmarks.scan
    python -m benchmarks.scan --images 100000      # the same photographs, under more names

The plain loop reads each file and decodes it: with Pillow, one after the other, as most people write it; on as many
threads as the scan; and there once more with the decoder that a study uses. The scan also hashes, measures the pixels
and keeps a tiny picture of each. All are run in turn, and the median ratios are the result. The files lie in the page
cache by then: a disk would hide what the scan costs.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow.fs as pafs
from PIL import Image

from benchmarks._photographs import photographs
from study.data import libjpeg, scan
from study.data.decoding import decode
from study.data.folder import image_index
from study.data.image_index import ImageIndex

GOAL = "at most 1.1 times the plain loop"
WIDTH, HEIGHT = 500, 375


def index_of(place: Path, images: int) -> ImageIndex:
    photographs(place, width=WIDTH, height=HEIGHT, distinct=100, images=images)
    return image_index("benchmark", pafs.LocalFileSystem(), str(place))


def with_pillow(data: bytes) -> None:
    Image.open(BytesIO(data)).convert("RGB")


def plain(index: ImageIndex, decode: Callable[[bytes], object], threads: int) -> float:
    def one(rows: np.ndarray) -> None:
        for data in index.images.read(rows):
            assert isinstance(data, bytes)
            decode(data)

    start = perf_counter()
    with libjpeg.unheard(), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, index.images.chunks()):
            pass
    return perf_counter() - start


def scanned(index: ImageIndex) -> float:
    start = perf_counter()
    for _ in scan.scan_images(index.images, index.name):
        pass
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = min(16, 2 * (os.cpu_count() or 1))  # as many as the scan has
    loops: dict[str, tuple[Callable[[bytes], object], int]] = {
        "a plain loop with Pillow": (with_pillow, 1),
        f"Pillow on {threads} threads": (with_pillow, threads),
        f"the study's decoder on {threads} threads": (decode, threads),
    }
    ratios: dict[str, list[float]] = {name: [] for name in loops}
    with tempfile.TemporaryDirectory() as place:
        index = index_of(Path(place) / "images", options.images)
        plain(index, decode, threads)
        for turn in range(options.rounds):
            times = {name: plain(index, *loop) for name, loop in loops.items()}
            ours = scanned(index)
            for name, seconds in times.items():
                ratios[name].append(ours / seconds)
            each = [f"{name} {options.images / seconds:,.0f}" for name, seconds in {**times, "the scan": ours}.items()]
            print(f"round {turn + 1}: images/s: {', '.join(each)}", flush=True)
    print(f"{options.images:,} JPEGs of {WIDTH} x {HEIGHT}, medians of {options.rounds} rounds:")
    for name, each_round in ratios.items():
        print(f"the scan takes {statistics.median(each_round):.2f} times as long as {name}")


if __name__ == "__main__":
    main()
