"""The W&B report of a study, or of a comparison: its own answers and tables beside W&B's panels of the same runs.

    python -m study.wandb_report results/compare-digits             # saved in W&B where you are logged in
    python -m study.wandb_report results/compare-digits --publish   # the same, or one line that says why not

Where nobody is logged in, the report's specification is written to `wandb/report.json` in that folder, and the commands
that publish runs and report are printed. docs/wandb.md shows how it looks.
"""

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from study import entry
from study.files import write_text
from study.options import arguments
from study.options.parser import Parser
from study.results import bucket
from study.terminal.mistake import ended
from study.wandb_report.folders import folders_in

if TYPE_CHECKING:
    from study.wandb_report.blocks import Report
    from study.wandb_report.runs import Runs

MISSING = "the W&B report needs a package that is missing: pip install 'wandb-workspaces>=0.4.13,<0.5'"


def parser() -> Parser:
    parser = Parser(
        "study.wandb_report",
        "DIR [options]",
        "Build the W&B report of a study, or of a comparison, over the runs that were logged.",
    )
    parser.add_argument("folder", type=arguments.results, metavar="DIR", help="of a study, or of a comparison")
    parser.add_argument("--publish", action="store_true", help="save it in W&B, or fail")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Builds the report, from the command line.

    Returns 0; 1 where W&B does not take the report; 2 for a user's mistake; 130 when interrupted.
    """
    options = parser().parse(given)

    def body() -> int:
        folders_in(options.folder)
        with bucket.mirrored(options.folder, lambda line: print(line, file=sys.stderr)):
            return run(options)

    return ended(body)


def run(options: argparse.Namespace) -> int:
    """Raises ValueError for a mistake; OSError."""
    from study import tracking
    from study.wandb_report import published
    from study.wandb_report.runs import read

    runs = read(options.folder)
    blocks = imported()
    try:
        for name in runs.without:
            print(f"note: {name} has no W&B runs, so it has no panels", file=sys.stderr)
        with tracking.account(options.folder) as entity:
            if entity:
                return publish(runs, blocks.report(runs, entity=entity))
        if options.publish:
            raise ValueError("--publish needs a login: run `wandb login`, and let WANDB_MODE not keep you offline")
        return write(runs, blocks.specification(runs))
    except (tracking.Unreachable, published.Refused) as error:
        print(f"W&B: {error}", file=sys.stderr)
        return 1


def imported() -> ModuleType:
    try:
        from study.wandb_report import blocks
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "wandb_workspaces":
            raise
        raise ValueError(MISSING) from None
    return blocks


def publish(runs: "Runs", report: "Report") -> int:
    from study.wandb_report import published
    from study.wandb_report.runs import commands

    if any(study.tracked.waiting for study in runs.studies):
        print(
            f"note: W&B shows the runs that are on disk only after: {'; '.join(commands(runs)[:-1])}", file=sys.stderr
        )
    print(f"saved: {published.save(runs.folder, report)}")
    return 0


def write(runs: "Runs", specification: str) -> int:
    from study.wandb_report.runs import commands

    path = runs.folder / "wandb" / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, specification)
    print(f"not logged in to W&B: the report is specified in {path}; after `wandb login`, publish it with")
    print("\n".join(f"  {command}" for command in commands(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(entry.start(main))
