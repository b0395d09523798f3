"""The scan of a dataset beside a plain loop that decodes every image: what it finds out must cost next to nothing.

    python -m benchmarks.scan
    python -m benchmarks.scan --images 100000      # the same photographs, under more names

The plain loop reads each file and decodes it, on as many threads, with the decoder that a study uses. The scan also
hashes, measures the pixels and keeps a tiny picture of each. Both are run in turn, and the median ratio is the result.
The files lie in the page cache by then: a disk would hide what the scan costs.
"""

import argparse
import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow.fs as pafs

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


def plain(index: ImageIndex) -> float:
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
    ratios = []
    with tempfile.TemporaryDirectory() as place:
        index = index_of(Path(place) / "images", options.images)
        plain(index)
        for turn in range(options.rounds):
            loop, ours = plain(index), scanned(index)
            ratios.append(ours / loop)
            each = options.images / loop, options.images / ours
            print(
                f"round {turn + 1}: plain loop {each[0]:,.0f} images/s, scan {each[1]:,.0f}, {ratios[-1]:.2f}",
                flush=True,
            )
    ratio = statistics.median(ratios)
    print(f"{options.images:,} JPEGs of {WIDTH} x {HEIGHT}: the scan takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
