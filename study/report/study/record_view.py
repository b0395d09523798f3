"""What several sections ask of a record: who won, which point is the paper's, what the classes are called."""

from collections.abc import Sequence

from study.report.numbers import known
from study.results.record import Record, Row

PAPER = "trial-000"


def config(record: Record) -> Row:
    return record.study.get("study", {})


def class_names(record: Record) -> Sequence[str]:
    return record.study.get("data", {}).get("classes", ())


def stage_names(record: Record) -> Sequence[str]:
    return record.study.get("model", {}).get("stage_names", ())


def finished(record: Record) -> bool:
    return record.study.get("status") == "finished"


def best(record: Record) -> Row | None:
    """The winner; before there is one, the best trial so far."""
    if "winner" in record.study:
        return record.study["winner"]
    scored = [t for t in record.trials if t["status"] == "completed" and known(t["val_accuracy"])]
    return max(scored, key=lambda trial: trial["val_accuracy"], default=None)


def paper(record: Record) -> Row | None:
    """The paper's recipe: its replicates, before there are any its trial."""
    if "paper" in record.study:
        return record.study["paper"]
    return next((t for t in record.trials if t["trial_id"] == PAPER), None)


def best_name(record: Record) -> str:
    return "winner" if "winner" in record.study else "best so far"


def badges(record: Record) -> dict[str, list[str]]:
    """What to say beside the id of a trial."""
    said: dict[str, list[str]] = {PAPER: ["paper"]}
    top = best(record)
    if top:
        said.setdefault(top["trial_id"], []).append(best_name(record))
    return said


def depth(freeze_depth: int | None, record: Record) -> str:
    """`2 of 6`: frozen stages of those that can be frozen, which the head cannot."""
    backbone_stages = len(stage_names(record)) - 1
    if freeze_depth is None:
        return "–"
    return f"{freeze_depth} of {backbone_stages}" if backbone_stages > 0 else str(freeze_depth)


def nothing_yet(record: Record, what: str) -> str:
    """Why a section is empty."""
    if finished(record):
        return f"No {what}: the study finished without one."
    return f"No {what} yet: the study is {record.study.get('status', 'not started')}."
