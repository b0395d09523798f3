"""Nodes that vanish in the middle of a study. Not part of the suite, for it takes minutes."""

from pathlib import Path

import pytest

from study.results.record import Record
from tests.autoscaler import autoscaled_nodes, raylets_of_the_autoscaler
from tests.integration.test_autoscaling import HEAD, MOST, worker_types
from tests.integration.test_several_nodes import SECONDS, SMALL, results, started, wait_until
from tests.nodes import Nodes


@pytest.mark.nodes
def test_spot_nodes_that_vanish_in_the_middle_come_again_and_cost_no_trial(tmp_path: Path) -> None:
    with autoscaled_nodes(tmp_path, worker_types(), max_workers=MOST, idle_minutes=1, **HEAD) as cluster:
        search(cluster, "undisturbed", vanish=0)
        said = search(cluster, "disturbed", vanish=2)
    assert sum("a node was lost" in line for line in said) in {1, 2}
    folder = tmp_path / "results"
    assert results(Record(folder / "disturbed")) == results(Record(folder / "undisturbed"))


def search(cluster: Nodes, name: str, *, vanish: int) -> list[str]:
    """A study whose nodes are ended so many times, each time when the next trial has ended; what it said of it."""
    with started(cluster, *SMALL, "--trials", "6", "--name", name) as (process, out, err):
        for times in range(1, vanish + 1):
            wait_until(lambda done=times: f"search {done}/6" in out.read_text(), "no trial ended")  # type: ignore[misc]
            for raylet in raylets_of_the_autoscaler():
                raylet.kill()
        assert process.wait(SECONDS) == 0, err.read_text()
    return err.read_text().splitlines()
