"""The command line of a study: arguments to a `Study`, every mistake one line and exit code 2."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from study import cluster, datasets
from study.config import EARLY_STOPPING, RECIPES, Study, fixed
from study.terminal import fail
from trainables import architecture
from trainables.architecture import SCALES
from trainables.choices import choose
from trainables.precision import DTYPES

EXAMPLES = """examples:
  python -m study.run --model coatnet --trials 32
  python -m study.run --model vit --pretraining none --trials 16 --name vit-from-scratch
  python -m study.run --model resnet --fix freeze_depth=all     # search a head on a frozen backbone
  python -m study.run --model coatnet --trials 32 --resume      # go on where it stopped
"""


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line without the usage above it."""

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message} (python -m study.run --help lists the options)"))


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
    what.add_argument("--dataset", default="digits", help=f"{', '.join(datasets.names())} (default %(default)s)")
    what.add_argument(
        "--pretraining", help="mini: fashion60k (default), fashion6k, none; paper: in1k, in21k, in12k, none"
    )
    what.add_argument(
        "--scale", default="auto", help=f"auto, {', '.join(SCALES)}: paper where there is a GPU (default)"
    )
    what.add_argument("--variant", help="one model of the family by name, where the pretraining leaves a choice")
    what.add_argument("--weights", type=Path, metavar="PATH", help="a file with the backbone's weights")
    what.add_argument("--offline", action="store_true", help="never fetch anything from the network")
    budget = parser.add_argument_group("the budget and the search")
    budget.add_argument("--trials", type=int, default=32, metavar="N", help="default %(default)s")
    budget.add_argument("--epochs", type=int, metavar="N", help="of every trial; default: the recipe's")
    budget.add_argument("--recipe", default="fair", help=f"{', '.join(RECIPES)} (default %(default)s)")
    budget.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="take a hyperparameter out of the search"
    )
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
    machine.add_argument("--precision", default="auto", help=f"auto, {', '.join(DTYPES)} (default %(default)s)")
    output = parser.add_argument_group("the record")
    output.add_argument("--name", help="default: MODEL-PRETRAINING-DATASET")
    output.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default %(default)s")
    output.add_argument("--resume", action="store_true", help="go on with the study of that name, if it is there")
    output.add_argument("--wandb", choices=("online", "offline", "disabled"), help="default: online when logged in")
    output.add_argument("--quiet", action="store_true", help="print the summary only")
    output.add_argument("--verbose", action="store_true", help="show what Ray says")
    return parser.parse_args(arguments)


def configure(options: argparse.Namespace, scale: str) -> Study:
    """The study that the options describe. Raises ValueError for a mistake."""
    family = architecture.get(options.model)
    choose("dataset", options.dataset, datasets.names())
    variant = family.variant(scale, options.pretraining, options.variant)
    recipe = RECIPES[choose("recipe", options.recipe, RECIPES)]
    return Study(
        model=options.model,
        scale=scale,
        variant=variant.name,
        dataset=options.dataset,
        name=options.name if options.name is not None else f"{options.model}-{variant.pretraining}-{options.dataset}",
        results=options.results,
        recipe=recipe if options.epochs is None else replace(recipe, epochs=options.epochs),
        trials=options.trials,
        seed=options.seed,
        fixed=fixed(options.fix, family.backbone_stages(variant)),
        early_stopping=options.early_stopping,
        top_k=options.top_k,
        seeds=options.seeds,
        precision=options.precision,
        workers_per_trial=options.workers_per_trial,
    )


def chosen_scale(requested: str) -> tuple[str, str]:
    """The scale, and a sentence that says which, why, and how to choose."""
    choose("scale", requested, ["auto", *SCALES])
    if requested != "auto":
        return requested, f"scale {requested}, as asked"
    if cluster.has_gpu():
        return "paper", "scale paper, for this Ray cluster has a GPU (--scale mini for the small models)"
    return "mini", "scale mini, for this Ray cluster has no GPU (--scale paper for the models of the paper)"


def check_folder(study: Study, *, resume: bool) -> None:
    """Raises ValueError unless the study can be written, and is new or may be resumed."""
    folder = study.folder
    if folder.exists() and not resume:
        raise ValueError(f"{folder} exists: go on with it by --resume, or choose another --name")
    nearest = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise ValueError(f"{folder} cannot be written ({nearest} is not a writable folder): choose another --results")


def check_same(study: Study, recorded: dict[str, object], *, tested: bool) -> None:
    """Raises ValueError if the recorded study is another one; more trials are welcome until the test set was seen."""
    grows = {} if tested else {"trials", "seeds", "top_k"}
    for name, value in study.facts().items():
        before = recorded.get(name)
        if before != value and not (name in grows and int(str(value)) >= int(str(before))):
            why = ", and its test set has been seen" if tested and name in {"trials", "seeds", "top_k"} else ""
            raise ValueError(
                f"{study.folder} has {name} {before}, not {value}{why}: give the same options, or another --name"
            )
