"""A comparison: every row that exists, each a study of its own, into one folder; then who is better, and how surely.

    python -m study.compare --models alexnet resnet vit coatnet --pretraining in1k in21k --datasets cifar10 --trials 32
    python -m study.compare --from results/compare-cifar10 other/studies     # reads records, trains nothing

The same command again skips the rows that are done, and goes on with those that are not. docs/comparison.md says what
it checks and what it writes.
"""

import sys
from collections.abc import Sequence
from time import perf_counter

from study.cluster import connection

if __name__ == "__main__":
    begun = perf_counter()
    if not any(word in ("-h", "--help") or word.startswith("--from") for word in sys.argv):
        connection.start_while_importing("study.execution.session", verbose="--verbose" in sys.argv)

from study.baselines import probe
from study.comparison import compare, plan, tables
from study.comparison.summary import summary
from study.data_efficiency import measure
from study.design.study import Study
from study.execution.session import Interrupted, NoCompletedRuns, Session
from study.report import comparison as report
from study.results import provenance
from study.run import complete
from study.terminal import progress
from study.terminal.progress import Terminal


def main(arguments: Sequence[str] | None = None, *, since: float | None = None) -> int:
    """Runs a comparison from the command line.

    Returns 0; 1 where a row failed, or none is finished; 2 for a user's mistake; 130 when interrupted.
    """
    start = perf_counter() if since is None else since
    options = plan.parse(arguments)
    if not options.verbose:
        connection.quieten()
    command = provenance.command(arguments, module="study.compare")
    try:
        planned = plan.reading(options) if options.records else plan.running(options)
        failed = run_rows(planned, command, since=start)
    except ValueError as mistake:
        return progress.fail(str(mistake))
    except (Interrupted, KeyboardInterrupt):
        print(f"interrupted; go on with: {command}", file=sys.stderr)
        return 130
    needed = planned.data_efficiency(without=failed)
    status = measure.main(needed) if needed else 0
    if status == measure.INTERRUPTED:
        return status
    comparison = compare(planned.folders(without=failed), [*planned.left_out, *failed.items()])
    if comparison.rows:
        tables.write(comparison, planned.folder, command)
        report.write(comparison, planned.folder, command=command)
    print(summary(comparison, planned.folder))
    return 1 if failed or not comparison.rows else status


def run_rows(planned: plan.Plan, command: str, *, since: float) -> dict[str, str]:
    """Runs the rows that are not done, one after the other; returns those that failed, and why."""
    failed: dict[str, str] = {}
    missing = planned.missing()
    if not missing:
        return failed
    say = Terminal(quiet=planned.options.quiet)
    say.say(planned.why)
    with connection.connected(verbose=planned.options.verbose):
        for place, study in enumerate(missing):
            say.say(planned.progress(study, left=len(missing) - place))
            if reason := run_row(planned, study, command, since=perf_counter() if place else since):
                failed[study.name] = " ".join(reason.split())
                say.warn(f"{study.name} failed: {failed[study.name]}")
    return failed


def run_row(planned: plan.Plan, study: Study, command: str, *, since: float) -> str | None:
    """Runs a row, or goes on with it; returns why it failed."""
    try:
        session = Session.prepare(planned.options_of(study), study)
    except (ValueError, OSError) as reason:
        return str(reason)
    try:
        complete(session, command, since=since)
        probe.probe_study(session)
    except (NoCompletedRuns, OSError) as reason:
        return str(reason)
    return None


if __name__ == "__main__":
    sys.exit(main(since=begun))
