"""Only the node that a study was started on reads and writes its results: no other node has to see them."""

from pathlib import Path

import pytest

from study.results.record import Record
from tests.nodes import ROOT, ray_nodes

HIDDEN = '''
"""Imported by every Python of a node when it starts: the results are not to be seen there."""
import os
import sys
import traceback

results, told = os.environ["HIDDEN_RESULTS"], os.environ["TOLD"]


def tell(name):
    file = os.open(os.path.join(told, f"{name}-{os.getpid()}"), os.O_CREAT | os.O_WRONLY)
    os.write(file, "".join(traceback.format_stack()).encode())
    os.close(file)


def refuse(event, arguments):
    if arguments and isinstance(arguments[0], (str, bytes, os.PathLike)):
        if os.fsdecode(arguments[0]).startswith(results):
            tell("touched")
            raise PermissionError(13, "not on this node", results)


tell("started")
sys.addaudithook(refuse)
'''
STUDY = [
    *["--model", "resnet", "--pretraining", "none", "--scale", "mini", "--name", "mine", "--wandb", "offline"],
    *["--trials", "2", "--epochs", "1", "--top-k", "1", "--seeds", "1"],
]


@pytest.mark.nodes
def test_a_study_over_nodes_that_cannot_see_its_results_is_whole(tmp_path: Path) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HIDDEN)
    (told := tmp_path / "told").mkdir()
    results = tmp_path / "results"
    there = {"HIDDEN_RESULTS": str(results), "TOLD": str(told), "PYTHONPATH": f"{tmp_path / 'hook'}:{ROOT}"}
    with ray_nodes(tmp_path, 1, {"num_cpus": 2, "env_vars": there}) as nodes:
        done = nodes.run("study.run", *STUDY, "--results", str(results))
    assert done.returncode == 0, done.stderr
    record = Record(results / "mine")
    assert record.study.status == "finished"
    assert (results / "mine" / "report.html").exists()
    assert (results / "mine" / "best" / "model.safetensors").exists()
    assert list(told.glob("started-*"))
    assert [path.read_text() for path in told.glob("touched-*")] == []
