"""What several sections ask of a record: who won, where the search started, what the classes are called."""

from collections import Counter
from collections.abc import Sequence

from study.comparison.rows import introduced
from study.design.states import Phase, RunStatus, StudyStatus
from study.results.point import backbone_stages, fixed, format_value, metric, searched, shown
from study.results.record import Record, Row
from study.text import last_part, plural
from trainables.hyperparameters import DECLARED, Value

__all__ = ["backbone_stages", "fixed", "metric", "searched", "shown"]

PAPER = "trial-000"
RUN_NAMES = {
    Phase.SEARCH: "trial",
    Phase.REPLICATE: "replicate",
    Phase.TEST: "test run",
    Phase.START: "test run of the start",
}
MOST_REASONS = 3


def name(record: Record) -> str:
    return record.study.configuration.name if record.study.configuration else record.folder.name


def of_trials(record: Record) -> dict[str, str]:
    """Of a trace whose points are trials, so that those that a reader leaves out leave it too."""
    return {"trials": name(record)}


def by_id(trials: Sequence[Row]) -> list[Row]:
    """In the order in which they were proposed; the record has them in the order in which they ended."""
    return sorted(trials, key=lambda trial: trial["trial_id"])


def dataset(record: Record) -> str:
    """Its name for a reader: of a place, the last part."""
    asked_for = record.study.configuration
    return last_part(record.study.data.name if record.study.data else asked_for.dataset if asked_for else "")


def model(record: Record) -> str:
    """Its title; its name where this version does not have it."""
    asked_for = record.study.configuration
    return introduced(asked_for.model)[0] if asked_for else ""


def class_names(record: Record) -> Sequence[str]:
    return record.study.data.classes if record.study.data else ()


def status(record: Record) -> StudyStatus | None:
    """None where the study has not started."""
    return record.study.status


def finished(record: Record) -> bool:
    return status(record) is StudyStatus.FINISHED


def best(record: Record) -> Row | None:
    """The winner; before there is one, the best trial so far."""
    if record.study.winner:
        return record.study.winner
    by = metric(record)
    completed = [t for t in record.trials if t["status"] == RunStatus.COMPLETED and by.of(t) is not None]
    return max(completed, key=lambda trial: by.merit(by.of(trial)), default=None)


def paper(record: Record) -> Row | None:
    """Where the search started: its replicates, before there are any its trial."""
    if record.study.winner:
        return record.study.paper  # None where its replicates failed
    return next((t for t in record.trials if t["trial_id"] == PAPER), None)


def best_name(record: Record) -> str:
    return "winner" if record.study.winner else "best so far"


def badges(record: Record) -> dict[str, list[str]]:
    """The words beside the id of a trial."""
    words: dict[str, list[str]] = {PAPER: ["start"]}
    top = best(record)
    if top:
        words.setdefault(top["trial_id"], []).append(best_name(record))
    return words


def title(name: str) -> str:
    """Of a hyperparameter, as a heading has it."""
    text = DECLARED[name].title
    return text[:1].upper() + text[1:]


def value(name: str, of: Value, record: Record) -> str:
    """A hyperparameter's value for a reader."""
    return format_value(name, of, backbone_stages(record))


def nothing_yet(record: Record, what: str) -> str:
    """Why a section is empty."""
    match status(record):
        case StudyStatus.FINISHED:
            return f"No {what}: the study finished without one."
        case StudyStatus.FAILED:
            return f"No {what}: the study failed."
        case state:
            return f"No {what} yet: the study is {state or 'not started'}."


def failure(record: Record) -> str:
    """Which step of a failed study had no run that was completed, how many runs it had, and why they failed."""
    for phase, runs in by_phase(record).items():
        statuses = Counter(run["status"] for run in runs)
        if runs and not statuses[RunStatus.COMPLETED]:
            failed = statuses[RunStatus.FAILED]
            how = f"all {plural(failed, RUN_NAMES[phase])} failed"
            if failed < len(runs):
                pruned = len(runs) - failed
                were = "was" if pruned == 1 else "were"
                how = f"no {RUN_NAMES[phase]} was completed: {failed} failed, {pruned} {were} pruned"
            elif failed == 1:
                how = f"its only {RUN_NAMES[phase]} failed"
            return f"{how}. {reasons(runs)}"
    return "the record does not say which runs"


def by_phase(record: Record) -> dict[Phase, list[Row]]:
    return {
        Phase.SEARCH: list(record.trials),
        **{
            phase: [run for run in record.runs if run["phase"] == phase]
            for phase in (Phase.REPLICATE, Phase.TEST, Phase.START)
        },
    }


def reasons(runs: Sequence[Row]) -> str:
    """`Reason: NotFinite: the training loss is nan in epoch 1 (3 times).`, the commonest first."""
    counts = Counter(run["reason"] or "no reason recorded" for run in runs if run["status"] == RunStatus.FAILED)
    each = [f"{reason} ({n} times)" if n > 1 else reason for reason, n in counts.most_common(MOST_REASONS)]
    more = len(counts) - len(each)
    return (
        f"Reason{'s' if len(counts) > 1 else ''}: "
        + "; ".join(each)
        + (f"; and {plural(more, 'other reason')}" if more else "")
        + "."
    )
