"""What W&B, and TensorBoard, are told of a study and of its runs."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from study import tracking
from study.cluster import environment
from study.design.states import Phase
from study.execution.candidates import START
from study.execution.session import Session
from study.options import agent, one_point
from study.results.record import COST, Row
from study.tracking import sweep
from trainables.metrics import COLUMNS

WINNER, STARTING_POINT = "winner", "start"  # tags
MEASURED = [name for name, _ in COST if name != "process"]


def config(session: Session, point: Mapping[str, Any], seed: int, trial_id: str) -> dict[str, Any]:
    """What W&B is told of a run: every hyperparameter, the study's configuration, and where it comes from.

    `point` is the same in all runs of one point of one study: what to group replicates by.
    """
    study, versions = session.study, dict(session.record.study.versions)
    whence = {"command": session.record.study.command, "commit": versions.pop("commit", None), "versions": versions}
    whose = {"seed": seed, "trial_id": trial_id, "point": f"{study.name} {trial_id}"}
    return asdict(study.point(point)) | study.facts() | whence | whose


def tags_of(phase: Phase, trial_id: str) -> tuple[str, ...]:
    """What W&B's tags say of a run that begins."""
    start = (STARTING_POINT,) if trial_id == START else ()
    return (*start, WINNER) if phase is Phase.TEST else start


def summary_of(row: Row) -> dict[str, Any]:
    """What W&B shows of a run as its summary: what came of it and what it cost, and none of Ray's own figures."""
    return {name: row[name] for name in (*COLUMNS, "test_accuracy", *MEASURED) if row.get(name) is not None}


def of_the_end(session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
    """What W&B is told of a finished study: the winner's values as its configuration, and how well it does."""
    record = session.record
    test, gained = record.test, record.study.gain
    low, high = test.interval
    summary = {
        "test_accuracy": test.accuracy,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_macro_f1": test.macro_f1,
        "test_mean_class_accuracy": test.mean_class_accuracy,
        "test_images": test.n,
        **({"gain": gained.gain} if gained else {}),
    }
    winner = record.winner
    point = asdict(session.study.point_of(winner))
    return config(session, point, session.study.search_seed, winner["trial_id"]), summary


def about(session: Session, command: str) -> tracking.About:
    """What W&B is told of the study when it begins."""
    study, of_agent = session.study, agent.run()
    words = one_point.words(command, study)
    searched = sweep.config(study.name, study.space, study.metric, words) if study.space else None
    return tracking.About(
        command=command,
        sweep=searched,
        agents=tracking.AgentsRun(*of_agent) if of_agent and study.budget == 1 else None,
        here=environment.address() is None,
    )
