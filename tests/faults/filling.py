"""A process that wants a boundary: `python -m tests.faults.filling FOLDER PACE`, see `main`. Says what it got."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.contract.stored import data_of, fill, holds, rows_of, store_in
from trainables.boundaries import Chunk


def slowly(folder: Path, pace: str) -> Iterator[Chunk]:
    """The rows, leaving a file that says who computes them; `forever` stops half way and says so."""
    (folder / f"computed-{os.getpid()}").touch()
    for block, rows in enumerate(rows_of(data_of())):
        time.sleep(0.1)
        if block == 2 and pace == "forever":
            (folder / "half").touch()
            time.sleep(600)
        yield rows


def main(folder: Path, pace: str) -> None:
    (folder / f"ready-{os.getpid()}").touch()
    while pace == "together" and not (folder / "go").exists():
        time.sleep(0.005)
    store = store_in(folder)
    print(holds(fill(store, data_of(), rows=slowly(folder, pace)), data_of()), store.notes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
