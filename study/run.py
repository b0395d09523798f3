"""One study: search, replicate, test, report.

    python -m study.run --model coatnet --trials 32

On two cores and scikit-learn's digits this takes some minutes and prints one screen: the winner, its test accuracy
with an interval, and where the search started. docs/protocol.md says why the order of the steps is what it is.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING

from study import entry
from study.cluster import jobs
from study.options import command_line, scale
from study.options.command_line import parser
from study.options.keywords import StudyKeywords
from study.result import SearchResult, StudyResult
from study.results import provenance, resume
from study.terminal.mistake import ended, reason
from study.terminal.opening import opened
from study.terminal.supervisor import tell

if TYPE_CHECKING:
    from study.design.study import Study
    from study.execution.session import Session
    from study.terminal.progress import Terminal

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a study from the command line.

    Returns 0; 1 where every run of a step failed, or the record cannot be written; 2 for a user's mistake; 130 when
    interrupted.
    """
    start = perf_counter()
    options, words = command_line.parse(arguments)
    again = provenance.command(words, resume=True)
    tell(again=again, resume=["--resume"], retries=options.retries_of_ray)

    def body() -> int:
        print(run(options, provenance.command(words), since=start))
        return 0

    return ended(body, again=again)


def run(options: StudyKeywords, command: str, *, since: float) -> StudyResult:
    """Every repeat of the study that the options describe, one after the other; those that are finished are only read.

    Raises what `prepare` and `complete` do.
    """
    results: list[StudyResult] = []
    terminal: Terminal | None = None
    with ExitStack() as whole:
        for number in range(max(options.repeats, 1)):  # `studies` refuses less
            try:
                possible = command_line.studies(options, number)
                terminal = terminal or whole.enter_context(opened(quiet=options.quiet, verbose=options.verbose))
                if options.repeats > 1:
                    took = sum(sum(one.record.study.seconds.values()) for one in results)
                    after = took / number * (options.repeats - number - 1) if number else None
                    terminal.about(f"repeat {number + 1} of {options.repeats}", after=after)
                session = prepare(options, possible, terminal, number)
            except OSError as error:  # what it reads, and nothing of the study
                raise ValueError(reason(error)) from error
            if options.repeats > 1:
                session.terminal.say(f"repeat {number + 1} of {options.repeats}: {session.study.name}")
                if not session.finished:
                    from study.cluster import connection

                    whole.enter_context(connection.connected(verbose=options.verbose))  # one Ray for all
            results.append(complete(session, command, since=perf_counter() if number else since))
    return results[0] if len(results) == 1 else StudyResult.together(results)


def prepare(options: StudyKeywords, possible: "Sequence[Study]", terminal: "Terminal", number: int = 0) -> "Session":
    """A repeat of the study that the options describe, which is one of those that they may mean.

    Raises ValueError for a mistake.
    """
    terminal.doing("starting Ray, importing torch")

    from study.cluster import connection

    if not all(map(resume.is_finished, possible)):
        connection.start_while_importing("study.execution.running", verbose=options.verbose)

    from study.execution.session import Session
    from study.options import machine

    if not options.verbose:
        connection.quieten()
    name, why = scale.chosen(options.scale)
    study = command_line.configure(options, name).repeat(number)
    machine.check(study)
    execution = command_line.execution(options, resume=options.resume, weights=options.weights)
    session = Session.prepare(study, execution, terminal=terminal)
    session.terminal.say(why)
    session.terminal.say(str(study.recipe))
    if jobs.in_a_package():
        session.terminal.say(f"results below {study.results}: Ray deletes the folder that came with this job")
    return session


def complete(session: "Session", command: str, *, since: float) -> StudyResult:
    """Runs the steps that its record lacks.

    Raises NoPlace, a ValueError, where no node can run it; NoCompletedRuns; OSError where the record cannot be written;
    KeyboardInterrupt.
    """
    from study.execution import corruptions, running
    from study.execution.session import Interrupted

    try:
        with session.lock:
            running.complete(session, command, since=since)
            if session.execution.corruptions and session.finished:
                corruptions.measure(session)
    except Interrupted:
        raise KeyboardInterrupt from None
    ended_early = session.execution.search_only and not session.finished
    return SearchResult.of(session.record) if ended_early else StudyResult.of(session.record)


if __name__ == "__main__":
    sys.exit(entry.start(main))
