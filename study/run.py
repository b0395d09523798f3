"""One study: search, replicate, test, report.

    python -m study.run --model coatnet --trials 32

On two cores and scikit-learn's digits this takes some minutes and prints one screen: the winner, its test accuracy
with an interval, and the paper's recipe beside it. docs/protocol.md says why the order of the steps is what it is.
"""

import argparse
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from study.options import command_line, scale
from study.options.command_line import parser
from study.results import provenance
from study.terminal.mistake import INTERRUPTED, fail

if TYPE_CHECKING:
    from study.execution.session import Session

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a study from the command line; returns 0, 2 for a user's mistake, 130 when interrupted."""
    start = perf_counter()
    options = command_line.parse(arguments)
    try:
        return run(options, since=start)
    except ValueError as mistake:
        return fail(str(mistake))
    except KeyboardInterrupt:
        print("interrupted before the study began: nothing was written", file=sys.stderr)
        return INTERRUPTED


def run(options: argparse.Namespace, *, since: float) -> int:
    """The study that the options describe. Torch and Ray are imported after the options are found to be good.

    Raises ValueError for a mistake.
    """
    possible = command_line.studies(options)

    from study.cluster import connection

    if not all(map(command_line.is_finished, possible)):
        connection.start_while_importing("study.execution.session", verbose=options.verbose)

    from study.execution.session import Interrupted, NoCompletedRuns, Session
    from study.options import machine
    from study.terminal.summary import summary

    if not options.verbose:
        connection.quieten()
    name, why = scale.chosen(options.scale)
    study = command_line.configure(options, name)
    machine.check(study)
    session = Session.prepare(options, study)
    session.terminal.say(why)
    session.terminal.say(str(session.study.recipe))
    try:
        complete(session, provenance.command(options.words), since=since)
    except (Interrupted, KeyboardInterrupt):
        print(f"interrupted; go on with: {provenance.command(options.words, resume=True)}", file=sys.stderr)
        return INTERRUPTED
    except (NoCompletedRuns, OSError) as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    print(summary(session.record))
    return 0


def complete(session: "Session", command: str, *, since: float) -> None:
    """The steps of a study that its record lacks.

    Raises Interrupted; NoCompletedRuns; OSError where the record cannot be written.
    """
    from study.cluster import connection

    if session.finished:
        return
    with connection.connected(verbose=session.options.verbose), session.running():
        session.start(command, since=since)
        session.search()
        session.replicate()
        session.test()
        session.finish()


if __name__ == "__main__":
    sys.exit(main())
