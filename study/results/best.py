"""The best model, given back: `best/model.safetensors` as its own library loads it, and what one must know of it."""

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from study.files import replacing, write_json
from study.results.record import Record
from study.results.study_file import plain
from trainables.hyperparameters import DECLARED


def save(record: Record, state: dict[str, Tensor]) -> None:
    """The model of the first seed that gave one: to choose among the seeds would be to choose on the test set."""
    folder = record.folder / "best"
    folder.mkdir(exist_ok=True)
    with replacing(folder / "model.safetensors") as part:
        try:
            save_file(state, part)
        except SafetensorError as error:  # what it raises where the disk is full
            raise OSError(str(error)) from error


def describe(record: Record) -> None:
    """What one must know of it: classes, preprocessing, every hyperparameter, and how well it does."""
    study, test, winner = record.configuration, record.test, record.winner
    write_json(
        record.folder / "best" / "config.json",
        {
            **{name: getattr(study, name) for name in ("model", "scale", "variant", "pretraining", "dataset")},
            "classes": record.data.classes,
            "preprocessing": plain(record.study.preprocessing)
            | ({"pixel_range": plain(record.data.pixel_range)} if record.data.pixel_range else {}),
            "hyperparameters": {name: winner[name] for name in DECLARED if name in winner},
            "epochs": winner["last_epoch"],
            "recipe": study.recipe,
            "metrics": {"seed": test.seeds[0], "test_accuracy": test.accuracies[0], "n": test.n},
            "versions": record.study.versions,
        },
    )
