"""A study and its repeat: each with a search, a split and seeds of its own, on images that are carried once."""

from pathlib import Path

import pytest

from study import run
from study.comparison import compare
from study.result import StudyResult
from study.results.record import Record


def twice(results: Path, *, resume: bool = False) -> StudyResult:
    return run(
        "resnet",
        trials=2,
        epochs=1,
        top_k=1,
        seeds=2,
        fix={"freeze_depth": "all"},
        repeats=2,
        name="twice",
        results=results,
        wandb="disabled",
        quiet=True,
        resume=resume,
    )


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    folder = tmp_path_factory.mktemp("repeats")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_CACHE", str(folder / "cache"))
        return twice(folder)


def test_repeats_are_studies_that_share_neither_split_nor_seed(repeated: StudyResult) -> None:
    first, second = (one.record for one in repeated.repeats)
    assert (first.folder.name, second.folder.name) == ("twice", "twice-repeat2")
    assert first.data.fingerprint != second.data.fingerprint
    seeds = [{row["seed"] for row in (*one.trials, *one.runs)} for one in (first, second)]
    assert not seeds[0] & seeds[1]
    points = [{row["lr"] for row in one.trials if row["trial_id"] != "trial-000"} for one in (first, second)]
    assert not points[0] & points[1]


def test_the_starting_point_is_tested_like_the_winner(repeated: StudyResult) -> None:
    for one in (result.record for result in repeated.repeats):
        if one.winner["trial_id"] == "trial-000":
            assert one.study.gain is None
            continue
        gain = one.study.gain
        assert gain is not None
        assert gain.gain == pytest.approx(one.test.accuracy - gain.accuracy)
        assert gain.interval[0] <= gain.gain <= gain.interval[1]
        assert {row["index"] for row in one.tables["start"]} == {row["index"] for row in one.tables["predictions"]}
        assert one.study.candidates == 2


def test_the_result_is_of_both_and_says_so(repeated: StudyResult) -> None:
    both = [one.accuracy for one in repeated.repeats]
    assert repeated.accuracy == pytest.approx(sum(both) / 2)
    assert len(repeated.accuracies) == 4
    assert "over 2 repeats of search, split and draw" in str(repeated)


def test_a_comparison_recognises_them(repeated: StudyResult) -> None:
    (row,) = compare([one.folder for one in repeated.repeats]).rows
    assert row.number_of_repeats == 2
    assert row.accuracy.mean == pytest.approx(repeated.accuracy)


def test_the_same_again_reads_them_and_trains_nothing(repeated: StudyResult, tmp_path: Path) -> None:
    before = [Record(one.folder).study for one in repeated.repeats]
    again = twice(repeated.folder.parent, resume=True)
    assert again.accuracy == repeated.accuracy
    assert [Record(one.folder).study for one in again.repeats] == before
