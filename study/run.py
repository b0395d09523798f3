"""One study: search, replicate, test, report.

    python -m study.run --model coatnet --trials 32

On two cores and scikit-learn's digits this takes some minutes and prints one screen: the winner, its test accuracy
with an interval, and the paper's recipe beside it. docs/protocol.md says why the order of the steps is what it is.
"""

import sys
from collections.abc import Sequence
from time import perf_counter

from study.cluster import connection
from study.options import command_line

if __name__ == "__main__":
    begun = perf_counter()
    if not {"-h", "--help"} & set(sys.argv):
        connection.start_while_importing("study.execution.session", verbose="--verbose" in sys.argv)

from study.execution.session import Interrupted, NoCompletedRuns, Session
from study.results import provenance
from study.terminal import progress
from study.terminal.summary import summary


def main(arguments: Sequence[str] | None = None, *, since: float | None = None) -> int:
    """Runs a study from the command line; returns 0, 2 for a user's mistake, 130 when interrupted."""
    start = perf_counter() if since is None else since
    options = command_line.parse(arguments)
    if not options.verbose:
        connection.quieten()
    try:
        scale, why = command_line.chosen_scale(options.scale)
        session = Session.prepare(options, command_line.configure(options, scale))
    except ValueError as mistake:
        return progress.fail(str(mistake))
    except KeyboardInterrupt:
        print("interrupted before the study began: nothing was written", file=sys.stderr)
        return 130
    session.terminal.say(why)
    session.terminal.say(str(session.study.recipe))
    try:
        complete(session, provenance.command(arguments), since=start)
    except (Interrupted, KeyboardInterrupt):
        print(f"interrupted; go on with: {provenance.command(arguments, resume=True)}", file=sys.stderr)
        return 130
    except (NoCompletedRuns, OSError) as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    print(summary(session.record))
    return 0


def complete(session: Session, command: str, *, since: float) -> None:
    """The steps of a study that its record lacks.

    Raises Interrupted; Fruitless; OSError where the record cannot be written.
    """
    if session.finished:
        return
    with connection.connected(verbose=session.options.verbose), session.running():
        session.start(command, since=since)
        session.search()
        session.replicate()
        session.test()
        session.finish()


if __name__ == "__main__":
    sys.exit(main(since=begun))
