"""The card of a study's model: what the page of a model on Hugging Face's hub shows, and who opens its folder reads."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from study.results.point import format_point, metric, shown
from study.results.record import Record
from study.statistics import given
from study.text import joined, plural
from trainables import architecture, weights
from trainables.hyperparameters import DECLARED

MOST_CLASSES = 20  # of a confusion matrix that can be read as a table


def text(record: Record, in_timm: str | None) -> str:
    """The card of the record's best model, with the metadata that the hub reads.

    Args:
        in_timm: the name of its architecture there; None where there is none.
    """
    study = record.configuration
    sections = [what(record), use(record, in_timm), data(record), protocol(record), results(record), limits(record)]
    body = "\n\n".join([f"# {line(study.name)}", *sections, made(record)])
    card = ModelCard(f"---\n{metadata(record).to_yaml()}\n---\n\n{body}\n")
    return str(card)


def metadata(record: Record) -> ModelCardData:
    study, test = record.configuration, record.test
    name = data_name(record)
    return ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm"],
        metrics=["accuracy"],
        base_model=f"timm/{study.variant}" if published(record) else None,
        model_name=study.name,
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type=name,
                dataset_name=name,
                dataset_split="test",
                metric_type="accuracy",
                metric_value=test.accuracies[0],
                metric_name=f"test accuracy of these weights, {plural(test.n, 'image')}",
            )
        ],
    )


def what(record: Record) -> str:
    study, test, classes = record.configuration, record.test, record.data.classes
    low, high = test.interval
    title = architecture.get(study.model).title
    from_what = "trained from random weights" if study.pretraining == "none" else f"pretrained on {study.pretraining}"
    each = ", ".join(f"{accuracy:.2%}" for accuracy in test.accuracies)
    return (
        f"{title} (`{study.variant}`, {record.model.parameters / 1e6:.2f} M parameters), {from_what}, for the "
        f"{plural(len(classes), 'class')} of {line(data_name(record))}.\n\n"
        f"**Test accuracy {test.accuracy:.2%}**, 95 % interval {low:.2%} to {high:.2%}, {given(1)}: the mean of "
        f"{plural(len(test.seeds), 'model')} that differ in their seed alone ({each}), on "
        f"{plural(test.n, 'test image')} that chose nothing. These weights are those of the first seed "
        f"({test.seeds[0]}), whatever it reached: {test.accuracies[0]:.2%}."
    )


def use(record: Record, in_timm: str | None) -> str:
    from trainables import timm_models

    lines = ["## Use", ""]
    if in_timm:
        ours = in_timm in timm_models.__all__
        more = "import trainables.timm_models  # timm does not have this model: this package adds it\n" if ours else ""
        lines += [
            "```python",
            f"import timm\n{more}"
            '# once it is uploaded: "hf-hub:YOU/NAME"\n'
            'model = timm.create_model("local-dir:PATH/TO/THIS/FOLDER", pretrained=True).eval()\n'
            "transform = timm.data.create_transform(**timm.data.resolve_data_config(model=model))\n"
            'classes = model.pretrained_cfg["label_names"]',
            "```",
            "",
        ]
    if in_timm == "alexnet":
        lines += [
            "It is torchvision's AlexNet, which needs no package of ours:",
            "",
            "```python",
            "from safetensors.torch import load_file\nfrom torchvision.models import alexnet\n"
            f"model = alexnet(num_classes={len(record.data.classes)}).eval()\n"
            'model.load_state_dict(load_file("model.safetensors"))',
            "```",
            "",
        ]
    size = record.study.preprocessing
    assert size is not None
    lines += [
        f"Images: upright, RGB, the shorter side resized to {round(size.size / size.crop)} px ({size.interpolation}, "
        f"with antialiasing), the central {size.size} x {size.size} px; mean {list(size.mean)} and standard deviation "
        f"{list(size.std)} of values in [0, 1]. Pillow and torchvision resize with last bits of their own: "
        "`from study import load_best` and `python -m study.predict` prepare images as in training, bit for bit.",
    ]
    return "\n".join(lines)


def data(record: Record) -> str:
    facts, study = record.data, record.configuration
    sizes = ", ".join(f"{count:,} {split}" for split, count in facts.sizes.items())
    part = f" Trained on a part of train: {study.part_of_train}." if study.part_of_train else ""
    out = f" {plural(len(facts.left_out), 'image')} left out, named in the record." if facts.left_out else ""
    return (
        f"## Data\n\n{line(data_name(record))}: {sizes} images, fingerprint of the splits `{facts.fingerprint}`.{part}"
        f"{out} Test images were used for nothing but the test."
    )


def protocol(record: Record) -> str:
    study, winner, by = record.configuration, record.winner, metric(record)
    names = [DECLARED[name].title for name in record.study.space if name in DECLARED]
    trained = "train alone" if study.part_of_train else "train and validation"
    return (
        f"## How it was found\n\n{plural(study.trials, 'trial')} of up to {plural(study.epochs, 'epoch')} searched "
        f"{joined(names) or 'nothing'} on train and validation; the best of them were trained "
        f"again over seeds, the one with the best mean {by.words} won: {format_point(winner, shown(record))}. It was "
        f"trained on {trained} until epoch {winner['last_epoch']}, once for each of {plural(study.seeds, 'seed')}, and "
        "each looked at the test images once."
    )


def results(record: Record) -> str:
    test = record.test
    per_class = [
        (row["class"], f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1-score']:.3f}", int(row["support"]))
        for row in test.per_class
    ]
    return "\n\n".join(
        [
            "## Results",
            f"Macro-F1 {test.macro_f1:.2%}, mean accuracy of the classes {test.mean_class_accuracy:.2%}. By class, "
            f"means over {plural(len(test.seeds), 'seed')}:",
            folded("Per class", table(("class", "precision", "recall", "F1", "test images"), per_class)),
            confusion(record),
        ]
    )


def confusion(record: Record) -> str:
    """All of it where it can be read; else what is confused most."""
    classes, test = record.data.classes, record.test
    pairs = [(true, predicted, count) for true, predicted, count in test.most_confused]
    most = table(("true", "predicted", "times"), pairs) if pairs else "Nothing was confused."
    counted = f"in {len(test.seeds)} x {test.n} predictions"
    if len(classes) > MOST_CLASSES or not (record.tables["confusion"] or test.confusion):
        return f"Confused most, {counted}:\n\n{most}"
    counts = np.array(test.confusion or np.zeros((len(classes), len(classes))), int)
    for row in record.tables["confusion"]:
        counts[row["label"], row["predicted"]] = row["count"]
    rows = [(name, *each) for name, each in zip(classes, counts.tolist(), strict=True)]
    matrix = table(("true \\ predicted", *classes), rows)
    return f"{folded(f'Confusion, {counted}', matrix)}\n\nConfused most:\n\n{most}"


def limits(record: Record) -> str:
    classes = record.data.classes
    says = [
        f"The interval is over seeds and test images, {given(1)}; another search or another split gives another model.",
        f"It answers one of its {len(classes)} classes whatever it is shown; its confidence is not calibrated.",
        "Accuracy on images of another origin than the test images is not known.",
        "The licence follows from those of the pretrained weights and of the images; none is given here.",
    ]
    return "## Limits\n\n" + "\n".join(f"- {each}" for each in says)


def made(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.study.versions.items())
    devices = ", ".join(map(str, record.study.hardware.get("devices", ()))) or record.study.hardware.get("cpu", "?")
    ran = f"{versions}; {devices}; began {record.study.started}."
    return f"## How it was made\n\n```\n{record.study.command}\n```\n\n{ran}"


def published(record: Record) -> bool:
    """Whether its backbone's weights are timm's, on the hub under the variant's name."""
    study = record.configuration
    source = architecture.get(study.model).variant(study.scale, name=study.variant).weights
    return isinstance(source, weights.Weights) and "huggingface.co/timm/" in source.file


def data_name(record: Record) -> str:
    """Of a dataset that is a place the last part: where it lies is nobody's concern who gets the model."""
    return PurePath(record.data.name.rstrip("/")).name or record.data.name


def line(words: object) -> str:
    """As Markdown shows it, and not as it would read it."""
    escaped = " ".join(str(words).split())
    for letter in "\\`*_[]<>|":
        escaped = escaped.replace(letter, f"\\{letter}" if letter not in "<>" else {"<": "&lt;", ">": "&gt;"}[letter])
    return escaped


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [" | ".join(map(line, columns)), " | ".join("---" for _ in columns)]
    lines += [" | ".join(map(line, row)) for row in rows]
    return "\n".join(f"| {each} |" for each in lines)


def folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"
