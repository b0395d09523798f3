"""The rows of a comparison that are to run: one after the other here, or several at once, each in a process.

Rows that run at the same time share one Ray: each asks for all that its trials can use, and Ray gives what is free to
whoever waits, so that no GPU idles while the last trials of a row come to their end.
"""

import signal
from collections import deque
from collections.abc import Sequence
from math import ceil
from time import perf_counter

from study.cluster import jobs
from study.design.study import Study
from study.options.comparison import Plan, title
from study.rows.process import Process
from study.rows.row import Row
from study.terminal.progress import Terminal
from study.terminal.supervisor import in_order, tell

FEW_SLOTS = 2  # trials at a time, up to which a second row would only take time from the first


def run_rows(plan: Plan, command: str, terminal: Terminal, *, since: float) -> dict[str, str]:
    """Runs the rows that are not done; returns those that failed, and why.

    Raises ValueError for a mistake; KeyboardInterrupt.
    """
    from study.cluster import connection
    from study.options import machine

    missing = plan.missing()
    if not missing:
        return {}
    for study in missing:
        machine.check(study)
    terminal.say(plan.why)
    if jobs.in_a_package():
        terminal.say(f"results in {plan.folder}: Ray deletes the folder that came with this job")
    rows = [Row(study, plan.execution, command) for study in missing]
    with connection.connected(verbose=plan.options.verbose):
        # of wall clock, rows that run beside others would have unequal parts
        at_once = 1 if plan.options.hours else plan.options.rows_at_once or automatic(missing)
        if min(at_once, len(rows)) > 1:
            with in_order(signal.default_int_handler):
                return side_by_side(plan, rows, at_once, terminal)
        return in_turn(plan, rows, terminal, since=since)


def automatic(studies: Sequence[Study]) -> int:
    """How many rows fill the cluster: as many as give every slot a trial, and one more for when they come to an end."""
    from study.cluster import nodes
    from study.cluster.allocation import allocate

    slots = allocate(studies[0].workers_per_trial, None, nodes.here()).at_a_time
    return 1 if slots <= FEW_SLOTS else 1 + ceil(slots / studies[0].trials)


def in_turn(plan: Plan, rows: Sequence[Row], terminal: Terminal, *, since: float) -> dict[str, str]:
    """Runs them one after the other, in this process. Raises KeyboardInterrupt."""
    failed: dict[str, str] = {}
    for number, row in enumerate(rows):
        left = len(rows) - number
        terminal.say(plan.progress(row.study, left=left))
        terminal.about(plan.place(row.study, left=left), after=plan.seconds_of(left - 1))
        if reason := row.run(since=perf_counter() if number else since, terminal=terminal):
            note(failed, row, reason, terminal)
    terminal.about("", after=None)
    return failed


def note(failed: dict[str, str], row: Row, reason: str, terminal: Terminal) -> None:
    failed[row.study.name] = " ".join(reason.split())
    terminal.warn(f"{row.study.name} failed: {failed[row.study.name]}")


def side_by_side(plan: Plan, rows: Sequence[Row], at_once: int, terminal: Terminal) -> dict[str, str]:
    """Runs up to `at_once` of them at the same time, each in a process. Raises KeyboardInterrupt."""
    waiting, running, failed = deque(rows), dict[str, Process](), dict[str, str]()
    interrupted = False
    terminal.doing("")
    terminal.say(f"{min(at_once, len(rows))} of {len(rows)} rows at a time (--parallel-rows)")
    try:
        while running or (waiting and not interrupted):
            try:
                while waiting and len(running) < at_once and not interrupted:
                    row = waiting.popleft()
                    terminal.say(f"{title(row.study)}: begins")
                    tell(folders=[row.study.folder])
                    running[row.study.name] = Process(row, terminal)
                for name, process in list(running.items()):
                    if process.ended(within=0.2):
                        del running[name]
                        terminal.scene.rows.pop(title(process.row.study), None)
                        if process.reason and not interrupted:
                            note(failed, process.row, process.reason, terminal)
            except KeyboardInterrupt:
                for process in running.values():
                    process.signal(signal.SIGINT)
                interrupted = True
    finally:
        for process in running.values():
            process.kill()
    if interrupted:
        raise KeyboardInterrupt
    return failed
