"""What a study on several nodes says of them: while it runs, in its record, and in a run's log."""

from pathlib import Path

import pytest

from study.results.record import Record
from tests.nodes import ray_nodes

STUDY = ["study.run", "--model", "alexnet", "--pretraining", "none", "--trials", "2", "--epochs", "1", "--top-k", "1"]
STUDY += ["--seeds", "1", "--wandb", "disabled", "--max-concurrent", "2", "--name", "two"]


@pytest.mark.nodes
def test_a_study_on_two_nodes_says_what_ran_where(tmp_path: Path) -> None:
    with ray_nodes(tmp_path, 1, 2) as nodes:
        ran = nodes.run(*STUDY, "--verbose")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        record = Record(tmp_path / "results" / "two")
        row = record.trials[0]
        assert f"{row['trial_id']} begins on {row['node']}, {row['device']}" in ran.stdout + ran.stderr
        assert {one["device"] for one in (*record.trials, *record.runs)} == {row["device"]}
        assert record.study.hardware["devices"] == [row["device"]]
        for one in (row["trial_id"], record.runs[-1]["run_id"]):
            log = nodes.run("study.status", "two", one, "--log")
            assert log.stdout.startswith(f"{one} begins on {row['node']}"), log.stderr
            assert "worker-" in log.stderr
        status = nodes.run("study.status")
        assert "finished" in status.stdout
        assert row["node"] in status.stdout
