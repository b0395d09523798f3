"""The best model, given back: `best/model.safetensors` as its own library loads it, and what one must know of it."""

from safetensors.torch import save_file
from torch import Tensor

from study.files import replacing, write_json
from study.results.record import Record


def save(record: Record, state: dict[str, Tensor]) -> None:
    """The model of the first seed that gave one: to choose among the seeds would be to choose on the test set."""
    folder = record.folder / "best"
    folder.mkdir(exist_ok=True)
    with replacing(folder / "model.safetensors") as part:
        save_file(state, part)


def describe(record: Record) -> None:
    study, test = record.study, record.study["test"]
    write_json(
        record.folder / "best" / "config.json",
        {
            **{name: study["study"][name] for name in ("model", "scale", "variant", "pretraining", "dataset")},
            "classes": study["data"]["classes"],
            "preprocessing": study["preprocessing"],
            "hyperparameters": {name: study["winner"][name] for name in ("lr", "weight_decay", "freeze_depth")},
            "epochs": study["winner"]["last_epoch"],
            "recipe": study["study"]["recipe"],
            "metrics": {"seed": test["seeds"][0], "test_accuracy": test["accuracies"][0], "n": test["n"]},
            "versions": study["versions"],
        },
    )
