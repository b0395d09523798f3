"""How every command is run: in a process of its own, beside one that outlives it (`study.terminal.supervisor`)."""

from collections.abc import Callable
from pathlib import Path

from study.terminal.supervisor import supervised


def start(main: Callable[[], int]) -> int:
    """The exit code of a command that reads its words from sys.argv."""
    return supervised(main, settle)


def settle(folder: Path) -> None:
    """Puts the record of a study in order whose process was ended: its status, its tables and its page."""
    from study.results import lock

    if not folder.is_dir() or lock.forget(folder):
        return
    from study.design.states import StudyStatus
    from study.report import study as report
    from study.results import bucket
    from study.results.record import Record

    with lock.take(folder, "the end of a command"), bucket.mirrored(folder, lambda line: None):
        record = Record(folder)
        if record.begun and record.study.status is StudyStatus.INTERRUPTED:  # as a record without its writer is read
            record.note(status=StudyStatus.INTERRUPTED)
            report.write(folder)
