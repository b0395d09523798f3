"""The command line of a comparison: arguments to the studies that are its rows."""

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from study.comparison.comparison import study_folders
from study.comparison.rows import FROM_SCRATCH
from study.data import place
from study.data_efficiency import plan
from study.design.study import Study, check_name
from study.options import command_line
from study.results.record import Record
from study.text import duration
from trainables import architecture

EXAMPLES = """examples:
  python -m study.compare --trials 32                            # every architecture, on the digits
  python -m study.compare --models resnet vit --pretraining in1k in21k --datasets caltech256 cifar10 --trials 32
  python -m study.compare --from results/compare-digits results/my-study
"""
READING = {"records", "name", "results", "quiet", "verbose"}  # what --from leaves a choice of


@dataclass(frozen=True)
class Plan:
    """What a comparison is made of.

    Attributes:
        read: the folders of studies to read, where it runs none.
        studies: the rows to run, none for a comparison that only reads.
        left_out: rows that do not exist, each with the reason.
        why: the scale, in a sentence.
    """

    options: argparse.Namespace
    folder: Path
    read: tuple[Path, ...] = ()
    studies: tuple[Study, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    why: str = ""

    def folders(self, *, without: Collection[str] = ()) -> list[Path]:
        """Whose records to compare: with a run, all that lie in its folder, those of earlier commands included."""
        there = self.read or sorted(one.parent for one in self.folder.glob("*/study.json"))
        return [folder for folder in there if folder.name not in without]

    def missing(self) -> list[Study]:
        return [study for study in self.studies if not done(study)]

    def options_of(self, study: Study) -> argparse.Namespace:
        """What `study.run` would have been given for this row."""
        return argparse.Namespace(**{**vars(self.options), "resume": True, "weights": None, "name": study.name})

    def data_efficiency(self, *, without: Collection[str] = ()) -> list[str] | None:
        """What `study.data_efficiency` is to be given after the rows; None where it is not asked for."""
        options = self.options
        done = [str(study.folder) for study in self.studies if study.name not in without]
        if self.read or options.data_efficiency is None or not done:
            return None
        given = {
            "--images-per-class": [n or plan.EVERYTHING for n in options.data_efficiency],
            "--max-concurrent": [options.max_concurrent] if options.max_concurrent else [],
            "--data-dir": [options.data_dir] if options.data_dir else [],
        }
        flags = [flag for flag in ("offline", "quiet") if getattr(options, flag)]
        named = [[name, *map(str, values)] for name, values in given.items() if values]
        return [*done, *(word for words in named for word in words), *(f"--{flag}" for flag in flags)]

    def progress(self, study: Study, *, left: int) -> str:
        """Which row comes now, and how long it and the others will take, by the mean of those that are done."""
        number = len(self.studies) - left + 1
        line = f"row {number} of {len(self.studies)}: {title(study)}"
        took = [sum(Record(one.folder).study["seconds"].values()) for one in self.studies if done(one)]
        return f"{line}, about {duration(fmean(took) * left)} left" if took else line


def done(study: Study) -> bool:
    return Record(study.folder).study.get("status") == "finished"


def title(study: Study) -> str:
    return f"{label(study.model, study.pretrained_variant.pretraining)} on {place.name_of(study.dataset)}"


def label(model: str, pretraining: str) -> str:
    return f"{architecture.get(model).title} {FROM_SCRATCH if pretraining == 'none' else pretraining}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.Parser(
        prog="python -m study.compare",
        description="Run a study for every model, pretraining and dataset, with one budget, and compare them. The same "
        "command again skips what is done and goes on with what is not.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is compared")
    what.add_argument("--models", nargs="+", default=architecture.names(), metavar="MODEL", help="default: all of them")
    what.add_argument(
        "--pretraining", nargs="+", metavar="NAME", help=f"default: each model's first. {command_line.PRETRAININGS}"
    )
    what.add_argument(
        "--datasets", nargs="+", default=["digits"], metavar="NAME|PLACE", help="as --dataset of study.run"
    )
    what.add_argument(
        "--from", dest="records", nargs="+", type=Path, metavar="DIR", help="read these studies, and run none"
    )
    command_line.add_scale_arguments(what)
    what.add_argument(
        "--data-efficiency",
        nargs="*",
        type=plan.asked,
        metavar="N",
        help="then train every winner on so many images of every class (default: 1 2 5 10 20 50... and all), as "
        "study.data_efficiency does",
    )
    what.add_argument(
        "--requirements",
        nargs="*",
        type=plan.asked,
        action=FormerName,
        dest="data_efficiency",
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )
    output = command_line.add_study_arguments(parser)
    output.add_argument("--name", help="of the folder; default: compare-DATASETS, with --from: comparison")
    options = command_line.parsed(parser, arguments)
    if options.records:
        given = [name for name, value in vars(options).items() if value != parser.get_default(name)]
        if other := sorted(set(given) - READING):
            parser.error(f"--from only reads records: leave out --{other[0].replace('_', '-')}, or --from")
    return options


class FormerName(argparse.Action):
    """The former name of --data-efficiency, for one version."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        print(f"note: {option} is called --data-efficiency now", file=sys.stderr)
        setattr(namespace, self.dest, values)


def reading(options: argparse.Namespace) -> Plan:
    """The plan of a comparison that runs nothing. Raises ValueError for a mistake."""
    return Plan(options, folder_of(options, "comparison"), tuple(study_folders(options.records)))


def running(options: argparse.Namespace) -> Plan:
    """Every row that exists, before any is begun. Raises ValueError for a mistake."""
    if options.data_efficiency is not None and (options.images_per_class or options.train_fraction):
        raise ValueError(
            "--data-efficiency is measured with all of train: leave out --images-per-class, --train-fraction"
        )
    scale, why = command_line.chosen_scale(options.scale)
    models, datasets = (list(dict.fromkeys(given)) for given in (options.models, options.datasets))
    if len(datasets) > 1 and (options.data_dir or options.data_option):
        raise ValueError(
            "--data-dir and --data-option are of one dataset: run the comparison once a dataset, with the same --name"
        )
    folder = folder_of(options, "-".join(["compare", *map(place.name_of, datasets)]))
    studies, left_out = [], []
    for dataset in datasets:
        for model in models:
            there = architecture.get(model).pretrainings(scale)
            for pretraining in dict.fromkeys(options.pretraining or there[:1]):
                if pretraining in there:
                    studies.append(row(options, scale, folder, model, pretraining, dataset))
                else:
                    why_not = f"there are no {pretraining} weights of it at scale {scale}, but {', '.join(there)}"
                    left_out.append((f"{label(model, pretraining)} on {place.name_of(dataset)}", why_not))
    if not studies:
        raise ValueError(f"no row is left: {left_out[0][0]}: {left_out[0][1]}")
    apart(studies)
    for study in studies:
        check(study)
    return Plan(options, folder, studies=tuple(studies), left_out=tuple(left_out), why=why)


def row(options: argparse.Namespace, scale: str, folder: Path, model: str, pretraining: str, dataset: str) -> Study:
    """The study of a row, as `study.run` would describe it."""
    one = {"model": model, "pretraining": pretraining, "dataset": dataset, "results": folder}
    return command_line.configure(argparse.Namespace(**{**vars(options), **one, "variant": None, "name": None}), scale)


def folder_of(options: argparse.Namespace, default: str) -> Path:
    name = default if options.name is None else options.name
    check_name(name)
    folder = options.results / name
    command_line.check_writable(folder)
    return folder


def apart(studies: Sequence[Study]) -> None:
    """Raises ValueError if two datasets would share their folders."""
    folders: dict[str, Study] = {}
    for study in studies:
        other = folders.setdefault(study.name, study)
        if other is not study:
            raise ValueError(f"datasets {other.dataset} and {study.dataset} have one name: compare them one at a time")


def check(study: Study) -> None:
    """Raises ValueError if the row's folder holds another study."""
    command_line.check_folder(study, resume=True)
    record = Record(study.folder)
    if record.study:
        command_line.check_same(study, record.study["study"], tested=bool(record.tables["predictions"]))
