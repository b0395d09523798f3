"""Every recipe of every architecture trains, on Ray Data: the small models, and the paper's at their true size."""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data import named, resolve
from study.data.reading import datasets_of_study
from study.data.source import DatasetRequest
from study.data.splits import DatasetSplits, split
from study.results.record import Record
from study.run import main
from tests.contract.photographs import encoded, write
from trainables import architecture
from trainables.augmentation import needs_margin
from trainables.hyperparameters import REQUIRED
from trainables.images import SplitImages
from trainables.recipe import Recipe
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey, SplitDigest
from trainables.trainer import train

EVERY = [(name, recipe) for name in architecture.names() for recipe in architecture.get(name).recipes]
CLASSES = 10

pytestmark = pytest.mark.usefixtures("ray_session")
every_recipe = pytest.mark.parametrize(("name", "recipe"), EVERY, ids=[f"{n}-{r.name}" for n, r in EVERY])


def run_of(name: str, scale: str, recipe: Recipe, parts: Mapping[str, SplitDigest]) -> Run:
    """A run at the paper's point from random weights, which trains on one split and looks at another."""
    family = architecture.get(name)
    variant = family.variant(scale, "none")
    return Run(
        run_id=f"{name}-{recipe.name}",
        model=Model(name, scale, variant.name, CLASSES),
        hyperparameters=recipe.point(
            **{name: getattr(family.paper(variant.backbone_stages), name) for name in REQUIRED}
        ),
        recipe=recipe,
        seed=0,
        split_digests=parts,
        boundaries="off",
        fit_on=("val",),
        validate_on="test",
    )


def ran_to_the_end(run: Run, data: Mapping[ImagesKey, SplitImages]) -> Outcome:
    outcome = train(run, data, Resources(), lambda row: None)
    assert outcome.failure is None
    assert [epoch.epoch for epoch in outcome.epochs] == list(range(1, run.recipe.epochs + 1))
    images = run.split_digests["val"].length
    assert outcome.micro_batch_size == ceil(images / ceil(images / run.hyperparameters.batch_size))
    assert outcome.notes == ()
    return outcome


@pytest.fixture(scope="module")
def digits() -> tuple[Mapping[str, SplitDigest], dict[ImagesKey, SplitImages]]:
    """What is in the splits of the digits, and the images of two of them, as they are and with a margin."""
    splits = split(named.load("digits"))
    given = architecture.get("alexnet").variant("mini").preprocessing  # as of every mini model
    return splits.digests(), datasets_of_study(splits, given, margin=True)


@every_recipe
def test_a_recipe_trains_its_small_model_on_digits(
    name: str, recipe: Recipe, digits: tuple[Mapping[str, SplitDigest], dict[ImagesKey, SplitImages]]
) -> None:
    parts, data = digits
    first, second = ran_to_the_end(run_of(name, "mini", replace(recipe, epochs=2), parts), data).epochs
    assert first.train_loss != second.train_loss


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> DatasetSplits:
    """A folder of JPEGs that are larger than what a model takes; of each class one to validate on and one to test."""
    place, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for part, each in (("train", 1), ("val", 2), ("test", 1)):
        for name in ("cat", "dog"):
            for number in range(each):
                coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
                write(place / part / name / f"{number}.jpg", encoded(np.asarray(coarse.resize((400, 300))), "JPEG"))
    return split(resolve.load(str(place), DatasetRequest()))


@every_recipe
def test_a_recipe_trains_the_papers_model_for_an_epoch_on_a_folder_at_224_px(
    name: str, recipe: Recipe, photographs: DatasetSplits
) -> None:
    run = run_of(name, "paper", replace(recipe, epochs=1), photographs.digests())
    assert all(given.size == (256 if key.margin else 224) for key, (_, given) in run.images.items())
    assert (ImagesKey("val", margin=True) in run.images) == needs_margin(str(recipe.values["augmentation"]))
    ran_to_the_end(run, datasets_of_study(photographs, run.model.described.preprocessing, margin=True))


@pytest.mark.parametrize(
    ("model", "recipe", "epochs"),
    [pytest.param("resnet", "paper", 2, marks=pytest.mark.long), ("alexnet", "paper_crop", 1)],
)
def test_a_study_by_the_papers_recipe_is_one_command(
    model: str, recipe: str, epochs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ["--trials", "1", "--epochs", f"{epochs}", "--top-k", "1", "--seeds", "1", "--grad-accum", "3"]
    given = ["--preprocessing", "mean=0.3,0.3,0.3", "--name", "paper", "--results", str(tmp_path)]
    assert main(["--model", model, "--pretraining", "none", "--recipe", recipe, *budget, *given]) == 0
    assert f"recipe {recipe}: {epochs} epoch" in capsys.readouterr().out

    record, family = Record(tmp_path / "paper"), architecture.get(model)
    [trial] = record.trials
    paper = family.paper(family.variant("mini", "none").backbone_stages)
    assert (trial["lr"], trial["weight_decay"], trial["freeze_depth"]) == (
        paper.lr,
        paper.weight_decay,
        paper.freeze_depth,
    )
    assert [run["phase"] for run in record.runs] == ["replicate", "test"]
    own = next(one for one in family.recipes if one.name == recipe)
    for row in [trial, *record.runs]:
        assert row["status"] == "completed"
        assert row["micro_batch_size"] == pytest.approx(int(str(own.values["batch_size"])) / 3, rel=0.2)
    study = record.configuration
    assert study.grad_accum == 3
    assert study.recipe["augmentation"] == own.values["augmentation"]
    assert study.preprocessing is not None
    assert study.preprocessing == record.study.preprocessing
    assert study.preprocessing.mean == (0.3, 0.3, 0.3)
    best = json.loads((record.folder / "best" / "config.json").read_text())
    assert best["preprocessing"]["mean"] == [0.3, 0.3, 0.3]
