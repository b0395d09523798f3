"""A node that is lost is no failure of its runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError

from study.execution import failures
from study.execution.attempts import Attempts
from study.execution.failures import LostRuns, NodesLost
from study.execution.search import NodeWatch
from study.execution.waiting import Placement
from study.execution.watchdog import Watchdog
from trainables.resources import Resources

DEAD_NODE = """ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
\tclass_name: TrainingProcess
The actor died because its node has died. Node Id: 8f, the actor's node was terminated unexpectedly: health check"""


def test_a_lost_node_is_told_from_a_process_that_died() -> None:
    assert failures.lost_node(DEAD_NODE)
    assert failures.lost_node(UNREACHABLE)
    assert not failures.lost_node(
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
    )


def test_the_runs_of_a_lost_node_are_told_of_in_one_line() -> None:
    said: list[str] = []
    lost = LostRuns(said.append)
    assert all([lost.may_go_on("trial-004"), lost.may_go_on("trial-003")])
    lost.tell()
    assert said == []  # others of that node may follow
    lost.check()
    assert said == ["a node was lost, and what it ran goes on elsewhere: trial-003, trial-004"]


def test_a_run_that_loses_one_node_after_the_other_is_given_up_and_is_no_failed_one() -> None:
    lost = LostRuns(lambda line: None)
    tries = [lost.may_go_on("test-seed1") for _ in range(failures.MOST_LOST + 1)]
    assert tries == [True] * failures.MOST_LOST + [False]
    with pytest.raises(NodesLost, match=r"^1 run lost 10 nodes each: --resume goes on with test-seed1$"):
        lost.check()


UNREACHABLE = str(ActorUnavailableError("RpcError: Connection reset by peer", b"0" * 16))
OUT_OF_MEMORY = "ray.exceptions.OutOfMemoryError: the process was killed"


def trial(folder: Path, *errors: str) -> Any:
    """As Tune has one that has failed so many times: it appends what it says of each time to a file."""
    file = folder / "error.txt"
    file.write_text("".join(f"Failure # {n} (occurred at noon)\n{error}\n" for n, error in enumerate(errors, 1)))
    metadata = SimpleNamespace(num_failures=len(errors))
    return SimpleNamespace(error_file=str(file), config={"trial_id": "trial-007"}, run_metadata=metadata)


def watch() -> NodeWatch:
    say: list[str] = []
    return NodeWatch(Placement(Resources(), say.append), LostRuns(say.append), Attempts(1), Watchdog(Attempts(1)))


@pytest.mark.parametrize(
    ("errors", "counted"),
    [((DEAD_NODE,), 0), ((OUT_OF_MEMORY,), 1), ((OUT_OF_MEMORY, DEAD_NODE), 1), ((DEAD_NODE, OUT_OF_MEMORY), 2)],
)
def test_what_tune_counts_is_taken_back_where_the_last_failure_was_the_node_s(
    tmp_path: Path, errors: tuple[str, ...], counted: int
) -> None:
    failed = trial(tmp_path, *errors)
    watch().on_trial_recover(0, [], failed)
    assert failed.run_metadata.num_failures == counted


def test_a_trial_that_ends_because_of_its_node_is_left_for_another_time(tmp_path: Path) -> None:
    watching = watch()
    watching.on_trial_error(0, [], trial(tmp_path, OUT_OF_MEMORY))
    watching.lost.check()
    watching.on_trial_error(0, [], trial(tmp_path, DEAD_NODE))
    with pytest.raises(NodesLost, match="trial-007"):
        watching.lost.check()
