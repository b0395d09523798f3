"""The command line of a comparison: arguments to the studies that are its rows.

Imports neither torch nor Ray: what is wrong with the options is said at once.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from study.data import place
from study.design.execution import Execution
from study.design.study import Study, check_name
from study.options import arguments, command_line
from study.options.keywords import ComparisonKeywords, DataEfficiencyKeywords
from study.options.parser import Parser
from study.results import bucket, corruptions, lock, probes, resume
from study.results.place import shown
from study.results.study_file import StudyFile
from study.text import FROM_SCRATCH, duration
from trainables import architecture

EXAMPLES = """examples:
  python -m study.compare --trials 32                            # every architecture, on the digits
  python -m study.compare --models resnet vit --pretraining in1k in21k --datasets caltech256 cifar10 --trials 32
  python -m study.compare --from results/compare-digits results/my-study
"""
COMMON = (
    *("models", "pretraining", "datasets", "records", "scale", "data_efficiency", "trials", "hours", "epochs"),
    *("recipe", "fix", "space", "seeds", "repeats", "name", "results", "config"),
)
READING = {"records", "rope", "register", "name", "results", "quiet", "verbose"}  # what --from leaves a choice of


@dataclass(frozen=True)
class Plan:
    """What a comparison is made of.

    Attributes:
        read: the folders of studies to read, where it runs none.
        studies: the rows to run, none for a comparison that only reads.
        left_out: rows that do not exist, each with the reason.
        broken: why the records of rows cannot be read, by the names of their studies: the others go on.
        why: the scale, in a sentence.
    """

    options: ComparisonKeywords
    folder: Path
    read: tuple[Path, ...] = ()
    studies: tuple[Study, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    why: str = ""

    def folders(self, *, without: Collection[str] = ()) -> list[Path]:
        """Whose records to compare: with a run, all that lie in its folder, those of earlier commands included."""
        there = self.read or sorted(one.parent for one in self.folder.glob("*/study.json"))
        return [folder for folder in there if folder.name not in without]

    def missing(self) -> list[Study]:
        """Those that something is to be computed of: their runs, the regression beside them, corrupted images."""
        return [study for study in self.studies if not self.whole(study)]

    def whole(self, study: Study) -> bool:
        return resume.is_finished(study) and probes.whole(study.folder) and not self.to_be_corrupted(study)

    def to_be_corrupted(self, study: Study) -> bool:
        """Whether its winner is still to be tested on corrupted images."""
        return self.options.corruptions and not (study.folder / corruptions.FILE).exists()

    @property
    def execution(self) -> Execution:
        """How every row is run."""
        return command_line.execution(self.options, resume=True)

    def data_efficiency(self, *, without: Collection[str] = ()) -> DataEfficiencyKeywords | None:
        """What `study.data_efficiency` is to be given after the rows; None where it is not asked for."""
        options = self.options
        done = [study.folder for study in self.studies if study.name not in without]
        if self.read or options.data_efficiency is None or not done:
            return None
        return DataEfficiencyKeywords(
            studies=done,
            images_per_class=options.data_efficiency or None,
            max_concurrent=options.max_concurrent,
            max_failures=options.max_failures,
            stall_timeout=options.stall_timeout,
            data_dir=options.data_dir,
            offline=options.offline,
            quiet=options.quiet,
        )

    def progress(self, study: Study, *, left: int) -> str:
        """Which row comes now, and how long it and the others will take, by the mean of those that are done."""
        line, each = self.place(study, left=left), self.seconds_of(left)
        return line if each is None else f"{line}, about {duration(each)} left"

    def place(self, study: Study, *, left: int) -> str:
        """Which row comes now."""
        return f"row {len(self.studies) - left + 1} of {len(self.studies)}: {title(study)}"

    def seconds_of(self, rows: int) -> float | None:
        """What so many take, by the mean of those that are done; None before one is."""
        took = [seconds(one) for one in self.studies if resume.is_finished(one)]
        return fmean(took) * rows if took else None


def seconds(study: Study) -> float:
    """What a row took, by its record."""
    return sum(StudyFile.read(study.folder).seconds.values())


def title(study: Study) -> str:
    """The repeats of a row are told apart by their seeds."""
    words = f"{label(study.model, study.pretrained_variant.pretraining)} on {place.name_of(study.dataset)}"
    return f"{words}, seed {study.seed}" if study.seed else words


def label(model: str, pretraining: str) -> str:
    return f"{architecture.get(model).title} {FROM_SCRATCH if pretraining == 'none' else pretraining}"


def parser() -> Parser:
    parser = Parser(
        "study.compare",
        "[options]",
        "Run a study for every model, pretraining and dataset, with one budget, and compare them. The same\n"
        "command again skips what is done and goes on with what is not.",
        common=COMMON,
        epilog=EXAMPLES,
    )
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--models",
        nargs="+",
        default=architecture.names(),
        metavar="MODEL",
        help=f"{', '.join(architecture.names())} (default: all of them), or timm/NAME",
    )
    what.add_argument(
        "--pretraining", nargs="+", metavar="NAME", help=f"default: each model's first. {arguments.PRETRAININGS}"
    )
    what.add_argument(
        "--datasets",
        nargs="+",
        type=arguments.dataset,
        default=["digits"],
        metavar="NAME|PLACE",
        help="as --dataset of study.run (default digits)",
    )
    what.add_argument(
        "--from",
        dest="records",
        nargs="+",
        type=arguments.results,
        metavar="DIR",
        help="read these studies, and run none",
    )
    arguments.add_scale(what)
    what.add_argument(
        "--data-efficiency",
        nargs="*",
        type=arguments.images_per_class,
        metavar="N",
        help="then train every winner on so many images of every class (default: 1 2 5 10 20 50... and all), as "
        "study.data_efficiency does",
    )
    what.add_argument(
        "--parallel-rows",
        default="auto",
        metavar="N",
        help="rows that run at the same time (default auto: one on a small machine, on a cluster as many as fill it)",
    )
    what.add_argument(
        "--rope",
        type=float,
        metavar="POINTS",
        help="within how many points of accuracy two rows count as equal (default: that is not asked)",
    )
    what.add_argument(
        "--register",
        type=arguments.path,
        metavar="FILE",
        help="write what will be compared, with a hash, before anything runs; where FILE is there, say whether what "
        "was run is what it says",
    )
    what.add_argument(
        "--primary",
        nargs=2,
        metavar="ROW",
        help="with --register: the two rows, by the names of their studies, whose difference is tested alone",
    )
    what.add_argument(
        "--requirements",
        nargs="*",
        type=arguments.images_per_class,
        action=FormerName,
        dest="data_efficiency",
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )
    output = arguments.add_study(parser)
    output.add_argument("--name", help="of the folder; default: compare-DATASETS, with --from: comparison")
    return parser


def parse(given: Sequence[str] | None = None) -> tuple[ComparisonKeywords, list[str]]:
    """The options, and the words that give them; exits where argparse finds a mistake, and after what --help says."""
    this = parser()
    options = this.parse(given)
    if options.records and (other := sorted(set(this.given(options.words)[0]) - READING)):
        this.error(f"--from only reads records: leave out --{other[0].replace('_', '-')}, or --from")
    return ComparisonKeywords.of(options), options.words


class FormerName(argparse.Action):
    """The former name of --data-efficiency, for one version."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        if not parser.collects:
            print(f"note: {option} is called --data-efficiency now", file=sys.stderr)
        setattr(namespace, self.dest, values)


def possible(options: ComparisonKeywords) -> list[Plan]:
    """The plans that the options may mean: one, or one per scale where only torch or a cluster knows of a GPU.

    Raises ValueError for every mistake that shows without them.
    """
    _ = options.margin
    if options.hours is not None and (options.rows_at_once or 1) > 1:
        raise ValueError(
            f"hours are of wall clock, which {options.rows_at_once} rows at a time would share: leave out "
            "--parallel-rows, or --hours"
        )
    check_registration(options)
    if options.records:
        return [reading(options)]
    return command_line.at_some_scale(options.scale, lambda name: running(options, name))


def check_registration(options: ComparisonKeywords) -> None:
    """Raises ValueError for a mistake."""
    if options.primary and not options.register:
        raise ValueError("--primary is of a comparison that is registered: give --register FILE with it")
    if options.records and options.register and not options.register.is_file():
        raise ValueError(f"{options.register} is not there: a registration is written before anything runs")


def reading(options: ComparisonKeywords) -> Plan:
    """The plan of a comparison that runs nothing. Raises ValueError for a mistake."""
    return Plan(options, folder_of(options, "comparison"), tuple(study_folders(options.records or ())))


def running(options: ComparisonKeywords, scale: str, why: str = "") -> Plan:
    """Every row that exists at a scale, before any is begun. Raises ValueError for a mistake."""
    if options.data_efficiency is not None and (options.images_per_class or options.train_fraction):
        raise ValueError(
            "--data-efficiency is measured with all of train: leave out --images-per-class, --train-fraction"
        )
    models, datasets = (list(dict.fromkeys(given)) for given in (options.models, options.datasets))
    if len(datasets) > 1 and (options.data_dir or options.data_option):
        raise ValueError(
            "--data-dir and --data-option are of one dataset: run the comparison once a dataset, with the same --name"
        )
    folder = folder_of(options, "-".join(["compare", *map(place.name_of, datasets)]))
    rows, left_out = [], []
    for dataset in datasets:
        for model in models:
            there = architecture.get(model).pretrainings(scale)
            for pretraining in dict.fromkeys(options.pretraining or there[:1]):
                if pretraining in there:
                    one = options.row(model=model, pretraining=pretraining, dataset=dataset, results=folder)
                    rows.append(command_line.repeats(command_line.configure(one, scale), options.repeats))
                else:
                    why_not = f"there are no {pretraining} weights of it at scale {scale}, but {', '.join(there)}"
                    left_out.append((f"{label(model, pretraining)} on {place.name_of(dataset)}", why_not))
    # all rows of a repeat before the next: a comparison that is cut short has whole ones
    studies = [study for repeat in zip(*rows, strict=True) for study in repeat]
    if not studies:
        raise ValueError(f"no row is left: {left_out[0][0]}: {left_out[0][1]}")
    apart(studies)
    for study in studies:
        resume.check_folder(study, resume=True)
    broken = {study.name: reason for study in studies if (reason := resume.unreadable(study.folder))}
    whole = tuple(study for study in studies if study.name not in broken)
    if not whole:
        raise ValueError(next(iter(broken.values())))
    for study in whole:
        resume.check_record(study)
    return Plan(options, folder, studies=whole, left_out=tuple(left_out), broken=broken, why=why)


def folder_of(options: ComparisonKeywords, default: str) -> Path:
    name = default if options.name is None else options.name
    check_name(name)
    folder = options.results / name
    bucket.fetch(folder)
    resume.check_writable(folder)
    lock.check(folder)
    return folder


def apart(studies: Sequence[Study]) -> None:
    """Raises ValueError if two datasets would share their folders."""
    folders: dict[str, Study] = {}
    for study in studies:
        other = folders.setdefault(study.name, study)
        if other is not study:
            raise ValueError(f"datasets {other.dataset} and {study.dataset} have one name: compare them one at a time")


def study_folders(places: Iterable[Path]) -> list[Path]:
    """The folders of studies: each place itself, or what lies in it. Raises ValueError where there is none."""
    folders: list[Path] = []
    for folder in places:
        bucket.fetch(folder, whole=False)
        if not folder.is_dir():
            raise ValueError(
                f"{shown(folder)} is no folder: --from takes folders of studies, or folders that hold them"
            )
        inner = (
            [folder] if (folder / "study.json").exists() else sorted(one.parent for one in folder.glob("*/study.json"))
        )
        if not inner:
            raise ValueError(f"{shown(folder)} holds no study: there is no study.json in it, nor in a folder of it")
        folders.extend(inner)
    return folders
