"""What W&B costs a study of 32 trials with 10 epochs: seconds in the driver's calls, and until all is written.

    python -m benchmarks.tracking

Expected, on two cores that do other work too: 1 to 2 ms in all 384 calls of the driver (0.1 ms when disabled), and
1 to 4 s in the background, half of them the import of the client.
"""

import tempfile
from pathlib import Path
from time import perf_counter

from study import tracking
from study.design.states import Phase, RunStatus

GOAL = "logging does not hold up a trial"

TRIALS = 32
EPOCHS = 10


def calls(tracker: tracking.Tracker) -> list[float]:
    """Seconds in each call of a study, `close` left out."""
    seconds = []
    config = {"lr": 1e-3, "weight_decay": 1e-2, "freeze_depth": 3, "model": "resnet", "dataset": "digits"}
    row = {"train_loss": 0.5, "val_loss": 0.6, "val_accuracy": 0.8, "lr": 1e-3, "seconds": 1.5}
    for trial in range(TRIALS):
        run_id = f"trial-{trial:03d}"
        started = perf_counter()
        tracker.begin(run_id, Phase.SEARCH, config)
        seconds.append(perf_counter() - started)
        for epoch in range(1, EPOCHS + 1):
            started = perf_counter()
            tracker.log(run_id, {"epoch": epoch, **row})
            seconds.append(perf_counter() - started)
        started = perf_counter()
        tracker.finish(run_id, {"val_accuracy": 0.8}, RunStatus.COMPLETED)
        seconds.append(perf_counter() - started)
    return seconds


def main() -> None:
    print(f"{TRIALS} trials of {EPOCHS} epochs, seconds")
    print(f"{'':<20}{'start':>10}{'all calls':>12}{'slowest':>10}{'drained':>10}")
    # The second study finds the client imported.
    shares = []
    for title, mode in (("disabled", "disabled"), ("offline", "offline"), ("offline, warm", "offline")):
        with tempfile.TemporaryDirectory() as folder:
            started = perf_counter()
            tracker = tracking.start(mode, Path(folder), "benchmark")
            ready = perf_counter()
            seconds = calls(tracker)
            tracker.close(600)
            drained = perf_counter() - started
        total = sum(seconds)
        print(f"{title:<20}{ready - started:>10.4f}{total:>12.4f}{max(seconds):>10.4f}{drained:>10.2f}")
        shares.append(total / drained)
    print(f"The driver's share of the time that W&B takes offline: {shares[1]:.2%}")


if __name__ == "__main__":
    main()
