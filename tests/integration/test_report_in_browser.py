"""The page of a study in a browser: it draws, sorts, filters, prints and renews itself, without an error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from study.report import study as report
from study.results.record import Record
from tests.browser import CHROMIUM, Browser, Tab
from tests.records import EIGHT, Shape, finished, searched
from trainables.metrics import Metric

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

TABLE = "document.querySelector('#trials-table table')"
SHOWN = f"[...{TABLE}.tBodies[0].rows].filter((row) => row.getClientRects().length)"
TITLES = "[...document.querySelectorAll('.plot')].map((plot) => plot.querySelector('.xtitle')?.textContent ?? '')"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.started(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    record = finished(tmp_path_factory.mktemp("study"), Shape(space=EIGHT, metric=Metric.MACRO_F1))
    report.write(record.folder)
    return record


def opened(browser: Browser, record: Record, fragment: str = "", **tab: Any) -> Tab:
    new = browser.tab(**tab)
    new.open(record.folder / "report.html", fragment)
    return new


@pytest.fixture(scope="module")
def untouched(browser: Browser, record: Record) -> Tab:
    """For tests that leave the page as it was."""
    return opened(browser, record)


def press(tab: Tab, column: str) -> dict[str, Any]:
    """The state of the table of trials after its heading is pressed."""
    heading = f"{TABLE}.querySelector('th[data-column={column}]')"
    tab.evaluate(f"{heading}.querySelector('button').click()")
    rows = f"[...{TABLE}.tBodies[0].rows]"
    return tab.evaluate(
        f"({{sort: {heading}.getAttribute('aria-sort'),"
        f"keys: {rows}.map((row) => row.cells[{heading}.cellIndex].dataset.key ?? null),"
        f"trials: {rows}.map((row) => row.cells[0].firstChild.textContent.trim())}})"
    )


def test_every_figure_is_drawn_with_the_colours_of_the_theme_and_the_console_is_silent(
    browser: Browser, record: Record, untouched: Tab
) -> None:
    titles = untouched.evaluate(TITLES)
    assert len(titles) == 18
    assert all(titles), titles
    dark = opened(browser, record, dark=True)
    ink = "document.querySelector('.plot .xtitle').style.fill"
    assert untouched.evaluate(ink) != dark.evaluate(ink)
    assert untouched.console == dark.console == []


def test_a_heading_sorts_its_table_down_and_up_with_missing_numbers_last(browser: Browser, record: Record) -> None:
    tab = opened(browser, record)
    accuracies = [t["val_accuracy"] for t in record.trials if t["val_accuracy"] is not None]
    missing = len(record.trials) - len(accuracies)
    assert missing == 2
    for sort in ("descending", "ascending"):
        found = press(tab, "val_accuracy")
        assert found["sort"] == sort
        assert [float(key) for key in found["keys"][:-missing]] == sorted(accuracies, reverse=sort == "descending")
        assert found["keys"][-missing:] == [None] * missing
    assert press(tab, "trial_id")["trials"] == [t["trial_id"] for t in record.trials]
    pruned = {t["trial_id"] for t in record.trials if t["status"] == "pruned"}
    assert press(tab, "status")["trials"][-1] in pruned


def test_trials_are_filtered_by_brushing_and_a_link_shows_the_same(browser: Browser, record: Record) -> None:
    tab = opened(browser, record)
    assert tab.evaluate(f"{SHOWN}.length") == 32
    tab.evaluate("document.querySelector('.lines [role=slider][aria-label^=\"Freeze depth, highest\"]').focus()")
    for _ in range(4):
        tab.press("PageDown")
    depth = [t for t in record.trials if t["freeze_depth"] <= 3]
    assert tab.evaluate(f"{SHOWN}.length") == len(depth)
    assert tab.evaluate("document.querySelector('.parallel output').textContent") == f"{len(depth)} of 32 trials kept."
    drawn = "document.querySelector('#search-lr').data.flatMap(({ y }) => y).filter((v) => v !== null).length"
    with_marks = len(depth) + sum(t["trial_id"] in ("trial-000", record.winner["trial_id"]) for t in depth)
    assert tab.evaluate(drawn) == with_marks
    press(tab, "val_accuracy")
    tab.until("location.hash.includes('brush') && location.hash.includes('sort')")
    fragment = tab.evaluate("location.hash.slice(1)")

    other = opened(browser, record, fragment)
    assert other.evaluate(f"{SHOWN}.length") == len(depth)
    assert other.evaluate(drawn) == with_marks
    assert other.evaluate(f"{TABLE}.querySelector('[data-column=val_accuracy]').ariaSort") == "descending"
    other.evaluate("document.querySelector('.parallel .all').click()")
    assert other.evaluate(f"{SHOWN}.length") == 32
    assert tab.console == other.console == []


def test_a_study_that_runs_renews_its_page_where_the_reader_is(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "REFRESH", 1.0)
    record = searched(tmp_path, Shape(trials=12))
    record.note(status="running")
    report.write(tmp_path)
    tab = opened(browser, record, "search?sort.trials-table=down.lr")
    drawn = "document.readyState === 'complete' && document.documentElement?.dataset.figures === 'drawn'"
    there = f"{drawn} && Math.abs(document.getElementById('cost').getBoundingClientRect().top - 64) < 40"
    # the page goes to its fragment smoothly, a renewed one to where it was left: who scrolls before then goes again
    go = "document.getElementById('cost').scrollIntoView({ behavior: 'instant' }), false"
    tab.until(f"({there}) ? (window.first = true) : ({go})")
    tab.until(f"!window.first && {there}")
    record.note(status="interrupted")
    report.write(tmp_path)
    tab.until(f"document.body?.dataset.refresh === undefined && {there}")
    assert "interrupted" in tab.evaluate("document.querySelector('.unfinished').textContent")
    assert tab.evaluate(f"{TABLE}.querySelector('[data-column=lr]').ariaSort") == "descending"
    assert tab.console == []


def test_no_serious_obstacle_for_readers_with_a_disability(untouched: Tab) -> None:
    assert untouched.obstacles() == []


def test_figures_are_drawn_for_paper_and_none_is_cut(untouched: Tab) -> None:
    untouched.call("Page.bringToFront")  # timers of tabs behind others wait
    untouched.evaluate("dispatchEvent(new Event('beforeprint'))")
    untouched.emulate(media="print")
    untouched.resize(720, 1000)
    drawn = untouched.evaluate(
        "[...document.querySelectorAll('.plot')].map((plot) => ((svg) => [plot.getBoundingClientRect().width,"
        " svg.getBoundingClientRect().width, svg.viewBox.baseVal.width])(plot.querySelector('svg.main-svg')))"
    )
    for place, width, box in drawn:
        assert width == pytest.approx(place, abs=1)
        assert 0.7 < place / box < 1
    untouched.resize(1440, 900)
    untouched.emulate()
    untouched.evaluate("dispatchEvent(new Event('afterprint'))")
    on_screen = (
        "[...document.querySelectorAll('.plot')].every((plot) => Math.abs(plot.clientWidth - "
        "plot.querySelector('svg.main-svg').getBoundingClientRect().width) <= 1)"
    )
    untouched.until(on_screen)


def test_the_page_fits_a_narrow_window(browser: Browser, record: Record) -> None:
    assert opened(browser, record, width=390).evaluate(OVERFLOW) <= 0


@pytest.mark.parametrize("build", [searched, finished])
def test_class_names_and_unfinished_studies_do_no_harm(build: Any, browser: Browser, tmp_path: Path) -> None:
    shape = Shape(classes=tuple(f"</script><script>console.error({i})</script>" for i in range(10)), trials=8)
    record = build(tmp_path, shape)
    report.write(tmp_path)
    assert opened(browser, record).console == []
