"""The best model, given back: a folder that timm loads, that Hugging Face's hub shows, and that says what it is.

`model.safetensors` has the weights as the model's own library names them, `config.json` what timm needs to build it and
what one must know of it, `README.md` is its card. docs/model.md says how each is used.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from study.files import replacing, write_json, write_text
from study.results import card
from study.results.record import Record
from study.results.study_file import plain
from trainables import architecture
from trainables.architecture import Variant
from trainables.hyperparameters import DECLARED

FOLDER = "best"
OTHERS = "models"  # those of the other test runs, where they are kept
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save(record: Record, state: dict[str, Tensor]) -> None:
    """The model of the first seed that gave one: to choose among the seeds would be to choose on the test set."""
    write_weights(record.folder / FOLDER / WEIGHTS, state)


def keep(record: Record, seed: int, state: dict[str, Tensor]) -> None:
    """The model of any test run, for an ensemble of them."""
    write_weights(kept(record.folder, seed), state)


def kept(folder: Path, seed: int) -> Path:
    return folder / OTHERS / f"test-seed{seed}.safetensors"


def write_weights(path: Path, state: dict[str, Tensor]) -> None:
    """Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        part.touch()
        mode = part.stat().st_mode  # as the umask has it: safetensors makes a file that nobody else may read
        try:
            save_file(state, part, metadata={"format": "pt"})
        except SafetensorError as error:  # what it raises where the disk is full
            raise OSError(str(error)) from error
        part.chmod(mode)


def describe(record: Record) -> None:
    """What one must know of it: classes, preprocessing, every hyperparameter, and how well it does."""
    from trainables import timm_models

    study, test, winner = record.configuration, record.test, record.winner
    preprocessing = plain(record.study.preprocessing) | {"antialias": True}
    if record.data.pixel_range:
        preprocessing["pixel_range"] = plain(record.data.pixel_range)
    config = {
        **timm_models.hub_config(variant_of(record), record.data.classes),
        **{name: getattr(study, name) for name in ("model", "scale", "variant", "pretraining", "dataset")},
        "classes": record.data.classes,
        "preprocessing": preprocessing,
        "precision": study.precision,
        "hyperparameters": {name: winner[name] for name in DECLARED if name in winner},
        "epochs": winner["last_epoch"],
        "recipe": study.recipe,
        "metrics": {"seed": test.seeds[0], "test_accuracy": test.accuracies[0], "n": test.n},
        "versions": record.study.versions,
    }
    write_json(record.folder / FOLDER / CONFIG, config)
    write_text(record.folder / FOLDER / CARD, card.text(record, config.get("architecture")))


def variant_of(record: Record) -> Variant:
    """With the preprocessing that the study had."""
    study = record.configuration
    variant = architecture.get(study.model).variant(study.scale, name=study.variant)
    return variant.with_preprocessing(record.study.preprocessing)
