"""The page of a study: what is on it, that it carries its own data, and that any record gives one."""

import gzip
import json
import re
from base64 import b64decode
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.offline import get_plotlyjs_version

from study.design.states import RunStatus
from study.report import blocks, numbers
from study.report import study as report
from study.report.study.live import LivePage
from study.results.record import Record
from study.results.study_file import plain
from tests.pages import Page
from tests.records import DIGITS, EIGHT, Shape, as_format_1, failed, finished, searched, started, trial
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

SECTIONS = [
    *("answer", "learning", "search", "importance", "cost", "confusion", "classes", "images", "looked-at", "trials"),
    "protocol",
]
HOSTILE = replace(Shape(), classes=("<script>alert(1)</script>", "</script><b>", "\"quoted\" & 'more'", *DIGITS[3:]))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return finished(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def page(record: Record) -> Page:
    return Page(report.write(record.folder).read_text())


def near(text: str, value: float | None) -> bool:
    return text == "" if value is None else float(text) == pytest.approx(value, rel=1e-5)


def test_the_page_is_written_as_a_whole_beside_the_record(tmp_path: Path) -> None:
    record = started(tmp_path)
    assert report.write(record.folder) == tmp_path / "report.html"
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        report.write(tmp_path / "nowhere")


def test_all_sections_are_there_and_in_the_navigation(page: Page) -> None:
    assert [a["id"] for a in page.all("header") + page.all("section")] == SECTIONS
    linked = [a["href"] for a in page.all("a") if (a["href"] or "").startswith("#")]
    assert linked == ["#main", *(f"#{name}" for name in SECTIONS)]


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "data", "action", "poster"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#")), (tag, name, address)
    assert "url(" not in page.scripts["style of the page"]
    assert "@import" not in page.scripts["style of the page"]
    assert not re.search(r"https?://", page.text)


def test_plotly_is_there_once_and_only_where_something_is_drawn(page: Page, tmp_path: Path) -> None:
    assert page.text.count('id="plotly"') == 1
    assert 'id="plotly"' not in report.render(started(tmp_path))


def test_plotly_js_is_the_version_that_plotly_for_python_writes_for() -> None:
    packed = files("study.report").joinpath("assets", "plotly-cartesian.min.js.gz").read_bytes()
    assert f"v{get_plotlyjs_version()}\n" in gzip.decompress(packed)[:200].decode()


def test_the_page_is_small(page: Page) -> None:
    assert len(page.text) < 1_100_000


def test_hundreds_of_classes_and_trials_stay_below_three_megabytes(tmp_path: Path) -> None:
    shape = Shape(classes=tuple(f"class {i}" for i in range(257)), trials=64, epochs=30, images_per_class=6)
    assert len(report.render(finished(tmp_path, shape))) < 3_000_000


def test_the_first_screen_says_the_answer_with_its_interval_n_seeds_and_budget(record: Record, page: Page) -> None:
    test = record.test
    low, high = (numbers.percent(bound) for bound in test.interval)
    assert f"95 % interval {low} to {high}, mean of 3 seeds on 360 test images" in page.text
    assert numbers.percent(test.accuracy) in page.said
    assert "32 trials of up to 12 epochs" in page.said
    assert record.winner["trial_id"] in page.said


def test_the_gain_over_the_papers_recipe_is_that_of_the_means_over_seeds(record: Record, page: Page) -> None:
    winner, paper = record.winner, record.study.paper or {}
    gain = 100 * (winner["val_accuracy"] - paper["val_accuracy"])
    start = "the starting point (learning rate and weight decay are ours)"
    assert f"+{gain:.1f} points of accuracy on validation over {start}" in page.said


def test_the_tables_hold_the_numbers_of_the_record(record: Record, page: Page) -> None:
    trials = page.csv("trials-table")
    assert [row["trial_id"] for row in trials] == [t["trial_id"] for t in record.trials]
    assert [row["status"] for row in trials] == [t["status"] for t in record.trials]
    for name in ("lr", "weight_decay", "freeze_depth", "trained_share", "val_accuracy", "train_seconds"):
        assert all(near(row[name], t[name]) for row, t in zip(trials, record.trials, strict=True)), name
    classes = zip(page.csv("per-class"), record.test.per_class, strict=True)
    assert all(near(row["f1-score"], truth["f1-score"]) for row, truth in classes)
    pairs = [(row["true"], row["predicted"], int(row["count"])) for row in page.csv("most-confused")]
    assert pairs == [*record.test.most_confused]


def test_the_confusion_matrix_is_that_of_the_record(record: Record, page: Page) -> None:
    dense = np.zeros((len(DIGITS), len(DIGITS)), int)
    for true, predicted, count in record.confusion:
        dense[true, predicted] = count
    matrix = dense.tolist()
    assert [[int(row[name]) for name in DIGITS] for row in page.csv("confusion-matrix")] == matrix
    assert page.figure("confusion-matrix")["data"][1]["z"] == matrix


def test_neither_record_nor_page_grows_by_the_square_of_the_classes(tmp_path: Path) -> None:
    classes = tuple(f"class {i}" for i in range(1000))
    many = finished(tmp_path, replace(Shape(), classes=classes, images_per_class=1))
    assert (many.folder / "study.json").stat().st_size < 300 * len(classes)
    page = Page(report.write(many.folder).read_text())
    assert len(page.figure("confusion-matrix")["data"][1]["z"]) == 40
    assert "shows the 40 of 1,000 classes that are confused most" in page.said


def test_the_learning_curves_hold_every_epoch_of_the_record(record: Record, page: Page) -> None:
    truth = [row for row in record.curves if row["phase"] == "search"]
    downloaded = page.csv("search-val-accuracy")
    assert [(r["run_id"], int(r["epoch"])) for r in downloaded] == [(r["run_id"], r["epoch"]) for r in truth]
    assert all(near(d["val_accuracy"], t["val_accuracy"]) for d, t in zip(downloaded, truth, strict=True))
    drawn = [y for trace in page.figure("search-val-accuracy")["data"] for y in trace["y"] if y is not None]
    assert sorted(drawn) == pytest.approx(sorted(row["val_accuracy"] for row in truth), abs=1e-4)


def test_every_trial_is_a_point_against_each_hyperparameter(record: Record, page: Page) -> None:
    for name in ("lr", "weight-decay", "freeze-depth"):
        drawn = {said[0] for trace in page.figure(f"search-{name}")["data"] for said in trace["customdata"]}
        assert drawn == {t["trial_id"] for t in record.trials}


def test_every_figure_has_a_title_axes_words_and_its_numbers(page: Page) -> None:
    plots = {a["id"]: a for a in page.all("div") if a.get("class") == "plot"}
    assert len(page.figures()) >= 9
    for name in page.figures():
        layout = page.figure(name)["layout"]
        assert layout["xaxis"]["title"]["text"]
        assert layout["yaxis"]["title"]["text"]
        assert plots[name]["role"] == "group"  # and no image: it has buttons
        assert len(plots[name]["aria-label"] or "") > 50
        assert page.csv(name)
        assert any(a.get("aria-labelledby") == f"{name}-title" for a in page.all("figure"))


def test_every_colour_of_a_figure_is_defined_for_both_themes(page: Page) -> None:
    used = set(re.findall(r"var\((--[\w-]+)\)", "".join(page.scripts[name] for name in page.figures())))
    defined = set(re.findall(r"(--[\w-]+): light-dark\(", page.scripts["style of the page"]))
    assert used
    assert used <= defined


def test_the_images_are_the_samples_of_the_record(record: Record, page: Page) -> None:
    shown = {b64decode((a["src"] or "").partition(",")[2]) for a in page.all("img")}
    wrong = [s for s in record.tables["samples"] if s["label"] != s["predicted"]]
    assert shown <= {s["png"] for s in record.tables["samples"]}
    assert {s["png"] for s in wrong} <= shown
    assert all(a["class"] == "small" and a["alt"] for a in page.all("img"))


def test_names_from_the_record_are_text_and_never_markup(tmp_path: Path) -> None:
    page = Page(report.render(finished(tmp_path, HOSTILE)))
    assert HOSTILE.classes[0] in page.said
    assert [a["id"] for a in page.all("header") + page.all("section")] == SECTIONS
    kinds = {a.get("type") for a in page.all("script")}
    assert kinds == {"application/json", "text/plain", None}
    assert len([a for a in page.all("script") if "type" not in a]) == 1
    assert all("<" not in page.scripts[name] for name in page.figures())
    assert page.figure("confusion-matrix")["layout"]["xaxis"]["ticktext"][1] == "&lt;/script&gt;&lt;b&gt;"


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (started, "No trial yet: the study is running."),
        (failed, "No trial with a validation accuracy: the study failed."),
        (searched, "No test result yet: the study is interrupted."),
    ],
)
def test_an_unfinished_record_gives_a_page_that_says_what_is_missing(build: Any, why: str, tmp_path: Path) -> None:
    page = Page(report.write(build(tmp_path).folder).read_text())
    assert [a["id"] for a in page.all("header") + page.all("section")] == SECTIONS
    assert why in page.said
    assert any(a.get("class") == "unfinished" for a in page.all("p"))


def test_an_unfinished_search_shows_its_best_trial_and_calls_it_no_test_result(tmp_path: Path) -> None:
    record = searched(tmp_path)
    best = max((t for t in record.trials if t["status"] == "completed"), key=lambda t: t["val_accuracy"])
    page = Page(report.render(record))
    assert f"of {best['trial_id']}, the best so far; the test set has not been looked at" in page.said


def test_a_study_that_stops_during_its_test_does_not_call_the_test_set_unseen(tmp_path: Path) -> None:
    record = finished(tmp_path)
    record.note(status="interrupted", test=None)
    assert "the winner; the test is not complete" in Page(report.render(record)).said


def test_a_search_that_the_papers_recipe_wins_says_so(tmp_path: Path) -> None:
    record = finished(tmp_path)
    record.note(winner=record.study.paper)
    assert (
        "The starting point (learning rate and weight decay are ours) is the best point of this search."
        in Page(report.render(record)).said
    )


def test_runs_of_one_epoch_are_drawn_as_points(tmp_path: Path) -> None:
    page = Page(report.render(searched(tmp_path, Shape(epochs=1))))
    assert {trace["mode"] for trace in page.figure("search-val-accuracy")["data"]} == {"markers"}


def test_a_folder_without_any_file_gives_a_page(tmp_path: Path) -> None:
    page = Page(report.write(tmp_path).read_text())
    assert "No trial yet: the study is not started." in page.said


def test_a_hyperparameter_that_was_fixed_is_told_and_not_drawn(tmp_path: Path) -> None:
    record = finished(tmp_path)
    record.note(study={**plain(record.configuration), "fixed": {"freeze_depth": 5}})
    page = Page(report.render(record))
    assert "search-freeze-depth" not in page.figures()
    assert "Freeze depth was not searched: fixed at 5 of 5." in page.said


def test_a_study_in_which_every_trial_failed_says_how_many_and_why(tmp_path: Path) -> None:
    page = Page(report.write(failed(tmp_path).folder).read_text())
    assert (
        "This study failed: all 3 trials failed. Reason: NotFinite: the training loss is nan in epoch 1 (3 times)."
        in page.said
    )
    assert "Nothing has run yet" not in page.said
    assert "No result yet" not in page.said
    assert "3 failed" in page.said


def test_a_study_whose_trials_were_pruned_or_failed_says_that_none_was_completed(tmp_path: Path) -> None:
    record = failed(tmp_path)
    record.add(trials=[trial(3, Shape(), np.random.default_rng(3), RunStatus.PRUNED)])
    assert "no trial was completed: 3 failed, 1 was pruned. Reason: NotFinite" in Page(report.render(record)).said


def test_a_study_whose_test_runs_failed_says_so_with_the_commonest_reasons_first(tmp_path: Path) -> None:
    record = finished(tmp_path)
    reasons = ["disk full", "out of memory", "out of memory"]
    tests = [
        {**run, "status": "failed", "reason": reason}
        for run, reason in zip([run for run in record.runs if run["phase"] == "test"], reasons, strict=True)
    ]
    record.replace("runs", [*(run for run in record.runs if run["phase"] != "test"), *tests])
    record.note(test=None)
    record.note(status="failed")
    page = Page(report.render(record))
    assert "This study failed: all 3 test runs failed. Reasons: out of memory (2 times); disk full." in page.said


def test_the_table_of_trials_is_in_the_order_of_their_ids_however_they_ended(tmp_path: Path) -> None:
    record = finished(tmp_path)
    record.replace("trials", record.trials[::-1])
    told = [row["trial_id"] for row in Page(report.render(record)).csv("trials-table")]
    assert told == sorted(told)


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A search of eight hyperparameters, by macro-F1."""
    return finished(tmp_path_factory.mktemp("eight"), Shape(space=EIGHT, metric=Metric.MACRO_F1))


def test_every_hyperparameter_that_was_searched_has_a_figure_a_column_and_a_line(eight: Record) -> None:
    page = Page(report.render(eight))
    for name in EIGHT:
        drawn = page.figure(f"search-{name}".replace("_", "-"))
        assert {of[0] for trace in drawn["data"] for of in trace["customdata"]} == {t["trial_id"] for t in eight.trials}
        told = page.csv("trials-table")
        assert [row[name] for row in told] == [
            str(t[name]) if isinstance(t[name], str | int) else f"{t[name]:.6g}" for t in eight.trials
        ]
        winner = DECLARED[name].format(eight.winner[name])
        assert DECLARED[name].title in page.said.lower()
        assert winner in page.said


def test_choices_stand_side_by_side_in_their_order(eight: Record) -> None:
    drawn = Page(report.render(eight)).figure("search-schedule")
    assert drawn["layout"]["xaxis"]["ticktext"] == ["cosine", "onecycle", "constant"]
    schedule = {t["trial_id"]: ["cosine", "onecycle", "constant"].index(t["schedule"]) for t in eight.trials}
    for trace in drawn["data"]:
        for of, x in zip(trace["customdata"], trace["x"], strict=True):
            assert round(x) == schedule[of[0]]


def test_a_value_of_the_papers_recipe_that_is_no_choice_has_a_place_of_its_own(tmp_path: Path) -> None:
    record = finished(tmp_path, Shape(space={**EIGHT, "batch_size": {"choices": [32, 128]}}))
    assert Page(report.render(record)).figure("search-batch-size")["layout"]["xaxis"]["ticktext"] == ["32", "128", "64"]


@pytest.mark.parametrize("metric", [Metric.MACRO_F1, Metric.LOSS])
def test_a_study_is_shown_by_the_metric_that_it_chose_by(metric: Metric, tmp_path: Path) -> None:
    record = finished(tmp_path, Shape(metric=metric))
    page = Page(report.render(record))
    assert f"Chosen by validation {metric.words}" in page.said
    assert f"search-{metric.column}".replace("_", "-") in page.figures()
    assert f"replicate-{metric.column}".replace("_", "-") in page.figures()
    drawn = page.figure("search-lr")
    assert drawn["layout"]["yaxis"]["title"]["text"] == f"validation {metric.words}"
    values = {t["trial_id"]: t[metric.column] for t in record.trials if t[metric.column] is not None}
    for trace in drawn["data"]:
        for of, y in zip(trace["customdata"], trace["y"], strict=True):
            assert values.get(of[0], y) == pytest.approx(y, rel=1e-3)
    told = page.csv("trials-table")
    assert all(near(row[metric.column], t[metric.column]) for row, t in zip(told, record.trials, strict=True))
    assert all(near(row["val_accuracy"], t["val_accuracy"]) for row, t in zip(told, record.trials, strict=True))
    assert numbers.percent(record.test.accuracy) in page.said


def test_the_test_value_of_another_metric_stands_beside_the_test_accuracy(eight: Record) -> None:
    macro_f1 = numbers.percent(eight.test.macro_f1)
    assert (
        f"on 360 test images, given this search, split and draw; test macro-F1 {macro_f1}"
        in Page(report.render(eight)).said
    )


def test_the_best_so_far_by_loss_is_the_smallest(tmp_path: Path) -> None:
    record = searched(tmp_path, Shape(metric=Metric.LOSS))
    best = min((t for t in record.trials if t["status"] == "completed"), key=lambda t: t["val_loss"])
    page = Page(report.render(record))
    assert f"of {best['trial_id']}, the best so far" in page.said
    assert "validation loss, not a test result" in page.said


def test_a_record_from_before_a_hyperparameter_was_declared_still_gives_a_page(tmp_path: Path) -> None:
    record = as_format_1(finished(tmp_path))
    page = Page(report.render(record))
    assert {f"search-{name}" for name in ("lr", "weight-decay", "freeze-depth")} <= {*page.figures()}
    assert numbers.percent(record.winner["val_accuracy"]) in page.said


def test_a_weight_decay_of_zero_is_drawn_left_of_all_others(tmp_path: Path) -> None:
    record = finished(tmp_path)
    record.replace(
        "trials", [{**t, "weight_decay": 0.0 if i == 4 else t["weight_decay"]} for i, t in enumerate(record.trials)]
    )
    data = Page(report.render(record)).figure("search-weight-decay")["data"]
    place = {said[0]: x for trace in data for said, x in zip(trace["customdata"], trace["x"], strict=True)}
    assert 0 < place["trial-004"] < min(x for trial, x in place.items() if trial != "trial-004")


def test_a_drawing_with_a_number_that_json_cannot_hold_is_refused() -> None:
    from study.report.figures import blank

    plot = blank(x="x", y="y").add_scatter(y=[float("nan")])
    with pytest.raises(ValueError, match="JSON"):
        _ = blocks.Figure("id", "title", plot, "alt", ["y"], []).json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.metric_value(Metric.MACRO_F1, 0.9124), "91.2\u202f%"),
        (numbers.metric_value(Metric.LOSS, 0.91238), "0.9124"),
        (numbers.metric_value(Metric.LOSS, None), "–"),
        (numbers.metric_gain(Metric.ACCURACY, 0.012), "+1.2"),
        (numbers.metric_gain(Metric.LOSS, -0.0123), "−0.0123"),
        (numbers.points(-0.0213), "−2.1"),
        (numbers.points(0.0001), "±0.0"),
        (numbers.duration(59.9), "59.9\u202fs"),
        (numbers.duration(59.96), "1\u202fmin 00\u202fs"),
        (numbers.duration(3_700), "1\u202fh 01\u202fmin"),
        (numbers.size(1_530_000_000), "1.53\u202fGB"),
    ],
)
def test_numbers_are_written_for_a_reader(text: str, expected: str) -> None:
    assert text == expected


# What the page of a comparison has, too


def test_misclassified_images_are_told_by_name_the_surest_mistakes_first(tmp_path: Path) -> None:
    record = finished(tmp_path, Shape(trials=4))
    assert "image" not in Page(report.render(record)).csv("misclassified")[0]  # images of an array have no names
    for name in ("samples", "predictions"):
        rows = [{**row, "image": f"class/photo-{row['index']}.jpg"} for row in record.tables[name]]
        record.replace(name, rows)
    page = Page(report.render(record))
    answers: dict[int, list[bool]] = {}
    for row in record.tables["predictions"]:
        answers.setdefault(row["index"], []).append(row["label"] != row["predicted"])
    wrong = {index: np.mean(each) for index, each in answers.items() if np.mean(each) >= 0.5}
    told = page.csv("misclassified")
    assert {row["image"] for row in told} == {f"class/photo-{index}.jpg" for index in wrong}
    assert [float(row["wrong"]) for row in told] == pytest.approx(sorted(wrong.values(), reverse=True), rel=1e-5)
    sample = record.tables["samples"][0]
    assert f"class/photo-{sample['index']}.jpg" in {a.get("title") for a in page.all("span")}


def test_importance_is_told_with_chance_once_the_study_is_finished(page: Page, tmp_path: Path) -> None:
    told = page.csv("importance-table")
    assert {row["hyperparameter"] for row in told} == {"lr", "weight_decay", "freeze_depth"}
    assert sum(float(row["share"]) for row in told) == pytest.approx(1, abs=1e-4)
    assert all(1 / 40 <= float(row["by_chance"]) <= 1 for row in told)
    assert "Told when the study is finished." in Page(report.render(searched(tmp_path))).said


def test_a_winner_at_the_edge_of_what_was_searched_is_said_to_be(tmp_path: Path) -> None:
    record = finished(tmp_path, Shape(trials=4))
    record.note(winner={**record.winner, "lr": 0.09}, space={**plain(record.study.space)})
    assert (
        "The winner's learning rate 9.0e-02 is at the upper edge of what was searched"
        in Page(report.render(record)).said
    )


def test_the_best_so_far_and_the_expected_best_end_at_the_best_trial(record: Record, page: Page) -> None:
    best = max(t["val_accuracy"] for t in record.trials if t["val_accuracy"] is not None)
    assert float(page.csv("search-best-so-far")[-1]["best_val_accuracy"]) == pytest.approx(best)
    expected = [float(row["expected_best"]) for row in page.csv("search-expected-best")]
    assert expected == sorted(expected)
    assert expected[-1] <= best


def test_parallel_coordinates_hold_every_trial_from_the_worst_to_the_best(record: Record, page: Page) -> None:
    told = page.csv("search-parallel")
    assert [row["trial_id"] for row in told] == [t["trial_id"] for t in record.trials]
    content = json.loads(page.scripts["search-parallel"])
    assert [axis["name"] for axis in content["axes"]] == ["lr", "weight_decay", "freeze_depth", "val_accuracy"]
    for axis in content["axes"]:
        values = [float(row[axis["name"]] or "nan") for row in told]
        drawn = [(value, place) for value, place in zip(values, axis["places"], strict=True) if place is not None]
        assert [place for _, place in sorted(drawn)] == sorted(place for _, place in drawn)
        assert all(0 <= place <= 1 for _, place in drawn)


def test_the_trials_costs_are_drawn_and_the_models_are_told(record: Record, page: Page) -> None:
    told = {row["trial_id"]: row["total_seconds"] for row in page.csv("cost-trials")}
    assert all(near(told[t["trial_id"]], t["total_seconds"]) for t in record.trials if t["val_accuracy"] is not None)
    assert "Parameters that the winner trains" in page.said


def test_a_place_is_called_by_its_last_part(tmp_path: Path) -> None:
    page = Page(report.render(searched(tmp_path, Shape(dataset="/a/long/path/photos", trials=4))))
    assert "How well does ResNet, pretrained on fashion6k, classify photos?" in page.said


def test_only_a_study_that_runs_is_loaded_again(tmp_path: Path) -> None:
    record = started(tmp_path)
    assert "data-refresh" in Page(report.render(record)).all("body")[0]
    record.note(status="interrupted")
    assert "data-refresh" not in Page(report.render(record)).all("body")[0]


# While the study runs


def test_a_page_is_written_again_when_it_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(tmp_path)
    said: list[str] = []
    page = LivePage(tmp_path, said.append)
    page.update()
    assert not (tmp_path / "report.html").exists()
    monkeypatch.setattr("study.report.study.live.SECONDS", 0.0)
    page.update()
    assert "</html>" in (tmp_path / "report.html").read_text()
    (tmp_path / "report.html").unlink()
    page.update()  # what it took must first pass many times
    assert not (tmp_path / "report.html").exists()
    assert said == []


def test_a_page_that_cannot_be_written_ends_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.report.study.live.SECONDS", 0.0)
    said: list[str] = []
    LivePage(tmp_path / "gone", said.append).update()
    assert said == [f"the page could not be written: a report needs the folder of a record, got {tmp_path / 'gone'}"]
