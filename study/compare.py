"""A comparison: every row that exists, each a study of its own, into one folder; then who is better, and how surely.

    python -m study.compare --models alexnet resnet vit coatnet --pretraining in1k in21k --datasets cifar10 --trials 32
    python -m study.compare --from results/compare-cifar10 other/studies     # reads records, trains nothing

The same command again skips the rows that are done, and goes on with those that are not. docs/comparison.md says what
it checks and what it writes.
"""

import sys
from collections.abc import Sequence
from time import perf_counter

from study.cluster import jobs
from study.design.study import Study
from study.options import comparison as command_line
from study.options import scale
from study.options.comparison import Plan, parser
from study.options.keywords import ComparisonKeywords
from study.result import ComparisonResult
from study.results import provenance
from study.terminal.mistake import INTERRUPTED, fail

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a comparison from the command line.

    Returns 0; 1 where a row failed, or none is finished; 2 for a user's mistake; 130 when interrupted.
    """
    start = perf_counter()
    options, words = command_line.parse(arguments)
    command = provenance.command(words, module="study.compare")
    try:
        result = compare(options, command, since=start)
    except ValueError as mistake:
        return fail(str(mistake))
    except KeyboardInterrupt:
        print(f"interrupted; go on with: {command}", file=sys.stderr)
        return INTERRUPTED
    print(result)
    return 1 if result.failed or not result.comparison.rows else result.data_efficiency


def compare(options: ComparisonKeywords, command: str, *, since: float) -> ComparisonResult:
    """The comparison that the options describe. Torch and Ray are imported after the options are found to be good.

    Raises ValueError for a mistake; KeyboardInterrupt.
    """
    planned = command_line.possible(options)

    if not options.records:
        from study.cluster import connection

        if any(plan.missing() for plan in planned):
            connection.start_while_importing("study.execution.running", verbose=options.verbose)
        planned = [command_line.running(options, *scale.chosen(options.scale))]
    (plan,) = planned
    failed = run_rows(plan, command, since=since) if plan.studies else {}
    measured = measure_data_efficiency(plan, failed)

    from study import comparison as records
    from study.comparison import tables
    from study.report import comparison as report

    comparison = records.compare(plan.folders(without=failed), [*plan.left_out, *failed.items()])
    if comparison.rows:
        tables.write(comparison, plan.folder, command)
        report.write(comparison, plan.folder, command=command)
    return ComparisonResult(plan.folder, comparison, failed, measured)


def run_rows(plan: Plan, command: str, *, since: float) -> dict[str, str]:
    """Runs the rows that are not done, one after the other; returns those that failed, and why.

    Raises ValueError for a mistake; KeyboardInterrupt.
    """
    from study.cluster import connection
    from study.options import machine
    from study.terminal.progress import Terminal

    failed: dict[str, str] = {}
    missing = plan.missing()
    if not missing:
        return failed
    for study in missing:
        machine.check(study)
    terminal = Terminal(quiet=plan.options.quiet)
    terminal.say(plan.why)
    if jobs.in_a_package():
        terminal.say(f"results in {plan.folder}: Ray deletes the folder that came with this job")
    with connection.connected(verbose=plan.options.verbose):
        for number, study in enumerate(missing):
            terminal.say(plan.progress(study, left=len(missing) - number))
            if reason := run_row(plan, study, command, since=perf_counter() if number else since):
                failed[study.name] = " ".join(reason.split())
                terminal.warn(f"{study.name} failed: {failed[study.name]}")
    return failed


def run_row(plan: Plan, study: Study, command: str, *, since: float) -> str | None:
    """Runs a row, or goes on with it; returns why it failed. Raises KeyboardInterrupt."""
    from study.baselines import probe
    from study.cluster import connection
    from study.cluster.allocation import NoPlace
    from study.execution.running import complete
    from study.execution.session import Interrupted, NoCompletedRuns, Session
    from trainables.memory import DoesNotFit

    if not plan.options.verbose:
        connection.quieten()
    try:
        session = Session.prepare(study, plan.execution)
    except (ValueError, OSError) as reason:
        return str(reason)
    try:
        complete(session, command, since=since)
        probe.probe_study(session)
    except Interrupted:
        raise KeyboardInterrupt from None
    except (NoPlace, NoCompletedRuns, DoesNotFit, OSError) as reason:
        return str(reason)
    return None


def measure_data_efficiency(plan: Plan, failed: dict[str, str]) -> int:
    """Measures that of every row where it was asked for; returns the exit code of `study.data_efficiency`.

    Raises KeyboardInterrupt.
    """
    wanted = plan.data_efficiency(without=failed)
    if not wanted:
        return 0
    from study.data_efficiency.__main__ import run

    try:
        return run(wanted)
    except ValueError as mistake:
        return fail(str(mistake))


if __name__ == "__main__":
    sys.exit(main())
