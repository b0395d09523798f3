"""What a result costs the driver in a study of 2,000 trials: beside a small study, and beside tables at every result.

    python -m benchmarks.record

Trials of 10 epochs that cost nothing, added to a record on this disk as the search adds them. Seconds a result are
those of all results, the tables that are written in between and at the end included.
"""

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from study.results.record import Record
from trainables.hyperparameters import DECLARED
from trainables.metrics import COLUMNS

GOAL = "at most 1.3 x of a result among 100; at least 5 x less than with tables at every result"

FEW, MANY, ROUNDS, EPOCHS = 100, 2000, 3, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=MANY)
    many = parser.parse_args().many
    growth, gains = [], []
    for turn in range(ROUNDS):
        few, lots, every = pace(FEW), pace(many), pace(many, tables_at_every_result=True)
        growth.append(lots / few)
        gains.append(every / lots)
        print(
            f"round {turn + 1}: a result of {FEW} {few * 1000:.2f} ms, of {many} {lots * 1000:.2f} ms, "
            f"with tables at every result {every * 1000:.2f} ms",
            flush=True,
        )
    print(
        f"median of {ROUNDS}: a result of {many} takes {median(growth):.2f} x that of one of {FEW}, "
        f"{median(gains):.1f} x less than with tables at every result"
    )


def pace(trials: int, *, tables_at_every_result: bool = False) -> float:
    """Seconds a result."""
    with TemporaryDirectory(dir=".") as folder:
        record = Record(Path(folder))
        start = perf_counter()
        for number in range(trials):
            add(record, number)
            if tables_at_every_result:
                record.write_tables()
        record.write_tables()
        return (perf_counter() - start) / trials


def add(record: Record, number: int) -> None:
    name = f"trial-{number:03d}"
    point = {name: one.default for name, one in DECLARED.items() if not one.required} | {"lr": 1e-3, "freeze_depth": 2}
    reached = dict.fromkeys(COLUMNS, number / 3000)
    curve = [
        {"run_id": name, "phase": "search", "seed": 0, "epoch": epoch, "train_loss": 1 / epoch, "lr": 1e-3, **reached}
        for epoch in range(1, EPOCHS + 1)
    ]
    row = {"trial_id": name, "status": "completed", **point, **reached, "epochs": EPOCHS, "seed": 0}
    record.add(trials=[row], curves=curve)


if __name__ == "__main__":
    main()
