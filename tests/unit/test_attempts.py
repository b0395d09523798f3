"""What ends a run is told apart: an error of the model is a result, what the machine did is tried again."""

from pathlib import Path
from typing import Any

import pytest

from study.design.states import Cause, Phase
from study.execution.attempts import Attempts, MostFailed, cause_of, check_most
from study.results import going_on
from study.results.record import Record
from tests.records import Shape, finished, searched, started
from tests.unit.test_reasons import OUT_OF_MEMORY

TASK = 'ray::ImplicitFunc.train() (pid=7, ip=127.0.0.1, actor_id=9)\n  File "model.py", line 3, in forward\n'
DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: X\nWorker exit type: SYSTEM_ERROR"

DEATH = "its process died: it was killed, or lacked memory, or crashed"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (f"{TASK}RuntimeError: mat1 and mat2 shapes cannot be multiplied", Cause.MODEL),
        (f"{TASK}AssertionError", Cause.MODEL),
        (f"{TASK}RuntimeError: CUDA error: device-side assert triggered", Cause.MODEL),
        (f"{TASK}torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered", Cause.MACHINE),
        (f"{TASK}OSError: [Errno 28] No space left on device", Cause.MACHINE),
        (f"{TASK}FileNotFoundError: gone", Cause.MACHINE),
        (f"{TASK}TimeoutError: a worker of a run did not start within 300 s", Cause.MACHINE),
        (f"{TASK}study.data.decoding.Unreadable: cat/1.png cannot be read", Cause.MACHINE),
        (f"{TASK}ray.exceptions.ActorDiedError: The actor died", Cause.MACHINE),
        (f"{TASK}ray.exceptions.ActorDiedError: {DIED}", Cause.MACHINE),  # another worker of its group, in many lines
        (DIED, Cause.MACHINE),
        (OUT_OF_MEMORY, Cause.MACHINE),
        ("", Cause.MACHINE),
    ],
)
def test_errors_of_the_model_are_told_from_those_of_the_machine(said: str, cause: Cause) -> None:
    assert cause_of(said) is cause


def test_the_machine_is_forgiven_as_often_as_was_asked_for_with_pauses_that_grow() -> None:
    said: list[str] = []
    attempts = Attempts(3, said.append)
    assert [attempts.failed("trial-001", DIED).pause for _ in range(4)] == [1, 2, 4, None]
    assert attempts.cause("trial-001") is Cause.MACHINE
    assert len(said) == 3
    assert said[0].startswith(f"trial-001: {DEATH}; it is tried again in 1 s (1 of 3 times)")
    assert Attempts(0).failed("trial-001", DIED).pause is None


def test_an_exception_that_comes_back_word_for_word_is_the_model_s() -> None:
    attempts = Attempts(5)
    boom, bang = f"{TASK}RuntimeError: boom", f"{TASK}RuntimeError: bang"
    pauses = [attempts.failed("trial-001", text).pause for text in (boom, DIED, bang, boom)]
    assert [pause is None for pause in pauses] == [False, False, False, True]
    assert attempts.cause("trial-001") is Cause.MODEL


def test_workers_of_a_group_that_die_again_and_again_are_the_machine_s_failure() -> None:
    attempts = Attempts(most=3)
    died = f"{TASK}ray.exceptions.ActorDiedError: {DIED}"
    assert [attempts.failed("trial-001", died).pause for _ in range(4)] == [1, 2, 4, None]


def test_why_a_process_was_ended_from_here_is_what_is_told() -> None:
    attempts = Attempts(1)
    attempts.explain(4711, "trial-000", lambda run_id: f"{run_id} made no progress")
    its_own = DIED.replace("X", "X\n\tpid: 4711")
    assert attempts.failed("trial-001", its_own).reason == "trial-001 made no progress"
    assert attempts.failed("trial-001", its_own).reason != "trial-001 made no progress"


def rows(*reasons: str | None) -> list[dict[str, Any]]:
    return [{"status": "failed" if reason else "completed", "reason": reason} for reason in reasons]


def test_a_study_of_which_most_runs_fail_stops_and_says_why_the_commonest_reason_first() -> None:
    nan, shape = "the training loss is nan in epoch {}", "the head does not fit"
    reasons = [shape, nan.format(1), None, nan.format(2), None, nan.format(1), None]
    check_most(rows(*reasons), "trial")
    check_most(rows(*reasons, None), "trial")  # one that succeeds never stops a study
    check_most(rows(None, *reasons[1:], shape), "trial")  # half of them are not most
    with pytest.raises(MostFailed) as stopped:
        check_most(rows(*reasons, nan.format(9)), "trial")
    assert str(stopped.value) == (
        "5 of 8 trials failed, so the study stops: the training loss is nan in epoch 1 (4 times); "
        "the head does not fit (1 time)"
    )


# In the record


def failed_run(name: str, cause: str) -> dict[str, Any]:
    return {"trial_id": name, "status": "failed", "reason": "its process died", "cause": cause, "lr": 0.1}


def test_attempts_outlive_the_process_that_made_them(tmp_path: Path) -> None:
    record = started(tmp_path / "one")
    attempts = Attempts(2, record=record)
    attempts.begin("trial-000")
    attempts.failed("trial-000", DIED)
    attempts.begin("trial-000")
    attempts.lost("trial-000")
    attempts.begin("trial-001")
    again = Record(record.folder)
    assert again.under_way == ["trial-001"]
    Attempts(2, record=again).begin("trial-000")
    assert again.under_way == ["trial-000", "trial-001"]
    again.add(trials=[{**failed_run("trial-000", "model"), **again.attempts_at("trial-000")}])
    again.write_tables()
    [row] = Record(record.folder).trials
    assert (row["attempts"], row["cause"]) == (3, "model")
    assert row["earlier_attempts"] == [DEATH, "its node was lost"]


def test_a_run_that_the_machine_failed_is_tried_again_and_only_its_last_attempt_counts(tmp_path: Path) -> None:
    record = started(tmp_path / "one")
    curve = [{"run_id": "trial-000", "epoch": epoch, "train_loss": 9.0} for epoch in (1, 2, 3)]
    record.add(trials=[failed_run("trial-000", "machine")], curves=curve)
    record.add(trials=[failed_run("trial-001", "model")])
    for written in (True, False):  # whether the tables were, before the process ended
        there = Record(record.folder)
        assert [row["trial_id"] for row in going_on.take_back(there)] == ["trial-000"]
        assert [row["trial_id"] for row in there.trials] == ["trial-001"]
        assert there.curve("trial-000") == []
        curve = [{"run_id": "trial-000", "epoch": epoch, "train_loss": 1.0} for epoch in (1, 2)]
        there.add(trials=[{**failed_run("trial-000", "machine"), "lr": 0.2}], curves=curve)
        if written:
            there.write_tables()
        read = Record(record.folder)
        assert sorted((row["trial_id"], row["lr"]) for row in read.trials) == [("trial-000", 0.2), ("trial-001", 0.1)]
        assert [(row["epoch"], row["train_loss"]) for row in read.curve("trial-000")] == [(1, 1.0), (2, 1.0)]


def test_a_step_that_another_was_chosen_from_stays_as_it_is(tmp_path: Path) -> None:
    record = finished(tmp_path / "one", Shape(trials=8))
    record.add(trials=[failed_run("trial-008", "machine")])
    assert going_on.step(record) is Phase.TEST
    assert going_on.take_back(record) == []


def test_a_study_that_goes_on_says_what_it_found_and_what_it_will_do(tmp_path: Path) -> None:
    record = searched(tmp_path / "one", Shape(trials=8))
    assert going_on.found(record, 32, []).endswith("one goes on: 8 of 32 trials are finished and 24 are to do")
    record.add(trials=[failed_run("trial-008", "machine")])
    record.begin("trial-009")
    again = going_on.take_back(record)
    assert going_on.found(record, 32, again).endswith(
        "one goes on: 8 of 32 trials are finished, trial-009 was running when it ended and 24 are to do, with "
        "trial-008 again, which failed for the machine's sake (its process died)"
    )
