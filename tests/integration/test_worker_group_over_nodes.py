"""Two workers of a trial on two nodes that have a CPU each: the same study, from a store on each node."""

from pathlib import Path

import pytest

from study.results.record import Record
from study.run import main
from tests.nodes import ray_nodes

STUDY = ("study.run", "--model", "vit", "--scale", "mini", "--trials", "2", "--epochs", "2", "--early-stopping", "none")
SMALL = (*STUDY, "--seeds", "1", "--top-k", "1", "--wandb", "disabled", "--fix", "freeze_depth=4")


def curves(record: Record) -> dict[tuple[str, int], float]:
    return {(row["run_id"], row["epoch"]): row["train_loss"] for row in record.curves}


def test_a_study_whose_workers_are_on_two_nodes_is_that_of_one_worker_here(ray_session: None, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert main([*SMALL[1:], "--name", "here", "--results", str(results), "--quiet"]) == 0
    with ray_nodes(tmp_path, 0, 1, 1) as cluster:
        ran = cluster.run(*SMALL, "--name", "there", "--workers-per-trial", "2", timeout=200)
        assert ran.returncode == 0, ran.stderr
    here, there = curves(Record(results / "here")), curves(Record(results / "there"))
    assert here.keys() == there.keys()
    assert there == pytest.approx(here, rel=1e-4)
    for node in (1, 2):
        assert list((tmp_path / f"cache-{node}").rglob("*.npy")), f"node {node} has filled no store"
