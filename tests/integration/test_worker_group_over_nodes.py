"""Two workers of a run on two nodes that have a CPU each: the run of one worker, from a store on each node."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import ray_nodes


def main() -> None:
    """On a cluster: trains with a worker here and with two there, and prints what was seen."""
    import ray

    from study.cluster import connection
    from study.data import named
    from study.data.reading import datasets_of_study
    from study.data.splits import split
    from study.design.recipes import RECIPES
    from study.design.study import Study
    from trainables import group
    from trainables.resources import Resources
    from trainables.run import Model, Run
    from trainables.trainer import train

    def where(member: Any) -> tuple[str, str | None]:
        return ray.get_runtime_context().get_node_id(), os.environ.get("GLOO_SOCKET_IFNAME")

    recipe = replace(RECIPES["fair"], epochs=2)
    study = Study("vit", "mini", "vit_mini", "digits", "ddp", Path("unused"), recipe)
    splits = split(named.load("digits"))
    model = Model("vit", "mini", "vit_mini", 10)
    run = Run("run", model, study.point({"freeze_depth": 4}), recipe, 3, splits.digests(), fit_on=("val",))
    with connection.connected():
        images = datasets_of_study(splits, study.pretrained_variant.preprocessing, margin=False)
        alone = train(run, images, Resources(), lambda row: None)
        two = Resources(workers=2, cpus=0.6)
        together = train(run, images, two, lambda row: None)
        members = group.current(two).members
        seen = ray.get([member.__ray_call__.remote(where) for member in members])
        address = ray.util.get_node_ip_address()
        losses = [[epoch.train_loss for epoch in outcome.epochs] for outcome in (alone, together)]
        print(json.dumps({"losses": losses, "seen": seen, "interface": group.interface_of(address)}))


@pytest.mark.nodes
def test_workers_on_two_nodes_meet_over_their_nodes_interface_and_train_what_one_worker_would(tmp_path: Path) -> None:
    with ray_nodes(tmp_path, 0, 1, 1) as cluster:
        ran = subprocess.run(
            [sys.executable, "-m", __name__],
            cwd=tmp_path,
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    alone, together = found["losses"]
    assert together == pytest.approx(alone, rel=1e-4)
    assert len({node for node, _ in found["seen"]}) == 2
    assert {interface for _, interface in found["seen"]} == {found["interface"]}
    for node in (1, 2):
        assert [entry for entry in (tmp_path / f"cache-{node}").iterdir() if entry.is_dir()], (
            "a store that is not filled"
        )


if __name__ == "__main__":
    main()
