"""The page of a comparison: what is on it, that it carries its own data, and that what is missing is said."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.comparison import Comparison, compare
from study.comparison.groups import titles_of
from study.report import comparison as report
from study.report.comparison import confusion, opposites
from study.report.comparison.pictures import embedded
from study.report.comparison.scale import scale
from study.report.study import confusion as of_a_study
from tests.comparisons import EIGHT, FOUR, compared, needing, probe
from tests.pages import Page
from tests.records import DIGITS
from tests.records import EIGHT as SPACE
from trainables.metrics import Metric

SECTIONS = [
    *("answer", "findings", "pairs", "cost", "learning", "requirements", "search", "importance"),
    *("classes", "confusion", "images", "protocol"),
]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(tmp_path_factory.mktemp("eight"), EIGHT)


@pytest.fixture(scope="module")
def written(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(comparison, tmp_path_factory.mktemp("page") / "new" / "folder")


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text())


def near(text: str, value: float) -> bool:
    return float(text) == pytest.approx(value, rel=1e-5)


def ids(page: Page) -> list[str | None]:
    return [a["id"] for a in page.all("header") + page.all("section")]


def test_the_page_is_written_as_a_whole_into_a_folder_that_it_makes(written: Path) -> None:
    assert [path.name for path in written.parent.iterdir()] == ["report.html"]
    assert written.name == "report.html"


def test_all_sections_are_there_and_in_the_navigation(page: Page) -> None:
    assert ids(page) == SECTIONS
    linked = [a["href"] for a in page.all("a") if (a["href"] or "").startswith("#")]
    assert linked == ["#main", *(f"#{name}" for name in SECTIONS)]


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "data", "action", "poster"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#")), (tag, name, address)
    assert not re.search(r"https?://|url\(|@import", page.text)


def test_the_first_screen_has_the_question_the_answer_and_the_budget(comparison: Comparison, page: Page) -> None:
    assert "Attention, convolution or both: what classifies digits best?" in page.said
    assert comparison.answer in page.said
    assert "Comparison of 8 studies · 8 trials each · 4 epochs · 3 seeds · 120 test images" in page.said


def test_the_ranked_table_has_every_row_with_its_rank_and_interval(comparison: Comparison, page: Page) -> None:
    rows = page.csv("standing")
    assert [row["name"] for row in rows] == [row.name for row in comparison.groups[0].rows]
    for told, row in zip(rows, comparison.groups[0].rows, strict=True):
        assert int(told["rank"]) == comparison.groups[0].ranks[row.name]
        assert near(told["accuracy"], row.accuracy.mean)
        assert near(told["low"], row.accuracy.interval.low)
        assert near(told["high"], row.accuracy.interval.high)
        low, high = (f"{100 * bound:.1f}" for bound in row.accuracy.interval)
        assert f"{100 * row.accuracy.mean:.1f} [{low}, {high}]" in page.said


def test_every_pair_is_told_with_what_was_computed_of_it(comparison: Comparison, page: Page) -> None:
    told = {(row["a"], row["b"]): row for row in page.csv("pairs-matrix")}
    assert told.keys() == comparison.groups[0].differences.keys()
    for names, found in comparison.groups[0].differences.items():
        assert near(told[names]["difference"], found.mean)
        assert near(told[names]["p_adjusted"], found.p_adjusted)
        assert told[names]["different"] == str(found.different)


def test_a_difference_is_said_in_words_too(comparison: Comparison, page: Page) -> None:
    different = sum(found.different for found in comparison.groups[0].differences.values())
    assert different > 0
    assert page.text.count('<span class="said"> different</span>') == 2 * different


def test_every_figure_has_a_title_axes_words_and_its_numbers(page: Page) -> None:
    plots = {a["id"]: a for a in page.all("div") if a.get("class") == "plot"}
    names = page.figures()
    assert len(names) == len(set(names)) > 40
    for name in names:
        layout = page.figure(name)["layout"]
        assert layout["xaxis"]["title"]["text"]
        assert layout["yaxis"]["title"]["text"]
        assert len(plots[name]["aria-label"] or "") > 50
        assert page.csv(name)
    assert len(plots["confusions"]["aria-label"] or "") > 50


def test_ids_are_given_once(page: Page) -> None:
    given = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(given) == len(set(given))


def test_a_family_has_one_colour_and_one_mark_in_every_figure(page: Page) -> None:
    marks: dict[str, set[str]] = {}
    for name in page.figures():
        for trace in page.figure(name)["data"]:
            if (family := trace.get("meta", {}).get("family")) and "marker" in trace:
                marks.setdefault(family, set()).add(trace["marker"]["symbol"])
                assert trace["marker"]["line"]["color"] == f"var(--{family})"
    assert marks == {"convolution": {"square"}, "attention": {"circle"}, "hybrid": {"diamond"}}


def test_every_colour_is_defined_for_both_themes(page: Page) -> None:
    defined = set(re.findall(r"(--[\w-]+): light-dark\(", page.scripts["style of the page"]))
    drawn = "".join(page.scripts[name] for name in [*page.figures(), "confusions"])
    assert set(re.findall(r"var\((--[\w-]+)\)", drawn)) <= defined


def test_the_pareto_front_of_each_cost_is_marked(comparison: Comparison, page: Page) -> None:
    rows = page.csv("cost-latency-ms")
    assert [row["name"] for row in rows] == [row.name for row in comparison.groups[0].rows]
    for row in rows:
        beaten = any(
            float(other["accuracy"]) >= float(row["accuracy"])
            and float(other["latency_ms"]) <= float(row["latency_ms"])
            and other is not row
            for other in rows
        )
        assert (row["on_pareto_front"] == "True") is not beaten


def test_the_confusions_are_those_of_the_predictions_in_the_order_of_similarity(
    comparison: Comparison, page: Page
) -> None:
    told = json.loads(page.scripts["confusions"])
    assert sorted(told["classes"]) == sorted(DIGITS)
    order = [DIGITS.index(name) for name in told["classes"]]
    for row, packed in zip(comparison.groups[0].rows, told["cells"], strict=True):
        counts = np.zeros((10, 10), int)
        for true, predicted, count in np.frombuffer(b64decode(packed), "<u4").reshape(-1, 3):
            counts[true, predicted] = count
        assert (counts == confusion.matrix(row)[np.ix_(order, order)]).all()


def test_of_many_classes_the_matrix_shows_those_that_are_confused_most(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_a_study, "MOST_SHOWN", 4)
    group = comparison.groups[0]
    shown, note, _ = confusion.blocks(group, comparison.rows, "")
    total = sum(confusion.matrix(row) for row in group.rows)
    wrong = total - np.diag(np.diag(total))
    involved = dict(zip(DIGITS, wrong.sum(axis=0) + wrong.sum(axis=1), strict=True))
    assert len(shown.classes) == 4
    assert min(involved[name] for name in shown.classes) >= max(
        involved[name] for name in set(DIGITS) - {*shown.classes}
    )
    assert "4 of 10 classes" in note.text


def test_classes_that_are_taken_for_each_other_stand_side_by_side() -> None:
    shares = np.eye(8)
    for i, j in ((0, 5), (3, 6), (1, 7)):
        shares[i, [i, j]] = shares[j, [j, i]] = 0.7, 0.3
    order = confusion.by_similarity(shares)
    assert sorted(order) == list(range(8))
    assert all(abs(order.index(i) - order.index(j)) == 1 for i, j in ((0, 5), (3, 6), (1, 7)))


def test_the_top_confusions_come_with_pictures_of_the_records(comparison: Comparison, page: Page) -> None:
    rows = page.csv("top-confusions")
    shares = [float(row["share"]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    kept = {s["png"] for row in comparison.rows for s in row.record.tables["samples"]}
    shown = {b64decode((a["src"] or "").partition(",")[2]) for a in page.all("img")}
    assert shown
    assert shown <= kept


def test_images_that_only_one_family_gets_right_are_counted_from_the_predictions(
    comparison: Comparison, page: Page
) -> None:
    rows = opposites.representatives(comparison.groups[0].rows, ["convolution", "attention", "hybrid"])
    right = {name: row.correct.mean(axis=0) > 0.5 for name, row in rows.items()}
    alone = right["attention"] & ~right["convolution"] & ~right["hybrid"]
    told = {row["who"]: int(row["images"]) for row in page.csv("agreement")}
    assert told[f"only attention, {rows['attention'].label}"] == alone.sum()
    assert sum(told.values()) == comparison.groups[0].n_test


def test_families_are_set_against_each_other_with_the_same_pretraining(comparison: Comparison) -> None:
    for one, other in opposites.opposed(comparison.groups[0]):
        assert one.pretraining == other.pretraining
        assert one.family != other.family


def test_class_differences_are_those_of_the_recalls(comparison: Comparison, page: Page) -> None:
    one, other = opposites.opposed(comparison.groups[0])[0]
    assert {one.family, other.family} == {"attention", "convolution"}
    for row in page.csv("class-differences-1"):
        recalls = one.recall[row["class"]], other.recall[row["class"]]
        assert None not in recalls
        assert float(row["difference"]) == pytest.approx(recalls[0] - recalls[1], abs=1e-5)  # type: ignore[operator]


def test_commands_and_the_checklist_are_there(comparison: Comparison, page: Page) -> None:
    assert all((row.record.study.command or "missing") in page.said for row in comparison.rows)
    answers = {row["question"]: row["answer"] for row in page.csv("checklist")}
    assert answers["Same budget, metric, sampler, recipe, augmentation and seeds for every row?"] == "yes"
    assert answers["Code, versions and hardware recorded?"] == "no"  # these records have no commit


def test_searches_are_shown_by_the_metric_that_chose_and_its_test_value_stands_beside_the_accuracy(
    tmp_path: Path,
) -> None:
    found = compared(tmp_path, [replace(shape, metric=Metric.MACRO_F1) for shape in FOUR[:2]])
    page = Page(report.render(found))
    assert "120 test images · chosen by validation macro-F1" in page.said
    assert "macro_f1" in {heading.get("data-column") for heading in page.all("th")}
    for row in found.rows:
        told = [float(one["best_val_macro_f1"]) for one in page.csv("search-best-so-far") if one["name"] == row.name]
        assert told[-1] == pytest.approx(max(t["val_macro_f1"] or 0 for t in row.record.trials))
        assert f"{100 * row.macro_f1.mean:.1f}" in page.said


def test_searches_by_loss_get_better_downwards(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(shape, metric=Metric.LOSS) for shape in FOUR[:2]])
    page = Page(report.render(found))
    told = [float(one["best_val_loss"]) for one in page.csv("search-best-so-far") if one["name"] == found.rows[0].name]
    assert told == sorted(told, reverse=True)
    expected = [one for one in page.csv("search-expected-trials") if one["name"] == found.rows[0].name]
    means = [float(one["expected_best"]) for one in expected]
    assert means == sorted(means, reverse=True)
    assert all(float(one["low"]) <= float(one["expected_best"]) <= float(one["high"]) for one in expected[1:])


def test_searches_by_different_metrics_are_shown_by_accuracy(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(FOUR[0], metric=Metric.LOSS), FOUR[1]])
    page = Page(report.render(found))
    assert "best_val_accuracy" in page.csv("search-best-so-far")[0]
    assert "Not equal: metric differs" in page.said


def test_every_hyperparameter_of_a_search_is_drawn_and_told_how_important_it_was(tmp_path: Path) -> None:
    found = compared(tmp_path, [replace(FOUR[0], space=SPACE, trials=30)])
    page = Page(report.render(found))
    assert {f"trial-search-{name}-1".replace("_", "-") for name in SPACE} <= {*page.figures()}
    assert {row["hyperparameter"] for row in page.csv("importance-table")} == {*SPACE}
    assert {row["name"] for row in page.csv("spaces")} == {*SPACE}


def test_probes_and_data_requirements_are_shown_where_they_lie_beside_the_record(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:2])
    probe(found.rows[0].record, 0.83)
    needing(found.rows[0].record, (0.3, 0.6, 0.9))
    page = Page(report.render(found))
    assert page.csv("standing")[0]["linear_probe"] == "0.83"
    assert page.csv("standing")[1]["linear_probe"] == ""
    curve = page.csv("requirements-curve")
    assert [float(row["images_per_class"]) for row in curve] == [1, 2, 4]
    assert all(float(row["low"]) < float(row["accuracy"]) < float(row["high"]) for row in curve)
    assert f"{found.rows[1].label}: no data_efficiency.parquet in its folder" in page.said
    assert "1 run failed." in page.said


def test_the_page_says_how_many_images_an_accuracy_takes_and_who_is_ahead_with_how_many(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:2])
    few, many = found.rows[0], found.rows[1]
    needing(few.record, (0.2, 0.6, 0.9), seeds=5)
    needing(many.record, (0.6, 0.6, 0.4), seeds=5)
    page = Page(report.render(found))
    took = {row["label"]: row for row in page.csv("requirements-needed")}
    assert re.fullmatch(r"1\.\d+ \[1\.\d+, [12]\.\d+\]", took[few.label]["reaches_0.5"])
    assert took[many.label]["reaches_0.7"] == "not reached"
    (pair,) = page.csv("requirements-pairs")
    assert {pair["first"], pair["second"]} == {few.label, many.label}
    assert pair["different"] == "1, 4"
    sign = 1 if pair["first"] == few.label else -1
    assert sign * float(pair["at_1"]) < -0.3
    assert sign * float(pair["at_4"]) > 0.3
    assert f"{few.label} overtakes {many.label}" in page.said
    assert "found to be worse at 1, better at 4" in page.said


def test_studies_that_do_not_cross_are_said_not_to(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:2])
    for row in found.rows:
        needing(row.record, (0.3, 0.6))
    page = Page(report.render(found))
    assert "No model is found to be behind at one amount and ahead at a larger one." in page.said
    assert page.csv("requirements-pairs")[0]["different"] == "nowhere"


def test_the_page_shows_the_best_freeze_depth_at_every_amount(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:1])
    record = found.rows[0].record
    depth = record.winner["freeze_depth"]
    needing(record, (0.6, 0.6), (0.2, 0.95), seeds=5)
    page = Page(report.render(found))
    assert [int(row["best"]) for row in page.csv("requirements-depths")] == [depth, depth - 1]
    assert f"{found.rows[0].label}: depth {depth - 1} overtakes depth {depth}" in page.said


def test_a_study_that_was_measured_at_other_depths_only_is_not_said_to_have_no_file(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:1])
    needing(found.rows[0].record, (), (0.2, 0.9), (0.3, 0.8))
    page = Page(report.render(found))
    assert "no run was completed at the winner’s freeze depth" in page.said
    assert "no data_efficiency.parquet" not in page.said
    assert len(page.csv("requirements-depths")) == 2


def test_the_command_of_the_comparison_is_told_where_it_is_known(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:1])
    command = "python -m study.compare --models coatnet"
    assert command in Page(report.render(found, command=command)).said
    assert "The command of this comparison" not in Page(report.render(found)).said


def test_a_damaged_file_beside_a_record_is_named(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:2])
    (found.rows[0].record.folder / "probe.json").write_text("{")
    with pytest.raises(ValueError, match=r"probe\.json cannot be read"):
        report.render(found)


def test_old_records_say_that_they_do_not_know_their_flops(tmp_path: Path) -> None:
    page = Page(report.render(compared(tmp_path, FOUR[:2], priced=False)))
    assert "FLOPs and inference are not in the record of any row" in page.said
    assert ids(page) == SECTIONS


def test_a_single_row_gives_a_page_that_says_what_one_row_cannot_tell(tmp_path: Path) -> None:
    page = Page(report.render(compared(tmp_path, FOUR[:1])))
    assert ids(page) == SECTIONS
    assert "How well does CoAtNet fashion6k classify digits?" in page.said
    assert "There are no two rows on one dataset." in page.said
    assert "One row has no other to differ from." in page.said
    assert "there are no two families of one pretraining to disagree" in page.said


def test_one_seed_finds_nothing_and_the_page_says_so(tmp_path: Path) -> None:
    page = Page(report.render(compared(tmp_path, [replace(shape, seeds=1) for shape in FOUR])))
    assert {row["different"] for row in page.csv("pairs-matrix")} == {"False"}
    assert "95 % interval over test images, given this search, split and draw;" in page.said
    assert {row["different"] for row in page.csv("class-differences-1")} == {"False"}


def test_two_datasets_stand_apart_under_their_names(tmp_path: Path) -> None:
    shapes = [replace(shape, dataset=dataset) for dataset in ("digits", "letters") for shape in FOUR[:2]]
    page = Page(report.render(compared(tmp_path, shapes)))
    assert ids(page) == SECTIONS
    assert {a["data-group"] for a in page.all("div") if "data-group" in a} == {"digits", "letters"}
    assert {row["dataset"] for row in page.csv("standing-2")} == {"letters"}
    assert len({a["id"] for _, a in page.elements if a.get("id")}) == len([a for _, a in page.elements if a.get("id")])


def test_places_are_called_by_their_last_part_unless_two_share_it() -> None:
    assert titles_of(["digits", "/a/photos", "s3://b/birds/"]) == ["digits", "photos", "birds"]
    assert titles_of(["/a/photos", "/b/photos", "/a/photos"]) == ["/a/photos", "/b/photos", "/a/photos"]


def test_what_differs_is_said_on_the_first_screen(tmp_path: Path) -> None:
    page = Page(report.render(compared(tmp_path, [FOUR[0], replace(FOUR[1], trials=6)])))
    assert "Not equal for all rows: trials differs: 8 (coatnet-digits), 6 (vit-digits)" in page.said
    assert page.csv("checklist")[0]["answer"] == "no"


def test_nothing_that_is_finished_gives_a_page_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    page = Page(report.render(compare([tmp_path / "empty"])))
    assert ids(page) == SECTIONS
    assert "empty: it has no study.json" in page.said


def test_names_from_the_records_are_text_and_never_markup(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", "</script><b>", "\"quoted\" & 'more'", *DIGITS[3:])
    page = Page(report.render(compared(tmp_path, [replace(shape, classes=names) for shape in FOUR[:2]])))
    assert ids(page) == SECTIONS
    assert names[0] in page.said
    assert len([a for a in page.all("script") if "type" not in a]) == 1
    assert all("<" not in page.scripts[name] for name in [*page.figures(), "confusions"])


def test_a_large_picture_becomes_a_small_one_and_a_small_one_stays_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 120, 3), dtype=np.uint8)
    large, small = BytesIO(), BytesIO()
    Image.fromarray(noise).save(large, "PNG")
    Image.fromarray(noise[:8, :8]).save(small, "PNG")
    base64, media, sharp = embedded(large.getvalue())
    assert (media, sharp) == ("image/jpeg", False)
    assert Image.open(BytesIO(b64decode(base64))).size == (96, 128)
    assert len(base64) < len(large.getvalue()) / 3
    assert b64decode(embedded(small.getvalue())[0]) == small.getvalue()


def test_a_row_far_below_the_others_does_not_squeeze_them() -> None:
    evenly, by_error = scale([0.9, 0.95]), scale([0.2, 0.9, 0.95, 0.98])
    assert not evenly.by_error
    assert by_error.share(0.98) - by_error.share(0.9) > 0.3
    for one in (evenly, by_error):
        assert all(0 <= one.share(tick) <= 1 for tick in one.ticks)
        assert len(one.ticks) >= 3


def test_a_scale_holds_an_accuracy_of_one() -> None:
    on = scale([0.2, 1.0])
    assert 0 < on.share(0.2) < on.share(1.0) <= 1
