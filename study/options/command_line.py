"""The command line of a study: arguments to a `Study`, every mistake one line and exit code 2.

Imports neither torch nor Ray: what is wrong with the options is said at once.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from study.cluster import gpu
from study.data import named, place
from study.design import recipes
from study.design import space as spaces
from study.design.preprocessing import overridden
from study.design.states import StudyStatus
from study.design.study import Study
from study.options import arguments, scale
from study.options.parser import Parser
from study.results.study_file import StudyFile, plain
from trainables import architecture, weights
from trainables.choices import BOUNDARY_MODES, GPU_PRECISIONS, PRECISIONS, choose, needs_gpu

Meant = TypeVar("Meant")
EXAMPLES = """examples:
  python -m study.run --model coatnet --trials 32
  python -m study.run --model vit --pretraining none --trials 16 --name vit-from-scratch
  python -m study.run --model resnet --fix freeze_depth=all     # search a head on a frozen backbone
  python -m study.run --model coatnet --trials 32 --resume      # go on where it stopped
"""
COMMON = (
    *("model", "dataset", "pretraining", "scale", "trials", "epochs", "recipe", "fix", "space", "seeds"),
    *("name", "results", "resume", "config"),
)


def parser() -> Parser:
    parser = Parser(
        "study.run",
        "--model MODEL [options]",
        "Search the hyperparameters of one pretrained model on one dataset, replicate the best trials over\n"
        "seeds, test the winner once per seed.",
        common=COMMON,
        epilog=EXAMPLES,
    )
    what = parser.add_argument_group("what is studied")
    what.add_argument("--model", required=True, help=f"{', '.join(architecture.names())}")
    what.add_argument(
        "--dataset",
        type=arguments.dataset,
        default="digits",
        metavar="NAME|PLACE",
        help=f"{', '.join(named.names())}, or a folder of images, Parquet files, s3://... (default %(default)s)",
    )
    what.add_argument("--pretraining", help=arguments.PRETRAININGS)
    what.add_argument("--variant", help="one model of the family by name, where the pretraining leaves a choice")
    what.add_argument("--weights", type=arguments.path, metavar="PATH", help="a file with the backbone's weights")
    arguments.add_scale(what)
    output = arguments.add_study(parser)
    output.add_argument("--name", help="default: MODEL-PRETRAINING-DATASET")
    output.add_argument("--resume", action="store_true", help="go on with the study of that name, if it is there")
    return parser


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; exits where argparse finds a mistake, and after what --help says."""
    return parser().parse(given)


def studies(options: argparse.Namespace) -> list[Study]:
    """The studies that the options may mean: one, or one per scale where only torch or a cluster knows of a GPU.

    Raises ValueError for every mistake that shows without them.
    """

    def study_at(scale: str) -> Study:
        study = configure(options, scale)
        check_folder(study, resume=options.resume)
        check_record(study)
        return study

    return at_some_scale(options.scale, study_at)


def at_some_scale(requested: str, of: Callable[[str], Meant]) -> list[Meant]:
    """What `of` gives for the scales that may be meant. Raises ValueError where it does so for all of them."""
    possible, mistakes = [], []
    for name in scale.possible(requested):
        try:
            possible.append(of(name))
        except ValueError as mistake:
            mistakes.append(str(mistake))
    if not possible:
        raise ValueError("; ".join(dict.fromkeys(mistakes)))
    return possible


def configure(options: argparse.Namespace, scale: str) -> Study:
    """The study that the options describe. Raises ValueError for a mistake."""
    family = architecture.get(options.model)
    place.check(options.dataset)
    check_execution(options)
    variant = family.variant(scale, options.pretraining, options.variant)
    weights.check(variant.weights, options.weights)
    recipe = recipes.chosen(options.recipe, family)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    if options.augmentation is not None:
        recipe = recipe.with_settings(augmentation=options.augmentation)
    name = f"{options.model}-{variant.pretraining}-{place.name_of(options.dataset)}"
    return Study(
        model=options.model,
        scale=scale,
        variant=variant.name,
        dataset=options.dataset,
        name=name if options.name is None else options.name,
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
        request=arguments.request(options),
        preprocessing=overridden(options.preprocessing, variant),
        grad_accum=grad_accum_steps(options.grad_accum),
    )


def check_execution(options: argparse.Namespace) -> None:
    """Raises ValueError for a mistake in how a study is run, which is no part of what it is."""
    choose("boundaries", options.boundaries, BOUNDARY_MODES)
    if options.max_concurrent is not None and options.max_concurrent < 1:
        raise ValueError(f"max-concurrent must be at least 1, got {options.max_concurrent}")
    check_precision(options.precision, gpu.known())


def check_precision(precision: str, has_gpu: bool | None) -> None:
    """Raises ValueError for a precision that there is none of, or that needs a GPU; None: that is not known yet."""
    choose("precision", precision, ["auto", *PRECISIONS])
    if precision in GPU_PRECISIONS and has_gpu is False:
        raise ValueError(needs_gpu(precision))


def grad_accum_steps(grad_accum: str) -> int | None:
    """--grad-accum as a number, None for auto. Raises ValueError."""
    try:
        return None if grad_accum == "auto" else int(grad_accum)
    except ValueError:
        raise ValueError(f"grad-accum takes a whole number or auto, got {grad_accum!r}") from None


def is_finished(study: Study) -> bool:
    """Whether its record says so; False where there is none, or one that cannot be read."""
    with suppress(ValueError):
        return StudyFile.read(study.folder).status is StudyStatus.FINISHED
    return False


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


def check_record(study: Study) -> None:
    """Raises ValueError if the study's folder holds another study, or a record that cannot be read."""
    recorded = StudyFile.read(study.folder)
    if recorded.configuration is not None:
        tested = (study.folder / "predictions.parquet").exists()
        check_same(study, plain(recorded.configuration), tested=tested)


GROWING = ("trials", "seeds", "top_k")


def check_same(study: Study, recorded: dict[str, Any], *, tested: bool) -> None:
    """Raises ValueError if the recorded study is another one; more trials are welcome until the test set was seen."""
    before_and_now = (json.loads(json.dumps(facts)) for facts in (recorded, study.facts()))  # lists, not tuples
    for name, before, now in differences(*before_and_now):
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
