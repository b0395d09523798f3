"""The command line of a study: arguments to a `Study`, every mistake one line and exit code 2."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from study.cluster import connection, devices, environment
from study.data import named, place
from study.data.source import DUPLICATES, DatasetRequest
from study.design import recipes
from study.design import space as spaces
from study.design.preprocessing import overridden
from study.design.study import EARLY_STOPPING, Study
from study.terminal.progress import fail
from trainables import architecture
from trainables.augmentation import AUGMENTATIONS, NONE
from trainables.boundaries import Store
from trainables.choices import BOUNDARY_MODES, PRECISIONS, SCALES, choose
from trainables.metrics import Metric

EXAMPLES = """examples:
  python -m study.run --model coatnet --trials 32
  python -m study.run --model vit --pretraining none --trials 16 --name vit-from-scratch
  python -m study.run --model resnet --fix freeze_depth=all     # search a head on a frozen backbone
  python -m study.run --model coatnet --trials 32 --resume      # go on where it stopped
"""
PRETRAININGS = "mini: fashion60k (default), fashion6k, none; paper: in1k, in21k, in12k, none"


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line without the usage above it."""

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message} ({self.prog} --help lists the options)"))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m study.run",
        description="Search the hyperparameters of one pretrained model on one dataset, replicate the best trials over "
        "seeds, test the winner once a seed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is studied")
    what.add_argument("--model", required=True, help=f"{', '.join(architecture.names())}")
    what.add_argument(
        "--dataset",
        default="digits",
        metavar="NAME|PLACE",
        help=f"{', '.join(named.names())}, or a folder of images, Parquet files, s3://... (default %(default)s)",
    )
    what.add_argument("--pretraining", help=PRETRAININGS)
    what.add_argument("--variant", help="one model of the family by name, where the pretraining leaves a choice")
    what.add_argument("--weights", type=Path, metavar="PATH", help="a file with the backbone's weights")
    add_scale_arguments(what)
    output = add_study_arguments(parser)
    output.add_argument("--name", help="default: MODEL-PRETRAINING-DATASET")
    output.add_argument("--resume", action="store_true", help="go on with the study of that name, if it is there")
    return parsed(parser, arguments)


def parsed(parser: Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser.parse_args(arguments)
    if options.max_concurrent is not None and options.max_concurrent < 1:
        parser.error(f"max-concurrent must be at least 1, got {options.max_concurrent}")
    return options


def add_scale_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--scale", default="auto", help=f"auto, {', '.join(SCALES)}: paper where there is a GPU (default)"
    )
    group.add_argument("--offline", action="store_true", help="never fetch anything from the network")


def add_study_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Whatever does not say which study it is: the same for one study and for all rows of a comparison.

    Returns the group of what is written, for its name.
    """
    data = parser.add_argument_group("the images")
    add_data_arguments(data)
    data.add_argument("--train-fraction", type=float, metavar="F", help="train on this part of train, stratified")
    data.add_argument("--images-per-class", type=int, metavar="N", help="train on so many images of every class")
    budget = parser.add_argument_group("the budget and the search")
    budget.add_argument("--trials", type=int, default=32, metavar="N", help="default %(default)s")
    budget.add_argument("--epochs", type=int, metavar="N", help="of every trial; default: the recipe's")
    budget.add_argument(
        "--recipe", default="fair", help="fair (default), the model's own (paper; alexnet: paper_crop), or a FILE.toml"
    )
    budget.add_argument(
        "--augmentation", help=f"of the training images: {NONE}, {', '.join(AUGMENTATIONS)} (default: the recipe's)"
    )
    budget.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="take a hyperparameter out of the search"
    )
    budget.add_argument(
        "--preprocessing",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="size, crop, interpolation, mean or std (R,G,B) of the images (default: the checkpoint's)",
    )
    budget.add_argument(
        "--space",
        type=Path,
        metavar="FILE.toml",
        help="what is searched (default: the model's table in search_spaces/)",
    )
    budget.add_argument("--metric", default="accuracy", help=f"what is best: {', '.join(Metric)} (default %(default)s)")
    budget.add_argument("--early-stopping", default="asha", help=f"{', '.join(EARLY_STOPPING)} (default %(default)s)")
    budget.add_argument(
        "--top-k", type=int, default=3, metavar="N", help="trials that are replicated (default %(default)s)"
    )
    budget.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="of replicates and tests (default %(default)s)"
    )
    budget.add_argument("--seed", type=int, default=0, metavar="N", help="of the search (default %(default)s)")
    machine = parser.add_argument_group("the machine")
    machine.add_argument(
        "--max-concurrent", type=int, metavar="N", help="runs at a time; 1 makes a study repeat exactly"
    )
    machine.add_argument("--workers-per-trial", type=int, default=1, metavar="N", help="more than 1 trains with DDP")
    machine.add_argument(
        "--grad-accum",
        default="auto",
        metavar="N",
        help="parts of a batch whose gradients are added up (default auto: as few as fit in memory)",
    )
    machine.add_argument(
        "--boundaries",
        default="on",
        help="on (a planner decides what frozen stages are read from the store), off (computed in every run), always "
        "(read)",
    )
    machine.add_argument("--precision", default="auto", help=f"auto, {', '.join(PRECISIONS)} (default %(default)s)")
    output = parser.add_argument_group("the record")
    output.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default %(default)s")
    output.add_argument("--wandb", choices=("online", "offline", "disabled"), help="default: online when logged in")
    output.add_argument("--quiet", action="store_true", help="print the summary only")
    output.add_argument("--verbose", action="store_true", help="show what Ray says")
    return output


def add_data_arguments(group: argparse._ActionsContainer) -> None:
    """How a dataset is asked for; `request` reads them."""
    group.add_argument("--data-dir", type=Path, metavar="DIR", help="where a dataset's archive or folder lies already")
    group.add_argument(
        "--data-option", action="append", default=[], metavar="NAME=VALUE", help="of the dataset, see docs/datasets.md"
    )
    group.add_argument("--strict", action="store_true", help="refuse the first image that cannot be read")
    group.add_argument("--duplicates", default="auto", help=f"{', '.join(DUPLICATES)} (default %(default)s)")


def request(options: argparse.Namespace) -> DatasetRequest:
    """Raises ValueError for a mistake."""
    settings = {}
    for assignment in options.data_option:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--data-option takes NAME=VALUE, got {assignment!r}")
        settings[name] = value
    return DatasetRequest(options.data_dir, options.offline, options.strict, options.duplicates, settings)


def configure(options: argparse.Namespace, scale: str) -> Study:
    """The study that the options describe. Raises ValueError for a mistake."""
    family = architecture.get(options.model)
    choose("precision", options.precision, ["auto", *PRECISIONS])
    devices.check(options.precision, options.workers_per_trial)
    place.check(options.dataset)
    choose("boundaries", options.boundaries, BOUNDARY_MODES)
    Store.here()  # its environment may be a mistake
    variant = family.variant(scale, options.pretraining, options.variant)
    recipe = recipes.chosen(options.recipe, family)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    if options.augmentation is not None:
        recipe = recipe.with_settings(augmentation=options.augmentation)
    named = options.name
    return Study(
        model=options.model,
        scale=scale,
        variant=variant.name,
        dataset=options.dataset,
        name=named if named is not None else f"{options.model}-{variant.pretraining}-{place.name_of(options.dataset)}",
        results=options.results,
        recipe=recipe,
        trials=options.trials,
        seed=options.seed,
        fixed=spaces.fixed(options.fix, variant.backbone_stages),
        table=spaces.read(options.space, variant.backbone_stages) if options.space else None,
        metric=options.metric,
        early_stopping=options.early_stopping,
        top_k=options.top_k,
        seeds=options.seeds,
        precision=options.precision,
        workers_per_trial=options.workers_per_trial,
        train_fraction=options.train_fraction,
        images_per_class=options.images_per_class,
        request=request(options),
        preprocessing=overridden(options.preprocessing, family, variant),
        grad_accum=grad_accum_steps(options.grad_accum),
    )


def grad_accum_steps(grad_accum: str) -> int | None:
    """--grad-accum as a number, None for auto. Raises ValueError."""
    try:
        return None if grad_accum == "auto" else int(grad_accum)
    except ValueError:
        raise ValueError(f"grad-accum takes a whole number or auto, got {grad_accum!r}") from None


def chosen_scale(requested: str) -> tuple[str, str]:
    """The scale, and a sentence that says which, why, and how to choose."""
    choose("scale", requested, ["auto", *SCALES])
    environment.check()
    if requested != "auto":
        return requested, f"scale {requested}, as asked"
    if connection.has_gpu():
        return "paper", "scale paper, for this Ray cluster has a GPU (--scale mini for the small models)"
    return "mini", "scale mini, for this Ray cluster has no GPU (--scale paper for the models of the paper)"


def check_folder(study: Study, *, resume: bool) -> None:
    """Raises ValueError if the study's folder exists and is not to be resumed, or cannot be a folder."""
    folder = study.folder
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        raise ValueError(f"{folder} exists: go on with it by --resume, or choose another --name")
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Raises ValueError if there can be no such folder to write in."""
    nearest = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ValueError(f"{folder} cannot be written ({nearest} is not a writable folder): choose another --results")


def make_folder(folder: Path) -> None:
    """The last thing that can be a mistake, and the first that is written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): choose another --results") from error


def check_same_images(study: Study, recorded: str, now: str) -> None:
    """Raises ValueError if the images or their splits are no longer those that were recorded."""
    if recorded != now:
        raise ValueError(
            f"{study.folder} was recorded on other images than {study.dataset} now: bring those back, or choose "
            f"another --name for these"
        )


def check_same_weights(study: Study, recorded: str | None, now: str | None) -> None:
    """Raises ValueError if the pretrained weights are no longer those that were recorded, where they were."""
    if recorded is not None and recorded != now:
        raise ValueError(
            f"{study.folder} was recorded with other weights of {study.variant} than these now: give those with "
            f"--weights PATH, or choose another --name for these"
        )


GROWING = ("trials", "seeds", "top_k")


def check_same(study: Study, recorded: dict[str, Any], *, tested: bool) -> None:
    """Raises ValueError if the recorded study is another one; more trials are welcome until the test set was seen."""
    for name, before, now in differences(recorded, json.loads(json.dumps(study.facts()))):
        if name in GROWING and not tested and now >= before:
            continue
        why = ", and its test set has been seen" if tested and name in GROWING else ""
        raise ValueError(
            f"{study.folder} has {name} {before}, not {now}{why}: give the same options, or another --name"
        )


def differences(before: dict[str, Any], now: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(name, before, now) of every entry of `now` that was another."""
    for name, value in now.items():
        if isinstance(value, dict) and isinstance(before.get(name), dict):
            yield from differences(before[name], value, f"{within}{name}.")
        elif before.get(name) != value:
            yield f"{within}{name}", before.get(name), value
