"""What Ray's agent hands Prometheus while a study runs."""

import re
import time
import urllib.request
from pathlib import Path

import pytest
import ray

from study import run
from trainables.monitoring import FIGURES

pytest.importorskip("opencensus", reason="ray[default] is not installed, and with it Ray's agent")
ON_GPUS = {"study_gpu_memory_bytes"}
NAME = "told-to-prometheus"  # of no other study on the same Ray, whose figures may still come


def exported() -> dict[str, float]:
    """Sums over tags, by Ray's name for each figure of ours that is of the study, or of no study."""
    (node,) = (one for one in ray.nodes() if one["Alive"])
    with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics") as page:
        lines = page.read().decode().splitlines()
    sums: dict[str, float] = {}
    for line in lines:
        found = re.match(r"ray_(study_\w+)(\{.*\}) (\S+)", line)
        if found and (f'study="{NAME}"' in found[2] or "study=" not in found[2]):
            sums[found[1]] = sums.get(found[1], 0.0) + float(found[3])
    return sums


def test_a_study_tells_prometheus_of_its_runs(ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    fixed = {"freeze_depth": "all"}
    result = run(
        "vit",
        trials=1,
        epochs=1,
        top_k=1,
        seeds=1,
        fix=fixed,
        boundaries="always",
        name=NAME,
        results=tmp_path,
        quiet=True,
    )
    runs = len(result.record.trials) + len(result.record.runs)
    wanted = {f"{name}{'_total' if figure.adds else ''}" for name, figure in FIGURES.items() if name not in ON_GPUS}
    figures: dict[str, float] = {}
    end = time.monotonic() + 120
    while not (wanted <= figures.keys() and figures["study_runs_ended_total"] == runs) and time.monotonic() < end:
        time.sleep(1)
        figures |= exported()  # a gauge that is told nothing more goes after a while
    assert figures.get("study_runs_ended_total") == runs
    assert wanted <= figures.keys()
    assert figures["study_images_total"] > 0
    assert 0 < figures["study_best"] <= 1
    assert result.accuracy > 0
