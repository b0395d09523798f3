"""A comparison: every row that exists, each a study of its own, into one folder; then who is better, and how surely.

    python -m study.compare --models alexnet resnet vit coatnet --pretraining in1k in21k --datasets cifar10 --trials 32
    python -m study.compare --from results/compare-cifar10 other/studies     # reads records, trains nothing

The same command again skips the rows that are done, and goes on with those that are not. docs/comparison.md says what
it checks and what it writes.
"""

import sys
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from study import entry
from study.options import comparison as command_line
from study.options import scale
from study.options.comparison import Plan, parser
from study.options.keywords import ComparisonKeywords
from study.result import ComparisonResult
from study.results import bucket, lock, provenance
from study.rows.running import run_rows
from study.terminal.mistake import ended, fail
from study.terminal.opening import opened
from study.terminal.supervisor import tell

if TYPE_CHECKING:
    from study.comparison.registration import Registration
    from study.terminal.progress import Terminal

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a comparison from the command line.

    Returns 0; 1 where a row failed, or none is finished; 2 for a user's mistake; 130 when interrupted.
    """
    start = perf_counter()
    options, words = command_line.parse(arguments)
    command = provenance.command(words, module="study.compare")
    tell(again=command, retries=options.retries_of_ray)

    def body() -> int:
        result = compare(options, command, since=start)
        print(result)
        return 1 if result.failed or not result.comparison.rows else result.data_efficiency

    return ended(body, again=command)


def compare(options: ComparisonKeywords, command: str, *, since: float) -> ComparisonResult:
    """The comparison that the options describe. Torch and Ray are imported after the options are found to be good.

    Raises ValueError for a mistake; OSError where the bucket that its folder is in does not take it; KeyboardInterrupt.
    """
    planned = command_line.possible(options)
    with opened(quiet=options.quiet, verbose=options.verbose) as terminal:
        return compared(planned, options, command, terminal, since=since)


def compared(
    planned: Sequence[Plan], options: ComparisonKeywords, command: str, terminal: "Terminal", *, since: float
) -> ComparisonResult:
    """The comparison, of those that the options may mean."""
    if not options.records:
        from study.cluster import connection

        if any(plan.missing() for plan in planned):
            terminal.doing("starting Ray, importing torch")
            connection.start_while_importing("study.execution.running", verbose=options.verbose)
        planned = [command_line.running(options, *scale.chosen(options.scale))]
    (plan,) = planned
    with lock.take(plan.folder, command) as held:
        tell(folders=[plan.folder], made=held.made)
        with bucket.mirrored(plan.folder, lambda line: print(line, file=sys.stderr)):
            return carried_out(plan, command, terminal, since=since)


def carried_out(plan: Plan, command: str, terminal: "Terminal", *, since: float) -> ComparisonResult:
    """Runs what the plan lacks, and writes the comparison of all that it has. Raises KeyboardInterrupt."""
    registration = registered(plan, command)
    say_failed(plan.broken)
    from study.results import together

    if plan.studies:
        together.write(plan.folder, [study.name for study in plan.studies], command)
    failed = {**plan.broken, **(run_rows(plan, command, terminal, since=since) if plan.studies else {})}
    measured = measure_data_efficiency(plan, failed, terminal)

    from study import comparison as records
    from study.comparison import tables
    from study.report import comparison as report

    terminal.doing("comparing the rows, writing the page")
    comparison = records.compare(
        plan.folders(without=failed),
        [*plan.left_out, *failed.items()],
        margin=plan.options.margin,
        registration=registration,
    )
    asked = {study.name for study in plan.studies}
    unread = {name: why for name, why in comparison.left_out if name in asked - failed.keys()}  # finished ones
    say_failed(unread)
    failed |= unread
    if comparison.rows:
        tables.write(comparison, plan.folder, command)
        report.write(comparison, plan.folder, command=command)
    return ComparisonResult(plan.folder, comparison, failed, measured)


def registered(plan: Plan, command: str) -> "Registration | None":
    """What was registered of this comparison; written now, where that was asked for and nothing has begun.

    Raises ValueError for a registration that comes too late, or is damaged.
    """
    from study.comparison.registration import NAME, Registration

    options = plan.options
    places = (
        [beside for place in options.records for beside in (place, place.parent)] if options.records else [plan.folder]
    )
    given = options.register or next((place / NAME for place in places if (place / NAME).is_file()), None)
    if given is None:
        (plan.folder / NAME).unlink(missing_ok=True)  # of other records that were read into it before
        return None
    if given.is_file():
        found = Registration.read(given)
    else:
        if begun := [study.name for study in plan.studies if (study.folder / "study.json").exists()]:
            raise ValueError(
                f"{given} would be written too late: {begun[0]} has begun; register before anything runs, or choose "
                "another --name"
            )
        found = Registration.of(plan.studies, options.primary, options.rope, command)
        found.write(given)
    plan.folder.mkdir(parents=True, exist_ok=True)
    found.write(plan.folder / NAME)
    return found


def say_failed(rows: Mapping[str, str]) -> None:
    for name, why in rows.items():
        print(f"{name} failed: {why}", file=sys.stderr)


def measure_data_efficiency(plan: Plan, failed: dict[str, str], terminal: "Terminal") -> int:
    """Measures that of every row where it was asked for; returns the exit code of `study.data_efficiency`.

    Raises KeyboardInterrupt.
    """
    wanted = plan.data_efficiency(without=failed)
    if not wanted:
        return 0
    from study.data_efficiency.__main__ import run

    try:
        return run(wanted, terminal)
    except ValueError as mistake:
        return fail(str(mistake))


if __name__ == "__main__":
    sys.exit(entry.start(main))
