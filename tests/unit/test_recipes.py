"""A recipe is chosen by name, or read from a file of which every mistake is one line."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from study.design.recipes import FAIR, chosen, offered, read
from trainables import architecture
from trainables.hyperparameters import Value
from trainables.recipe import Recipe

EVERY = [(name, recipe) for name in architecture.names() for recipe in architecture.get(name).recipes]

of_every_architecture = pytest.mark.parametrize(("name", "recipe"), EVERY, ids=[f"{n}-{r.name}" for n, r in EVERY])


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


# By name


@of_every_architecture
def test_a_recipe_of_an_architecture_is_chosen_by_its_name(name: str, recipe: Recipe) -> None:
    family = architecture.get(name)
    assert chosen(recipe.name, family) is recipe
    assert offered(family).keys() == {"fair"} | {own.name for own in family.recipes}


@pytest.mark.parametrize("name", ["alexnet", "coatnet", "resnet", "vit"])
def test_each_model_of_the_paper_has_the_papers_recipe_and_shares_the_fair_one(name: str) -> None:
    family = architecture.get(name)
    assert chosen("fair", family) is FAIR
    paper = chosen("paper", family)
    assert paper.epochs == (5 if name == "vit" else 10)
    assert (paper.values["label_smoothing"], paper.values["clip_norm"]) == (0.0, 0.0)


def test_the_fair_recipe_augments_nothing() -> None:
    assert FAIR.values["augmentation"] == "none"


def test_an_unknown_recipe_is_refused_with_those_of_the_model_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'papr': choose one of FILE\.toml, fair, paper; .* paper\?"):
        chosen("papr", architecture.get("vit"))
    with pytest.raises(ValueError, match="unknown recipe 'paper_crop'"):
        chosen("paper_crop", architecture.get("vit"))


# From a file


def test_an_empty_file_is_the_fair_recipe_under_the_files_name(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert chosen(str(path), architecture.get("vit")) == replace(FAIR, name="mine")


def test_a_file_may_set_every_field(tmp_path: Path) -> None:
    text = """
        name = "ours"
        epochs = 3
        batch_size = 16
        schedule = "step"
        warmup = 0
        milestones = [0.25, 0.5]
        step_factor = 0.5
        label_smoothing = 0.2
        clip_norm = 2
        augmentation = "flip"
        mixup = 0.3
        [head_first]
        share = 0.5
        lr_scale = 0.1
    """
    settings: dict[str, Value] = {
        "batch_size": 16,
        "schedule": "step",
        "warmup": 0.0,
        "step_factor": 0.5,
        "label_smoothing": 0.2,
        "clip_norm": 2.0,
        "augmentation": "flip",
        "head_first_share": 0.5,
        "head_first_lr_scale": 0.1,
        "mixup": 0.3,
    }
    assert read(written(tmp_path, text)) == Recipe("ours", 3, (0.25, 0.5), settings)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("epoch = 3", "unknown field 'epoch': choose one of augmentation, batch_size, .*; did you mean epochs?"),
        ("epochs = 'ten'", "epochs takes a whole number, got 'ten'"),
        ("epochs = 2.5", "epochs takes a whole number, got 2.5"),
        ("epochs = true", "epochs takes a whole number, got True"),
        ("epochs = 0", "epochs must be at least 1, got 0"),
        ("clip_norm = '1'", "clip_norm takes a number, got '1'"),
        ("clip_norm = nan", "clip_norm must be 0 or more, got nan"),
        ("clip_norm = -1", "clip_norm must be 0 or more, got -1"),
        ("warmup = 1.5", "warmup must be at least 0 and below 1, got 1.5"),
        ("schedule = 3", "schedule takes one of onecycle, step, cosine, constant, got 3"),
        ("schedule = 'linear'", "unknown schedule 'linear': choose one of constant, cosine, onecycle, step"),
        ("augmentation = 'flp'", "unknown augmentation 'flp'.*did you mean flip"),
        ("milestones = 0.5", "milestones takes a list of numbers, got 0.5"),
        ("milestones = [0.5, 'x']", r"milestones takes a list of numbers, got \[0.5, 'x'\]"),
        ("milestones = [2.0]", r"milestones\[0\] must be at least 0 and below 1, got 2.0"),
        ("lr = 0.1", "lr is searched, or fixed with --fix lr=VALUE: a recipe does not set it"),
        ("head_first = 0.5", "unknown field 'head_first'.*did you mean head_first_share"),
        ("[head_first]\nshare = 2\nlr_scale = 1", "head_first_share must be at least 0 and below 1, got 2"),
        ("[head_first]\nshare = 'half'\nlr_scale = 1", "head_first_share takes a number, got 'half'"),
        ("[head_first]\nshares = 0.5", "unknown field 'head_first_shares'.*did you mean head_first_share"),
        ("epochs 3", "is not TOML: .*line 1"),
        ("epochs = 1\nepochs = 2", "is not TOML: "),
    ],
)
def test_a_mistake_in_a_file_names_the_file_the_field_and_its_value(text: str, shown: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=f"^recipe {re.escape(str(path))}.*{shown}") as mistake:
        read(path)
    assert "\n" not in str(mistake.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"recipe .*none\.toml cannot be read \(No such file.*\): give the path"):
        read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"recipe .*bytes\.toml is not TOML"):
        read(tmp_path / "bytes.toml")
