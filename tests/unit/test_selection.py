"""What a selection says: its record, its screen, its page, its candidates and limits. Nothing is measured here."""

from pathlib import Path

import numpy as np
import pytest
import timm

from study.cluster.allocation import Allocation
from study.data.source import Arrays, ExampleSource
from study.data.splits import DatasetSplits
from study.options import amounts
from study.options.keywords import SelectKeywords
from study.report import selection as report
from study.results.selection import Selection
from study.select import parser
from study.selection import candidates, continuing, counting
from study.selection.candidates import Candidate
from study.selection.limits import Limits, within
from study.selection.measuring import Answer, Runs
from study.selection.race import Race
from study.selection.recording import Context, recorded
from study.terminal.selection import summary
from tests.pages import Page
from tests.races import SIZES, Drawn, ran
from trainables.resources import Resources

ACCURACIES = {
    "vit fashion60k": 0.92,
    "resnet fashion60k": 0.915,
    "timm/resnet18.a1_in1k": 0.91,
    "coatnet fashion60k": 0.85,
    "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k": 0.7,
    "timm/convnext_atto": 0.4,
    "alexnet none": 0.3,
    "timm/hiera_tiny_224.mae_in1k_ft_in1k": 0.5,
}
BROKEN = "timm/hiera_tiny_224.mae_in1k_ft_in1k"


def recorded_from(finished: Race, budget: float = 600.0) -> Selection:
    """The record of a race, as if its candidates were real."""
    rows = np.arange(finished.rules.images)
    source = ExampleSource("photos", ("a", "b"), rows % 2, Arrays(np.zeros((len(rows), 2, 2), np.uint8)), "content")
    families = ("attention", "convolution", "hybrid")
    answers = {
        name: Answer(each[-1], 1_000_000 * (i + 1), 0.001 * (i + 1), 256, 8, families[i % 3], 512)
        for i, (name, each) in enumerate(finished.measured.items())
    }
    named = [name.partition(" ") for name in finished.order]
    runs = Runs(
        candidates={
            "".join(words): Candidate(words[0], words[2] or "none", "mini", words[0], score=0.9) for words in named
        },
        splits=DatasetSplits(source, rows, rows[:0], rows[:0]),
        order=rows,
        sizes=finished.rules.sizes,
        allocation=Allocation(Resources(), 2),
        budget=budget,
        began=0.0,
        precision="fp32",
        answers=answers,
    )
    context = Context(
        *("photos", "path/to/photos", "0123456789abcdef", {"train": 1024, "val": 340, "test": 341}, 0, "mini"),
        *(budget, 2, 0, ("3 models left out, for there is no network",), "2026-11-28T03:00:00+00:00"),
        *("python -m study.select --dataset path/to/photos", ("--strict",)),
    )
    return recorded(finished, runs, context, seconds=41.0)


@pytest.fixture(scope="module")
def selection() -> Selection:
    return recorded_from(ran(Drawn(ACCURACIES, SIZES, broken=frozenset({BROKEN}))))


@pytest.fixture(scope="module")
def hurried() -> Selection:
    course = Drawn(ACCURACIES, SIZES, per_image=dict.fromkeys(ACCURACIES, 0.01))
    return recorded_from(ran(course, budget=6.0), budget=6.0)


def test_a_record_is_read_as_it_was_written(selection: Selection, tmp_path: Path) -> None:
    selection.write(tmp_path)
    again = Selection.read(tmp_path)
    assert again.facts == selection.facts
    assert [row["name"] for row in again.candidates] == [row["name"] for row in selection.candidates]
    assert again.leader["accuracy"] == selection.leader["accuracy"]
    assert len(again.rounds) == len(selection.rounds) == sum(row["rounds"] for row in selection.candidates)
    with pytest.raises(ValueError, match="holds no selection"):
        Selection.read(tmp_path / "elsewhere")


def test_every_candidate_has_a_row_with_where_it_stands_and_why(selection: Selection) -> None:
    by_name = {row["name"]: row for row in selection.candidates}
    assert by_name.keys() == ACCURACIES.keys()
    assert by_name[BROKEN]["status"] == "failed"
    assert by_name[BROKEN]["reason"] == "it does not fit"
    lost = by_name["timm/convnext_atto"]
    assert lost["status"] == "dropped"
    assert lost["reason"].startswith(f"{100 * lost['behind']:.1f} points behind") or lost["behind"] > 0.3
    assert lost["images"] < selection.leader["images"]
    assert selection.candidates[0]["status"] == "leader"
    assert selection.kept[0]["name"] == selection.facts["chosen"]
    assert len(selection.kept) == 2


def test_the_command_that_continues_compares_those_that_are_kept_on_the_same_images(selection: Selection) -> None:
    words = selection.facts["next"].split()
    assert words[:3] == ["python", "-m", "study.compare"]
    for row in selection.kept:
        assert row["model"] in words
        assert row["pretraining"] in words
    assert words[words.index("--datasets") + 1] == "path/to/photos"
    assert words[words.index("--scale") + 1] == "mini"
    assert words[-1] == "--strict"


def of(model: str, pretraining: str, folder: str | None = None) -> Candidate:
    path = None if folder is None else Path(folder, f"{model}.safetensors")
    return Candidate(model, pretraining, "mini", model, path=path)


@pytest.mark.parametrize(
    ("kept", "rows"),
    [
        ([of("vit", "a"), of("resnet", "a")], ["--models vit resnet --pretraining a"]),
        ([of("vit", "a"), of("vit", "b")], ["--models vit --pretraining a b"]),
        (
            [of("vit", "a"), of("resnet", "b"), of("alexnet", "a")],
            ["--models vit alexnet --pretraining a", "--models resnet --pretraining b"],
        ),
        (
            [of("timm/x.in1k", "in1k", "weights"), of("timm/y.in1k", "in1k")],
            ["--models timm/x.in1k --pretraining in1k", "--models timm/y.in1k --pretraining in1k"],
        ),
    ],
)
def test_the_command_that_continues_trains_those_that_are_kept_and_no_others(
    kept: list[Candidate], rows: list[str]
) -> None:
    commands = continuing.command(kept, "photos", ["--offline"]).split(" && ")
    assert [one.partition(" --datasets")[0] for one in commands] == [f"python -m study.compare {row}" for row in rows]
    there = [each[0].path is not None for each in continuing.together(kept)]
    assert ["--weights weights" in one for one in commands] == there


def test_the_command_that_continues_is_about_the_same_images() -> None:
    words = "--dataset photos --data-option group=owner --duplicates keep --split-seed 3 --precision fp32 --results r"
    options = SelectKeywords.of(parser().parse(words.split()))
    assert " ".join(continuing.shared(options)) == (
        "--split-seed 3 --data-option group=owner --duplicates keep --precision fp32 --results r"
    )


def test_the_screen_says_who_is_ahead_what_it_may_cost_and_how_to_go_on(selection: Selection) -> None:
    text = summary(selection, Path("results/select-photos"))
    assert text.strip().startswith(f"{selection.facts['chosen']}: ")
    assert "is expected to cost" in text
    assert "results/select-photos/report.html" in text
    assert f"continue  {selection.facts['next']}" in text
    assert "1 that could not be measured" in text


def test_the_page_shows_candidates_rounds_and_the_command(selection: Selection) -> None:
    page = Page(report.render(selection))
    assert page.figures() == ["accuracy-cost", "curves"]
    assert {row["name"] for row in page.csv("every")} == ACCURACIES.keys()
    assert [int(row["images"]) for row in page.csv("rounds")] == list(SIZES)
    assert selection.facts["next"] in page.said
    assert "The budget ended first" not in page.said
    assert "no network" in page.said


def test_the_page_of_a_race_that_the_budget_ended_says_so(hurried: Selection) -> None:
    page = Page(report.render(hurried))
    assert "The budget ended first" in page.said
    assert hurried.of("waiting", "stopped")


# Candidates


@pytest.mark.parametrize(
    ("given", "seconds"), [("10m", 600), ("90s", 90), ("1.5h", 5400), ("20ms", 0.02), ("45", 45), ("2 min", 120)]
)
def test_a_time_is_read_as_people_write_it(given: str, seconds: float) -> None:
    assert amounts.seconds("--budget", given) == pytest.approx(seconds)


@pytest.mark.parametrize("given", ["", "0", "-3s", "ten", "5x", "nan", "1e999h", "."])
def test_what_is_no_time_is_refused_with_what_is_one(given: str) -> None:
    with pytest.raises(ValueError, match="--budget takes a time above 0 as 90s, 10m or 1h, got"):
        amounts.seconds("--budget", given)


def test_numbers_have_the_units_of_parameters() -> None:
    assert [amounts.number("--max-params", text) for text in ("30M", "500k", "4.5G", "12")] == [30e6, 5e5, 4.5e9, 12]


def test_patterns_name_registered_models_and_those_of_timm_by_their_weights() -> None:
    assert candidates.matching(["resnet", "v*"]) == ["resnet", "vit"]
    found = candidates.matching(["timm/resnet18*"])
    assert "timm/resnet18.a1_in1k" in found
    assert all(name.startswith("timm/resnet18") for name in found)
    assert candidates.matching(["timm/convnext_atto"]) == ["timm/convnext_atto"]


def test_a_candidate_has_the_pretrainings_that_are_asked_for_as_far_as_it_has_them() -> None:
    found = candidates.candidates(["resnet", "timm/resnet18"], ("none", "fashion6k"), "mini")
    assert [one.name for one in found] == ["resnet none", "resnet fashion6k", "timm/resnet18"]
    [own] = candidates.candidates(["vit"], (), "mini")
    assert (own.pretraining, own.name) == ("fashion60k", "vit fashion60k")
    assert own.score is not None
    assert own.score > 0.8


def test_a_model_without_weights_takes_part_only_where_random_ones_are_asked_for() -> None:
    assert candidates.candidates(["timm/test_coatnet"], (), "mini") == []
    [random] = candidates.candidates(["timm/test_coatnet"], ("none",), "mini")
    assert (random.model, random.pretraining, random.group) == ("timm/test_coatnet", "none", "coatnet")


def test_without_a_network_only_those_take_part_whose_weights_are_here(tmp_path: Path) -> None:
    names = ["vit", "timm/resnet18.a1_in1k", "timm/resnet34.a1_in1k"]
    (tmp_path / "resnet34.a1_in1k.safetensors").touch()
    field = candidates.candidates(names, (), "mini")
    there, [line] = candidates.at_hand(field, tmp_path, offline=lambda: True)
    assert [one.name for one in there] == ["vit fashion60k", "timm/resnet34.a1_in1k"]
    assert there[1].path == tmp_path / "resnet34.a1_in1k.safetensors"
    assert line.startswith("1 model left out, for there is no network and their weights are not here (timm/resnet18")
    assert candidates.at_hand(field, None, offline=lambda: False)[1] == []
    random = candidates.candidates(names, ("none",), "mini")
    assert len(candidates.at_hand(random, None, offline=lambda: True)[0]) == 3


def test_a_limit_that_leaves_nobody_is_a_mistake_that_names_it() -> None:
    field = candidates.candidates(["vit", "resnet"], (), "mini")
    assert within(field, Limits(size=32)) == (field, [])
    with pytest.raises(ValueError, match="--max-size 16 leaves none of 2 models: raise it"):
        within(field, Limits(size=16))


def test_what_a_model_of_timm_has_is_counted_without_looking_for_its_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    field = candidates.candidates(["timm/test_resnet", "timm/test_vit", "vit"], ("none",), "mini")
    kept, [line] = within(field, Limits(parameters=400_000, flops=40e6))
    assert line == "--max-flops 40M leaves 2 of 3 models"
    assert [one.name for one in kept] == ["timm/test_resnet", "timm/test_vit"]
    assert kept[0].parameters == sum(p.numel() for p in timm.create_model("test_resnet", num_classes=2).parameters())
    assert not list(tmp_path.rglob("*@*.json"))  # no cut was looked for
    late = candidates.candidates(["timm/test_byobnet"], ("none",), "mini")
    kept, [line] = within([*field, *late], Limits(parameters=400_000), in_time=lambda: False)
    assert kept[0].parameters  # counted once
    assert len(kept) == 3
    assert line.startswith("--max-params 400k: there was no time to count parameters of 1 model, which are left out")
    with pytest.raises(ValueError, match="leaves none of 1 model: there was no time"):
        within(late, Limits(parameters=400_000), in_time=lambda: False)


def test_a_licence_that_nobody_has_is_refused_with_those_that_there_are() -> None:
    field = candidates.candidates(["timm/test_resnet", "vit"], (), "mini")
    with pytest.raises(ValueError, match=r"--licence mit leaves none of 2 models: they have apache-2\.0"):
        within(field, Limits(licences=("mit",)))


def test_groups_take_turns_and_the_likely_go_first() -> None:
    def one(model: str, group: str, score: float | None) -> Candidate:
        return Candidate(model, "x", "mini", group, score=score)

    field = [one("a1", "a", 0.7), one("a2", "a", 0.8), one("b1", "b", 0.9), one("b2", "b", None), one("c1", "c", None)]
    assert [each.model for each in candidates.in_turn(field)] == ["b1", "a2", "c1", "b2", "a1"]


def test_scores_come_from_a_table_as_timm_publishes_it(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("model,top1,param_count\nresnet18.a1_in1k,71.5,11.69\n")
    field = candidates.candidates(["timm/resnet18.a1_in1k", "vit"], (), "mini")
    [resnet, vit] = candidates.with_scores(field, tmp_path / "results.csv")
    assert resnet.score == pytest.approx(0.715)
    assert counting.parameters(resnet) == 11_690_000
    assert vit.score == field[1].score
    (tmp_path / "other.csv").write_text("name,accuracy\n")
    with pytest.raises(ValueError, match="needs the columns model and top1"):
        candidates.with_scores(field, tmp_path / "other.csv")
