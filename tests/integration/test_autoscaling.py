"""A cluster that starts with its head alone, on Ray's real autoscaler; its nodes are processes on this machine.

The node types are those of `ray_cluster.yaml`, which have a GPU that is not there: torch computes on the CPU.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from study.results.record import Record
from tests.autoscaler import autoscaled_nodes, raylets_of_the_autoscaler
from tests.integration.test_several_nodes import SECONDS, SMALL, started, wait_until
from tests.nodes import ROOT

MOST = 2  # nodes at a time, on a machine of two cores
HEAD: dict[str, Any] = {"num_cpus": 1, "resources": {"autoscaled_gpus": MOST}}


def worker_types() -> dict[str, dict[str, Any]]:
    """The cluster file's, without what only AWS understands."""
    given = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    kinds = {name: kind for name, kind in given["available_node_types"].items() if name != given["head_node_type"]}
    return {name: {"resources": kind["resources"], "max_workers": MOST} for name, kind in kinds.items()}


def gone() -> bool:
    return not raylets_of_the_autoscaler()


@pytest.mark.nodes
def test_a_study_starts_nodes_where_there_are_none_and_they_go_when_it_is_done(tmp_path: Path) -> None:
    with autoscaled_nodes(tmp_path, worker_types(), max_workers=MOST, **HEAD) as cluster:
        refused = cluster.run(*SMALL, "--workers-per-trial", "3", timeout=180)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        with started(cluster, *SMALL, "--trials", "2") as (process, _, err):
            assert process.wait(SECONDS) == 0, err.read_text()
        said = err.read_text().splitlines()
        record = Record(next((tmp_path / "results").iterdir()))
        assert {row["status"] for row in [*record.trials, *record.runs]} == {"completed"}
        assert record.study.resources is not None
        assert record.study.resources.gpus == 1
        assert len(said) in {0, 2}, said  # whether it waited long enough to say so
        wait_until(gone, "idle nodes stay", 60)
