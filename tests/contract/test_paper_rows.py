"""The commands in docs/paper.md are commands, and each is the row that it stands for."""

import re
from pathlib import Path
from typing import Any

import pytest

from study.cluster import gpu
from study.design.study import Study
from study.options.command_line import configure, parse

PAGE = Path(__file__).parents[2] / "docs" / "paper.md"
ROWS = re.findall(r"^\| (.+?) \| `(--model .+?)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
[FIRST] = re.findall(r"`python -m study\.run (.+?)`", PAGE.read_text(encoding="utf-8"))

# model, recipe, epochs, pretraining, frozen stages
WANTED: list[tuple[str, str, int, str, int]] = [
    ("alexnet", "paper", 10, "in1k", 7),
    ("alexnet", "paper", 15, "in1k", 7),
    ("alexnet", "paper_crop", 10, "in1k", 7),
    ("resnet", "paper", 10, "in1k", 0),
    ("resnet", "paper", 10, "in1k", 0),
    ("resnet", "paper", 10, "in21k", 0),
    ("resnet", "paper", 10, "in1k", 0),  # 257 classes
    ("resnet", "paper", 10, "in21k", 0),
    ("vit", "paper", 5, "in1k", 14),
    ("vit", "paper", 5, "in21k", 14),
    ("coatnet", "paper", 10, "in1k", 0),
]


def study_of(command: str, patch: pytest.MonkeyPatch) -> Study:
    patch.setattr(gpu, "known", lambda: True)  # fp16 needs one
    words = [*FIRST.split(), *command.split()]
    options, _ = parse(words)
    return configure(options, options.scale)


def test_every_row_of_the_paper_has_a_command() -> None:
    assert len(ROWS) == len(WANTED)
    assert len({command for _, command in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("row", "wanted"), list(zip(ROWS, WANTED, strict=True)), ids=[title for title, _ in ROWS])
def test_a_command_is_a_study_whose_only_trial_is_the_papers(
    row: tuple[str, str], wanted: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(row[1], monkeypatch)
    point = study.point({})
    assert wanted == (
        study.model,
        study.recipe.name,
        study.recipe.epochs,
        study.pretrained_variant.pretraining,
        point.freeze_depth,
    )
    assert (study.scale, study.trials) == ("paper", 1)


def test_the_dataset_of_the_first_resnet_has_its_own_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    [command] = [command for _, command in ROWS if "--preprocessing" in command]
    assert study_of(command, monkeypatch).pretrained_variant.preprocessing.mean == (0.4914, 0.4822, 0.4465)
