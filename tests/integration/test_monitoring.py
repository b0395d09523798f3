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


def exported() -> dict[str, float]:
    """Sums over tags, by Ray's name for each figure of ours."""
    (node,) = (one for one in ray.nodes() if one["Alive"])
    with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics") as page:
        lines = page.read().decode().splitlines()
    sums: dict[str, float] = {}
    for name, value in (match.groups() for line in lines if (match := re.match(r"ray_(study_\w+)\{.*\} (\S+)", line))):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def test_a_study_tells_prometheus_of_its_runs(ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    before = exported().get("study_runs_ended_total", 0)  # by other tests, on the same Ray
    result = run("vit", trials=1, epochs=1, top_k=1, seeds=1, fix={"freeze_depth": "all"}, results=tmp_path, quiet=True)
    wanted = {f"{name}{'_total' if figure.adds else ''}" for name, figure in FIGURES.items() if name not in ON_GPUS}
    end = time.monotonic() + 120
    runs = len(result.record.trials) + len(result.record.runs)
    while (figures := exported()).get("study_runs_ended_total") != before + runs and time.monotonic() < end:
        time.sleep(1)
    assert figures["study_runs_ended_total"] == before + runs
    assert wanted <= figures.keys()
    assert figures["study_images_total"] > 0
    assert 0 < figures["study_best"] <= 1
    assert result.accuracy > 0
