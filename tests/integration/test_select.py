"""A selection from the command line: real images and backbones, its record, and what it leaves for a study."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fills import counted
from study.baselines.probe import run_of
from study.cluster import connection
from study.data import named
from study.data.reading import datasets_of_study
from study.data.splits import split
from study.results.selection import Selection
from study.select import main
from trainables import building, process
from trainables.architecture import get
from trainables.features import features
from trainables.run import Model

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("ray_session")
def test_a_selection_ends_with_the_best_and_leaves_its_boundaries_for_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "store"))
    words = ["--models", "resnet", "vit", "alexnet", "--pretraining", "fashion60k", "none", "--scale", "mini"]
    command = [sys.executable, "-m", "study.select", *words, "--results", str(tmp_path), "--name", "mine"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # Ray's own, with this store
    assert ran.returncode == 0, ran.stderr
    found = Selection.read(tmp_path / "mine")
    assert f"{found.facts['chosen']}: " in ran.stdout
    assert f"continue  {found.facts['next']}" in ran.stdout
    assert (tmp_path / "mine" / "report.html").is_file()
    assert found.facts["split"] == {"train": 1077, "val": 360, "test": 360}
    assert len(found.candidates) == 6
    assert {row["name"] for row in found.of("dropped")} >= {"vit none"}  # random tokens tell little
    assert found.leader["accuracy"] > 0.9

    # no image that was carried through the backbone is carried again
    leader, splits = found.leader, split(named.load("digits"))
    family = get(leader["model"])
    variant = family.variant("mini", leader["pretraining"])
    weights = connection.put(building.pretrained(family, variant))
    model = Model(family.name, "mini", variant.name, 10, weights)
    process.current().clear()
    with counted() as rows:
        features(run_of(model, splits, 1, "auto"), datasets_of_study(splits, variant.preprocessing, margin=False), 1)
    assert found.facts["stored_images"] > 0
    assert sum(rows) == sum(splits.sizes().values()) - found.facts["stored_images"]

    # what is there is not written over, and too little time is said
    assert main([*words, "--results", str(tmp_path), "--name", "mine"]) == 2
    assert "choose another --name" in capsys.readouterr().err
    assert main([*words, "--results", str(tmp_path), "--name", "short", "--budget", "1ms"]) == 2
    assert "--budget 0.001s is too small for one candidate" in capsys.readouterr().err
    assert not (tmp_path / "short").exists()
