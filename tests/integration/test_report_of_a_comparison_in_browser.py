"""The page of a comparison in a browser: it draws, sorts, filters and changes its theme, by mouse and by keyboard."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.comparison import Comparison, compare
from study.report import comparison as report
from tests.browser import CHROMIUM, Browser, Tab
from tests.comparisons import EIGHT, compared, price
from tests.records import finished

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

LABELS = "[...document.querySelectorAll('#standing tbody tr')].map((row) => row.cells[0].textContent.trim())"
KEYS = "[...document.querySelectorAll('#standing tbody tr')].map((row) => Number(row.cells[2].dataset.key))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.started(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(tmp_path_factory.mktemp("eight"), EIGHT)


@pytest.fixture(scope="module")
def page(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(comparison, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def untouched(browser: Browser, page: Path) -> Tab:
    """For tests that leave the page as it was."""
    tab = browser.tab()
    tab.open(page)
    return tab


@pytest.fixture
def tab(browser: Browser, page: Path) -> Tab:
    tab = browser.tab()
    tab.open(page)
    return tab


def test_every_figure_that_is_shown_is_drawn_and_the_console_is_silent(untouched: Tab) -> None:
    shown = "[...document.querySelectorAll('.plot')].filter((plot) => plot.clientWidth > 0)"
    assert untouched.evaluate(f"{shown}.length") > 10
    assert untouched.evaluate(f"{shown}.filter((plot) => !plot.querySelector('.xtitle')).map((plot) => plot.id)") == []
    assert untouched.console == []


def test_the_first_screen_holds_the_answer_the_table_and_the_picture(untouched: Tab) -> None:
    bottom = (
        "Math.max(...['#standing table', '.first .plot', '.verdict']"
        ".map((part) => document.querySelector(part).getBoundingClientRect().bottom))"
    )
    assert untouched.evaluate(bottom) <= 900


def test_a_heading_sorts_the_ranking_by_mouse_and_by_keyboard(tab: Tab, comparison: Comparison) -> None:
    accuracies = sorted((row.accuracy.mean for row in comparison.rows), reverse=True)
    assert tab.evaluate(KEYS) == accuracies
    tab.evaluate("document.querySelector('#standing [data-column=accuracy] button').focus()")
    tab.press("Enter")
    assert tab.evaluate(KEYS) == accuracies
    tab.press(" ")
    assert tab.evaluate(KEYS) == accuracies[::-1]
    tab.evaluate("document.querySelector('#standing [data-column=label] button').click()")
    assert tab.evaluate(LABELS) == sorted(row.label for row in comparison.rows)


def test_a_button_leaves_a_family_out_of_tables_and_figures(tab: Tab) -> None:
    drawn = "document.querySelector('#search-best-so-far').querySelectorAll('.scatterlayer .trace').length"
    visible = "[...document.querySelectorAll('#standing tbody tr')].filter((row) => row.clientHeight).length"
    assert (tab.evaluate(drawn), tab.evaluate(visible)) == (8, 8)
    tab.evaluate("document.querySelector('[data-keeps=family][value=attention]').click()")
    assert (tab.evaluate(drawn), tab.evaluate(visible)) == (6, 6)
    tab.evaluate("document.querySelector('[data-keeps=pretraining][value=none]').click()")
    assert (tab.evaluate(drawn), tab.evaluate(visible)) == (3, 3)
    tab.evaluate("document.querySelector('[data-keeps=family][value=attention]').click()")
    assert (tab.evaluate(drawn), tab.evaluate(visible)) == (4, 4)
    assert tab.console == []


def test_rows_that_are_not_ticked_leave_tables_and_figures_and_a_link_shows_the_same(
    tab: Tab, browser: Browser, page: Path
) -> None:
    drawn = "document.querySelector('#search-best-so-far').querySelectorAll('.scatterlayer .trace').length"
    pairs = "[...document.querySelectorAll('#every-pair tbody tr')].filter((row) => row.getClientRects().length).length"
    curves = "[...document.querySelectorAll('#learning .option:not([hidden]) figure')]"
    curves = f"{curves}.filter((one) => one.getClientRects().length).length"
    ticks = "[...document.querySelectorAll('#standing .tick')]"
    assert [tab.evaluate(count) for count in (drawn, pairs, curves)] == [8, 28, 8]
    tab.evaluate(f"{ticks}.slice(3).forEach((tick) => tick.click())")
    assert [tab.evaluate(count) for count in (drawn, pairs, curves)] == [3, 3, 3]
    tab.evaluate(
        "{ const list = document.querySelector('.first select'); list.selectedIndex = 1;"
        " list.dispatchEvent(new Event('change')) }"
    )
    tab.until("location.hash.includes('show.cost')")
    other = browser.tab()
    other.open(page, tab.evaluate("location.hash.slice(1)"))
    assert [other.evaluate(count) for count in (drawn, pairs, curves)] == [3, 3, 3]
    assert other.evaluate("document.querySelector('.first select').selectedIndex") == 1
    other.evaluate("document.querySelector('button[data-ticks]').click()")
    assert other.evaluate(pairs) == 28
    assert tab.console == other.console == []


@pytest.mark.parametrize("width", [1280, 1024])
def test_every_word_of_the_navigation_is_seen_whole(browser: Browser, page: Path, width: int) -> None:
    tab = browser.tab(width=width)
    tab.open(page)
    edges = "((list) => [list.scrollWidth - list.clientWidth, list.scrollHeight - list.clientHeight])"
    assert tab.evaluate(f"{edges}(document.querySelector('nav ul'))") == [0, 0]
    assert tab.evaluate("document.querySelector('nav').offsetHeight") < 80  # what a section leaves free above itself


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_no_two_names_of_a_figure_and_no_two_marks_of_an_axis_collide(browser: Browser, page: Path, width: int) -> None:
    tab = browser.tab(width=width)
    tab.open(page)
    boxes = (
        "((found) => found.map((one) => one.getBoundingClientRect()).map(({ left, top, right, bottom }, i) =>"
        " [found[i].textContent, left, top, right, bottom]))([...document.querySelectorAll('SELECTOR')])"
    )
    named = tab.evaluate(boxes.replace("SELECTOR", ".first .plot .annotation-text"))
    assert len(named) >= 4
    for found in (named, tab.evaluate(boxes.replace("SELECTOR", "#standing .axis span, #standing thead button"))):
        for i, (one, left, top, right, bottom) in enumerate(found):
            for other, a, b, c, d in found[:i]:
                assert min(right, c) <= max(left, a) + 1 or min(bottom, d) <= max(top, b) + 1, (one, other)


@pytest.mark.parametrize("dark", [False, True])
def test_no_serious_obstacle_for_readers_with_a_disability(dark: bool, untouched: Tab) -> None:
    untouched.emulate(dark=dark)
    assert untouched.obstacles() == []
    untouched.emulate()


def test_a_field_keeps_the_rows_that_hold_its_words(tab: Tab) -> None:
    tab.evaluate(
        "{ const field = document.querySelector('input[data-filters=every-pair]'); field.value = 'vit different';"
        "field.dispatchEvent(new Event('input', { bubbles: true })) }"
    )
    rows = "[...document.querySelectorAll('#every-pair tbody tr')].filter((row) => row.clientHeight)"
    kept = tab.evaluate(f"{rows}.map((row) => row.textContent)")
    assert 0 < len(kept) < 28
    assert all("ViT" in row and "different" in row for row in kept)
    assert tab.evaluate("document.querySelector('#every-pair output').textContent") == f"{len(kept)} of 28"


def test_a_list_shows_another_cost_and_another_matrix(tab: Tab) -> None:
    choose = (
        "{{ const list = document.querySelector('{0}'); list.selectedIndex = {1};"
        " list.dispatchEvent(new Event('change')) }}"
    )
    tab.evaluate(choose.format(".first select", 3))
    tab.until("document.querySelector('#cost-parameters .xtitle')?.textContent === 'parameters'")
    before = tab.evaluate("document.querySelector('#confusions').data[0].text.flat().join()")
    tab.evaluate(choose.format(".confusions .model", 7))
    assert tab.evaluate("document.querySelector('#confusions').data[0].text.flat().join()") != before
    tab.evaluate(choose.format(".confusions .order", 1))
    assert tab.evaluate("document.querySelector('#confusions').data[0].customdata[0][0][1]") == "eight"
    tab.evaluate(choose.format(".confusions .around", 0))
    tab.evaluate("document.querySelector('.top-confusions button').click()")
    assert tab.evaluate("document.querySelector('#confusions').data[0].z.length") == 9
    tab.evaluate(choose.format(".confusions .which", 0))
    assert tab.evaluate("document.querySelector('#confusions').data[0].z.length") == 10
    assert tab.console == []


def test_the_button_changes_the_theme_of_page_and_figures_by_keyboard(untouched: Tab) -> None:
    colors = (
        "[getComputedStyle(document.body).backgroundColor, document.querySelector('.plot .xtitle').style.fill,"
        "document.getElementById('theme').ariaPressed]"
    )
    light = untouched.evaluate(colors)
    untouched.evaluate("document.getElementById('theme').focus()")
    untouched.press("Enter")
    dark = untouched.evaluate(colors)
    assert (light[0], light[2], dark[0], dark[2]) == ("rgb(255, 255, 255)", "false", "rgb(22, 24, 26)", "true")
    assert light[1] != dark[1]
    untouched.press("Enter")
    assert untouched.evaluate(colors) == light


def test_the_system_decides_the_theme_and_paper_is_always_light(browser: Browser, page: Path) -> None:
    tab = browser.tab(dark=True)
    tab.open(page)
    background = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(background) == "rgb(22, 24, 26)"
    tab.evaluate("document.getElementById('theme').click(); document.getElementById('theme').click()")
    tab.emulate(dark=True, media="print")
    assert tab.evaluate(background) == "rgb(255, 255, 255)"
    assert tab.pdf().startswith(b"%PDF")


def test_the_tab_key_reaches_every_kind_of_control_in_the_order_of_the_page(tab: Tab) -> None:
    seen = []
    for _ in range(45):
        tab.press("Tab")
        seen.append(
            tab.evaluate(
                "((e) => e.className === 'skip' ? 'skip' : e.id === 'theme' ? 'theme' : e.dataset.keeps ? 'keeps' :"
                "e.closest('[data-column]') ? 'sort' : e.className === 'csv' ? 'csv' : e.tagName)"
                "(document.activeElement)"
            )
        )
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", seen[-1]
    order = list(dict.fromkeys(seen))
    assert order[0] == "skip"
    wanted = ["theme", "keeps", "csv", "sort", "SELECT"]
    assert [kind for kind in order if kind in wanted] == wanted


def test_a_link_downloads_the_numbers_of_its_table(untouched: Tab, comparison: Comparison, tmp_path: Path) -> None:
    file = untouched.downloaded(tmp_path, "#standing .csv")
    assert file.name == "standing.csv"
    lines = csv.DictReader(file.read_text().splitlines())
    assert [line["name"] for line in lines] == [row.name for row in comparison.rows]


@pytest.mark.parametrize("width", [390, 820])
def test_the_page_fits_a_narrow_window(browser: Browser, page: Path, width: int) -> None:
    tab = browser.tab(width=width)
    tab.open(page)
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows on 257 classes, with pictures as large as a record keeps and of the kind that compresses worst."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    names = tuple(f"{i:03d}.class-of-caltech" for i in range(257))
    records = []
    for i, shape in enumerate(EIGHT):
        shape = replace(shape, classes=names, images_per_class=6, samples=48, trials=16, epochs=10)
        record = finished(folder / shape.name, shape)
        record.replace("samples", [{**row, "png": noise(rng)} for row in record.tables["samples"]])
        price(record, i)
        records.append(record)
    return report.write(compare([record.folder for record in records]), folder)


def noise(rng: np.random.Generator) -> bytes:
    out = BytesIO()
    Image.fromarray(rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)).save(out, "PNG", compress_level=0)
    return out.getvalue()


def test_eight_rows_on_257_classes_are_small_and_open_at_once(browser: Browser, large: Path) -> None:
    size = large.stat().st_size / 1e6
    tab = browser.tab()
    seconds = tab.open(large)
    print(f"257 classes, 8 rows: {size:.1f} MB, every figure drawn after {seconds:.1f} s")
    assert size < 15
    assert seconds < 20  # 3 s is the aim, on a machine that does nothing else
    assert 2 <= tab.evaluate("document.querySelector('#confusions').data[0].z.length") <= 30  # those confused most
    tab.evaluate(
        "{ const list = document.querySelector('.confusions .which'); list.value = 'all';"
        " list.dispatchEvent(new Event('change')) }"
    )
    assert tab.evaluate("document.querySelector('#confusions').data[0].z.length") == 257
    assert tab.evaluate("document.documentElement.scrollWidth <= 1440")
    assert tab.console == []
