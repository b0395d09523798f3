"""Entries of the store are copied from node to node, and what a lost node does not give is made again."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.stored import FACTS, contents, data_of, fill, holds, rows_of, store_in
from tests.nodes import ray_nodes
from trainables import neighbours
from trainables.boundaries import Store

COPY = """
import ray
from study.cluster import connection
from tests.contract.stored import FACTS, data_of, filled, holds, never
from trainables.boundaries import Store
from trainables.neighbours import find, open_or_fill
from trainables.images import ask, here

def fills(facts, kind, last):
    store = Store.here()
    filled(store, data(kind, last), facts).close()
    return str(store.folder)

def data(kind, last):
    import torch
    made = data_of((70, 4, 250, 300 if kind == "uint8" else 150), kind)
    return made.contiguous(memory_format=torch.channels_last) if last else made

ray.init(address="auto", log_to_driver=False, logging_level="error")
other = next(node["NodeID"] for node in ray.nodes() if node["NodeID"] != here())
import trainables.neighbours
trainables.neighbours.WORTH_ASKING = 1 << 20
for kind, last in (("uint8", True), ("bf16", False)):
    facts = {**FACTS, "precision": kind}
    assert find(facts) is None
    there = ray.get(ask(fills, other, facts, kind, last))
    store, wanted = Store.here(), data(kind, last)
    assert str(store.folder) != there
    entry = open_or_fill(store, facts, 70, wanted[0].nbytes, never())
    print(kind, holds(entry, wanted), entry.split.images.stride() == wanted.stride(), store.notes)
"""


def test_an_entry_is_copied_from_the_node_that_has_it_whatever_its_format_and_its_layout(tmp_path: Path) -> None:
    with ray_nodes(tmp_path, 1, 1) as nodes:
        variables = nodes.environment | {"STUDY_CACHE": str(tmp_path / "cache-0")}
        ran = subprocess.run([sys.executable, "-c", COPY], env=variables, capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == ["uint8 True True []", "bf16 True True []"], ran.stderr


@pytest.mark.usefixtures("ray_session")
def test_what_a_node_that_is_gone_had_is_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = neighbours.Holder("ab" * 28, 70, 60)
    monkeypatch.setattr(neighbours, "find", lambda facts: gone)
    store, data = store_in(tmp_path), data_of()
    assert holds(fill(store, data, rows=neighbours.copied_or_else(FACTS, rows_of(data))), data)
    assert store.notes == []


@pytest.mark.usefixtures("ray_session")
def test_a_boundary_that_only_a_lost_node_had_is_not_there_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "find", lambda facts: neighbours.Holder("ab" * 28, 70, 60))
    monkeypatch.setattr(neighbours, "several_nodes", lambda: True)
    store: Store = store_in(tmp_path)
    assert neighbours.open_or_copy(store, FACTS, instead=1 << 40) is None
    assert contents(store) == set()
