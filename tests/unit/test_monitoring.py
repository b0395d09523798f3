"""What Prometheus is told, and the dashboard that shows it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trainables.monitoring import FIGURES

ROOT = Path(__file__).parents[2]
OF_RAY = {"ray_resources", "ray_node_gpus_utilization"}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((ROOT / "monitoring" / "grafana_dashboard.json").read_text())


def exported(name: str) -> str:
    return f"ray_{name}{'_total' if FIGURES[name].adds else ''}"


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_on_the_dashboard_by_tags_that_it_has(name: str, dashboard: dict[str, Any]) -> None:
    using = [one for one in expressions(dashboard) if re.search(rf"\b{exported(name)}\b", one)]
    assert using
    for expression in using:
        for tags in re.findall(r"by \(([^)]*)\)", expression):
            assert set(tags.split(", ")) <= set(FIGURES[name].tags)


def test_the_dashboard_shows_nothing_that_is_not_exported(dashboard: dict[str, Any]) -> None:
    known = {exported(name) for name in FIGURES} | OF_RAY
    for expression in expressions(dashboard):
        assert set(re.findall(r"\bray_\w+", expression)) <= known


def test_panels_do_not_lie_on_one_another(dashboard: dict[str, Any]) -> None:
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "cluster.md").read_text()
