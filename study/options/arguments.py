"""The options that several commands share, by what they are about."""

import argparse
from pathlib import Path

from study.data.place import check_address, written_out
from study.data.source import DUPLICATES, DatasetRequest
from study.design.study import EARLY_STOPPING
from study.files import expanded
from study.options.keywords import DataKeywords
from study.options.parser import Parser
from study.results import place
from trainables.choices import BOUNDARY_MODES, PRECISIONS, SCALES
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

PRETRAININGS = "mini: fashion60k (default), fashion6k, none; paper: in1k, in21k, in12k, none"
ALL = "all"
Group = argparse._ArgumentGroup


def path(given: str) -> Path:
    """Any path that an option takes. Raises ArgumentTypeError."""
    try:
        return expanded(given)
    except ValueError as mistake:
        raise argparse.ArgumentTypeError(str(mistake)) from None


def results(given: str) -> Path:
    """Where records lie, a folder or s3://...: the path that everything else works in."""
    try:
        return place.local(given)
    except ValueError as mistake:
        raise argparse.ArgumentTypeError(str(mistake)) from None


def images_per_class(given: str) -> int | None:
    """How many images of every class to train on; None is all of train. Raises ArgumentTypeError."""
    if given == ALL:
        return None
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"images of a class must be a number from 1, or {ALL}, got {given!r}")
    return int(given)


def dataset(given: str) -> str:
    """A dataset's name or place. Raises ArgumentTypeError for an address with a secret in it."""
    try:
        if "://" in given:
            check_address(given)
        return written_out(given)
    except ValueError as mistake:
        raise argparse.ArgumentTypeError(str(mistake)) from None


def add_scale(group: Group) -> None:
    group.add_argument(
        "--scale", default="auto", help=f"auto, {', '.join(SCALES)}: paper where there is a GPU (default)"
    )
    group.add_argument("--offline", action="store_true", help="never fetch anything from the network")


def add_study(parser: Parser) -> Group:
    """Whatever does not say which study it is: the same for one study and for all rows of a comparison.

    Returns the group of what is written, for its name.
    """
    add_data(data := parser.add_argument_group("the images"))
    data.add_argument("--train-fraction", type=float, metavar="F", help="train on this part of train, stratified")
    data.add_argument("--images-per-class", type=int, metavar="N", help="train on so many images of every class")
    data.add_argument("--split-seed", type=int, default=0, metavar="N", help="of the split (default %(default)s)")
    add_training(parser.add_argument_group("the training"))
    add_search(parser.add_argument_group("the budget and the search"))
    add_machine(parser.add_argument_group("the machine"))
    output = parser.add_argument_group("the record")
    output.add_argument(
        "--corruptions",
        action="store_true",
        help="then test the winner on corrupted images: blur, noise, JPEG, pixels, brightness, contrast",
    )
    output.add_argument(
        "--keep-models", action="store_true", help="keep the model of every test run: for study.predict --seeds all"
    )
    output.add_argument(
        "--results",
        type=results,
        default=Path("results"),
        metavar="DIR",
        help="a folder, or s3://BUCKET/FOLDER, gs://, abfs:// (default %(default)s)",
    )
    output.add_argument("--wandb", choices=("online", "offline", "disabled"), help="default: online when logged in")
    output.add_argument("--tensorboard", action="store_true", help="write event files for TensorBoard, too")
    output.add_argument("--quiet", action="store_true", help="print the summary only")
    output.add_argument("--verbose", action="store_true", help="show what Ray says")
    return output


def add_training(group: Group) -> None:
    group.add_argument("--epochs", type=int, metavar="N", help="of every trial; default: the recipe's")
    group.add_argument(
        "--recipe", default="fair", help="fair (default), the model's own (paper; alexnet: paper_crop), or a FILE.toml"
    )
    group.add_argument(
        "--augmentation",
        help=f"of the training images: {', '.join(DECLARED['augmentation'].choices)} (default: the recipe's)",
    )
    group.add_argument(
        "--preprocessing",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="size, crop, interpolation, mean or std (R,G,B) of the images (default: the checkpoint's)",
    )


def add_search(group: Group) -> None:
    group.add_argument("--trials", type=int, default=32, metavar="N", help="default %(default)s")
    group.add_argument(
        "--hours",
        type=float,
        metavar="H",
        help="of wall clock for search, replicates and tests of a study together: as many runs as fit (default: all)",
    )
    group.add_argument(
        "--fix",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="take a hyperparameter out of the search, or set one that is not in it: lr=1e-3, freeze_depth=all",
    )
    group.add_argument(
        "--space",
        type=path,
        metavar="FILE.toml",
        help="what is searched (default: the model's table in search_spaces/)",
    )
    group.add_argument(
        "--metric", default=Metric.ACCURACY.value, help=f"what is best: {', '.join(Metric)} (default %(default)s)"
    )
    group.add_argument("--early-stopping", default="asha", help=f"{', '.join(EARLY_STOPPING)} (default %(default)s)")
    group.add_argument(
        "--top-k", type=int, default=3, metavar="N", help="points that are replicated (default %(default)s)"
    )
    group.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="of replicates and tests (default %(default)s)"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the search (default %(default)s)")
    group.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="R",
        help="of the whole procedure, each with its own search, split, draw and seeds: what is established then holds "
        "for others, too (default %(default)s)",
    )


def add_machine(group: Group) -> None:
    group.add_argument("--max-concurrent", type=int, metavar="N", help="runs at a time; 1 makes a study repeat exactly")
    group.add_argument(
        "--trials-per-gpu", metavar="N|auto", help="runs that share a GPU; auto: as many as its memory and CPUs allow"
    )
    group.add_argument(
        "--checkpoint-every",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="of training between two checkpoints of a run, which take at most 1 %% of its time; 0: at every step, "
        "inf: none (default %(default)g)",
    )
    group.add_argument("--workers-per-trial", type=int, default=1, metavar="N", help="more than 1 trains with DDP")
    group.add_argument(
        "--sync-batchnorm", action="store_true", help="BatchNorm sees the batches of all workers of a trial (GPUs only)"
    )
    group.add_argument(
        "--grad-accum",
        default="auto",
        metavar="N",
        help="gradient accumulation: into how many parts a batch is divided (default auto: as few as fit in memory)",
    )
    group.add_argument(
        "--boundaries",
        default="on",
        help=f"{', '.join(BOUNDARY_MODES)}: whether what frozen stages compute is cached and read; with on a planner "
        "decides by measurement (default), always reads it at any cost",
    )
    add_failures(group)
    group.add_argument(
        "--retries-of-ray",
        type=int,
        default=0,
        metavar="N",
        help="how often Ray is started again if it ends (default %(default)s: the command ends, and can go on)",
    )
    group.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile of the stages that are trained: a minute or more for each freeze depth, then faster steps",
    )
    add_precision(group)


def add_failures(group: Group | Parser) -> None:
    """What becomes of runs that fail."""
    group.add_argument(
        "--max-failures",
        type=int,
        default=2,
        metavar="N",
        help="how often a run is tried again that failed for the machine's sake (default %(default)s)",
    )
    group.add_argument(
        "--stall-timeout",
        default="auto",
        metavar="SECONDS",
        help="a run without progress for so long, 15 at least, is tried again; 0: never (default auto: by its pace)",
    )


def add_precision(group: Group | Parser) -> None:
    group.add_argument("--precision", default="auto", help=f"auto, {', '.join(PRECISIONS)} (default %(default)s)")


def add_data(group: Group | Parser) -> None:
    """How a dataset is asked for; `request` reads them."""
    group.add_argument("--data-dir", type=path, metavar="DIR", help="where a dataset's archive or folder lies already")
    group.add_argument(
        "--data-option",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="of the dataset, see docs/datasets.md",
    )
    group.add_argument("--strict", action="store_true", help="refuse the first image that cannot be read")
    group.add_argument("--duplicates", default="auto", help=f"{', '.join(DUPLICATES)} (default %(default)s)")


def request(options: DataKeywords) -> DatasetRequest:
    """Raises ValueError for a mistake."""
    settings = {}
    for assignment in options.data_option:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--data-option takes NAME=VALUE, got {assignment!r}")
        settings[name] = written_out(value)
    return DatasetRequest(options.data_dir, options.offline, options.strict, options.duplicates, settings)
