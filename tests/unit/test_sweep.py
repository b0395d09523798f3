"""What W&B is told of a search, and the command that its agent runs for a point of it."""

from pathlib import Path

import pytest

from study.options import command_line, comparison, one_point
from study.options.keywords import ComparisonKeywords, StudyKeywords
from study.tracking import sweep

STUDY = "python -m study.run --model vit --scale mini --trials 16 --metric loss --fix clip_norm=0.5 --space FILE"
COMPARISON = "python -m study.compare --models alexnet vit --pretraining none --scale mini --trials 16 --epochs 4"
SPACE = """
lr = { low = 1e-4, high = 1e-2, log = true }
freeze_depth = { low = 0, high = "all" }
label_smoothing = { low = 0.0, high = 0.2 }
augmentation = { choices = ["none", "flip"] }
"""
POINT = ["lr=0.001", "freeze_depth=2", "label_smoothing=0.1", "augmentation=flip"]


@pytest.fixture
def command(tmp_path: Path) -> str:
    (tmp_path / "space.toml").write_text(SPACE)
    return STUDY.replace("FILE", str(tmp_path / "space.toml"))


def parsed(command: str) -> StudyKeywords:
    options, _ = command_line.parse(command.split()[3:])
    return options


def test_a_sweep_has_what_is_searched_on_its_scales_and_the_metric_with_its_goal(command: str) -> None:
    study = command_line.configure(parsed(command), "mini")
    told = sweep.config(study.name, study.space, study.metric, [])
    assert told["metric"] == {"name": "val_loss", "goal": "minimize"}
    assert told["parameters"] == {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "freeze_depth": {"distribution": "int_uniform", "min": 0, "max": study.backbone_stages},
        "label_smoothing": {"distribution": "uniform", "min": 0.0, "max": 0.2},
        "augmentation": {"values": ["none", "flip"]},
    }
    assert "command" not in told


def test_the_command_of_a_sweep_trains_the_point_that_an_agent_proposes_and_no_more(command: str) -> None:
    study = command_line.configure(parsed(command), "mini")
    *words, last = sweep.config(study.name, study.space, study.metric, one_point.words(command, study))["command"]
    assert words[:4] == ["${env}", "${interpreter}", "-m", "study.run"]
    assert last == "${args_no_hyphens}"
    one, _ = command_line.parse([*words[4:], *POINT])
    assert (one.trials, one.repeats, one.search_only, one.name) == (1, 1, True, None)
    proposed = command_line.configure(one, "mini")
    assert proposed.metric is study.metric
    assert proposed.fixed == {
        **{"lr": 0.001, "freeze_depth": 2, "label_smoothing": 0.1, "augmentation": "flip"},
        **study.fixed,
    }


def test_a_row_of_a_comparison_has_such_a_command_too() -> None:
    *_, module = COMPARISON.split()[:3]
    assert module == "study.compare"
    whole = ComparisonKeywords.of(comparison.parser().parse(COMPARISON.split()[3:]))
    row = whole.row(model="vit", pretraining="none", dataset="digits", results=Path("results"))
    study = command_line.configure(row, "mini")
    one, _ = command_line.parse(one_point.words(COMPARISON, study))
    assert (one.model, one.pretraining, one.epochs, one.trials) == ("vit", "none", 4, 1)
    assert one_point.words("python mine.py", study) == []


def test_a_study_that_an_agent_started_is_named_after_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    monkeypatch.setenv("WANDB_RUN_ID", "run7")
    one = "python -m study.run --model vit --scale mini --trials"
    assert command_line.configure(parsed(f"{one} 1"), "mini").name.endswith("-digits-run7")
    assert command_line.configure(parsed(f"{one} 2"), "mini").name.endswith("-digits")


@pytest.mark.parametrize("more", ["--repeats 2", "--corruptions"])
def test_what_is_not_tested_can_neither_be_repeated_nor_be_tested_on_corrupted_images(more: str) -> None:
    options = parsed(f"python -m study.run --model vit --scale mini --search-only {more}")
    with pytest.raises(ValueError, match=r"search-only .* give one of them"):
        command_line.configure(options, "mini")
