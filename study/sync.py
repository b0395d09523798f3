"""Uploads to W&B what a study, or a comparison, wrote to disk: while it runs or later, and as often as you like.

    python -m study.sync results/coatnet-in1k-digits

What W&B has already is not doubled. The record is not needed for it, and does not change.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from study import entry
from study.options import arguments
from study.options.parser import Parser
from study.results import bucket
from study.results.place import shown
from study.terminal.mistake import ended
from study.text import plural
from study.wandb_report.folders import folders_in

NO_KEY = (
    "uploading needs a key of W&B: run `wandb login`, or set WANDB_API_KEY, and let WANDB_MODE not keep you offline"
)


def parser() -> Parser:
    parser = Parser("study.sync", "DIR", "Upload the W&B runs that a study, or a comparison, wrote to disk.")
    parser.add_argument("folder", type=arguments.results, metavar="DIR", help="of a study, or of a comparison")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0; 1 where W&B did not take all; 2 for a user's mistake; 130 when interrupted."""
    options = parser().parse(given)

    def body() -> int:
        folders_in(options.folder)
        with bucket.mirrored(options.folder, lambda line: print(line, file=sys.stderr)):
            return run(options)

    return ended(body, interrupted="interrupted: the same command again uploads the rest")


def run(options: argparse.Namespace) -> int:
    """Raises ValueError for a mistake."""
    from study import tracking
    from study.tracking import upload

    folders = folders_in(options.folder)
    waiting = {folder: runs for folder in folders if (runs := upload.waiting(folder)) or upload.lacks_sweep(folder)}
    if not waiting:
        print(f"W&B lacks nothing of {shown(options.folder)}: {tracking.state_of(folders)}")
        return 0
    failed = 0
    try:
        with tracking.account(next(iter(waiting))) as entity:
            if entity is None:
                raise ValueError(NO_KEY)
            for folder in filter(upload.lacks_sweep, waiting):
                failed += not sweep_of(folder)
    except tracking.Unreachable as error:
        raise ValueError(f"W&B cannot be reached, so nothing was uploaded: {error}") from None
    for folder, runs in waiting.items():
        refused = upload.upload(folder, runs)
        failed += len(refused)
        print(f"{shown(folder)}: {plural(len(runs) - len(refused), 'run')} uploaded to {entity}", flush=True)
        if refused:
            names = ", ".join(run.parent.name for run in refused[:3])
            print(f"error: W&B did not take {plural(len(refused), 'run')}, as {names}: try again", file=sys.stderr)
    return 1 if failed else 0


def sweep_of(folder: Path) -> bool:
    """Has W&B make the sweep of a study's trials; returns whether it did."""
    from study.tracking import upload

    try:
        print(f"{shown(folder)}: its trials are sweep {upload.make_sweep(folder).path}", flush=True)
    except Exception as error:  # whatever the client raises
        why = " ".join(str(error).split())
        print(f"error: W&B did not make the sweep of {shown(folder)} ({why}): try again", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(entry.start(main))
