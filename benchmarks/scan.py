"""The scan of a dataset beside a plain loop that decodes every image: what it finds out must cost next to nothing.

    python -m benchmarks.scan
    python -m benchmarks.scan --images 100000      # the same photographs, under more names

The plain loop reads each file and decodes it, on as many threads: with Pillow, as most people write it, and once more
with the decoder that a study uses. The scan also hashes, measures the pixels and keeps a tiny picture of each. All are
run in turn, and the median ratios are the result. The files lie in the page cache by then: a disk would hide what the
scan costs.
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

GOAL = "at most 1.1 times the plain loop"  # with Pillow
WIDTH, HEIGHT = 500, 375


def index_of(place: Path, images: int) -> ImageIndex:
    photographs(place, width=WIDTH, height=HEIGHT, distinct=100, images=images)
    return image_index("benchmark", pafs.LocalFileSystem(), str(place))


def with_pillow(data: bytes) -> None:
    Image.open(BytesIO(data)).convert("RGB")


def plain(index: ImageIndex, decode: Callable[[bytes], object]) -> float:
    def one(rows: np.ndarray) -> None:
        for data in index.images.read(rows):
            assert isinstance(data, bytes)
            decode(data)

    start = perf_counter()
    with libjpeg.unheard(), ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
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
    ratios: dict[str, list[float]] = {"Pillow": [], "the study's decoder": []}
    with tempfile.TemporaryDirectory() as place:
        index = index_of(Path(place) / "images", options.images)
        plain(index, decode)
        for turn in range(options.rounds):
            times = [plain(index, with_pillow), plain(index, decode)]
            ours = scanned(index)
            for loop, ratio in zip(times, ratios.values(), strict=True):
                ratio.append(ours / loop)
            each = [f"{options.images / seconds:,.0f}" for seconds in [*times, ours]]
            print(
                f"round {turn + 1}: images/s: Pillow {each[0]}, the study's decoder {each[1]}, scan {each[2]}",
                flush=True,
            )
    print(f"{options.images:,} JPEGs of {WIDTH} x {HEIGHT}, medians of {options.rounds} rounds:")
    for name, each_round in ratios.items():
        print(f"the scan takes {statistics.median(each_round):.2f} times as long as a loop with {name}")


if __name__ == "__main__":
    main()
