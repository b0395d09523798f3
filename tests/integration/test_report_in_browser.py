"""The page in a browser: it draws and sorts without an error in the console, in both themes."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from study.report import study as report
from study.results.record import Record
from tests.records import EIGHT, Shape, finished, searched
from trainables.metrics import Metric

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

SORTS = """
<script>
addEventListener("load", async () => {
  const drawn = () => document.documentElement.dataset.figures === "drawn";
  for (let i = 0; i < 200 && !drawn(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  const table = document.querySelector("#trials-table table");
  const heading = (name) => table.querySelector(`th[data-column="${name}"]`);
  const press = (name) => {
    heading(name).querySelector("button").click();
    return {
      sort: heading(name).getAttribute("aria-sort"),
      keys: [...table.tBodies[0].rows].map((row) => row.cells[heading(name).cellIndex].dataset.key ?? null),
      trials: [...table.tBodies[0].rows].map((row) => row.cells[0].firstChild.textContent.trim()),
    };
  };
  const found = {
    figures: document.querySelectorAll("script[data-figure]").length,
    titles: [...document.querySelectorAll(".plot")].map((plot) => plot.querySelector(".xtitle")?.textContent ?? ""),
    ink: document.querySelector(".plot .xtitle")?.style.fill ?? "",
    width: document.documentElement.clientWidth,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    down: press("val_accuracy"), up: press("val_accuracy"), trials: press("trial_id"), status: press("status"),
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""
FRAME = """<!doctype html>
<pre id="result"></pre>
<script>addEventListener("message", ({ data }) => { document.getElementById("result").textContent = data; });</script>
<iframe src="page.html" style="width: %dpx; height: 800px"></iframe>
"""


def opened(record: Record, tmp_path: Path, *flags: str, width: int = 1200) -> tuple[dict[str, Any], list[str]]:
    """What a script finds on the page, and what was said in the console.

    The page is in a frame, because a window of Chromium is never narrower than 500 px.
    """
    assert CHROMIUM is not None
    (tmp_path / "page.html").write_text(report.render(record).replace("</body>", SORTS + "</body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME % width)
    command = [
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
        *("--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0"),
        *("--virtual-time-budget=15000", "--dump-dom", *flags, frame.as_uri()),
    ]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in seen.stderr.splitlines() if "CONSOLE" in line]
    result = re.search(r'<pre id="result">({.*?)</pre>', seen.stdout, re.DOTALL)
    assert result, console or seen.stdout[-2000:]
    return json.loads(unescape(result[1])), console


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return finished(tmp_path_factory.mktemp("study"))


def test_every_figure_is_drawn_and_the_console_is_silent(record: Record, tmp_path: Path) -> None:
    found, console = opened(record, tmp_path)
    assert console == []
    assert found["figures"] == 9
    assert all(found["titles"]), found["titles"]
    assert len(found["titles"]) == 9


def test_a_search_of_eight_hyperparameters_by_another_metric_is_drawn_too(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    found, console = opened(finished(tmp_path / "study", Shape(space=EIGHT, metric=Metric.MACRO_F1)), tmp_path)
    assert console == []
    assert found["figures"] == 15
    assert all(found["titles"]), found["titles"]
    assert found["overflow"] <= 0


def test_a_heading_sorts_its_table_down_and_up_with_missing_numbers_last(record: Record, tmp_path: Path) -> None:
    found, _ = opened(record, tmp_path)
    accuracies = [t["val_accuracy"] for t in record.trials if t["val_accuracy"] is not None]
    missing = len(record.trials) - len(accuracies)
    assert missing == 2
    for order, sort in (("down", "descending"), ("up", "ascending")):
        keys = found[order]["keys"]
        assert found[order]["sort"] == sort
        assert [float(key) for key in keys[:-missing]] == sorted(accuracies, reverse=order == "down")
        assert keys[-missing:] == [None] * missing
    assert found["trials"]["trials"] == [t["trial_id"] for t in record.trials]
    assert found["status"]["trials"][-1] in {t["trial_id"] for t in record.trials if t["status"] == "pruned"}


def test_figures_take_the_colours_of_the_theme(record: Record, tmp_path: Path) -> None:
    light, _ = opened(record, tmp_path, "--blink-settings=preferredColorScheme=1")
    dark, console = opened(record, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert console == []
    assert light["ink"]
    assert light["ink"] != dark["ink"]


def test_the_page_fits_a_narrow_window(record: Record, tmp_path: Path) -> None:
    found, _ = opened(record, tmp_path, width=400)
    assert found["width"] <= 400
    assert found["overflow"] <= 0


@pytest.mark.parametrize("build", [searched, finished])
def test_class_names_and_unfinished_studies_do_no_harm(build: Any, tmp_path: Path) -> None:
    shape = Shape(classes=tuple(f"</script><script>console.error({i})</script>" for i in range(10)), trials=8)
    (tmp_path / "study").mkdir()
    _, console = opened(build(tmp_path / "study", shape), tmp_path)
    assert console == []
