"""Which backbone, in ten minutes: a race on frozen features, small subsets of train first.

    python -m study.select --dataset path/to/photos --budget 10m --models 'timm/*' --max-params 30M
    python -m study.select --models resnet vit 'timm/convnext*' --pretraining none --budget 60s

Candidates are dropped by paired tests on train alone, cross-validated; validation and test are not looked at. It ends
with those that cannot be told apart, what choosing one of them may cost, and the command that continues. On two cores,
digits and the mini scale it takes some seconds after Ray has started. docs/select.md says how it decides.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from study import entry
from study.cluster import gpu
from study.data import named as datasets
from study.data import place
from study.design.study import check_name
from study.options import amounts, arguments, beginning, command_line
from study.options.keywords import SelectKeywords
from study.options.parser import Parser
from study.result import SelectResult
from study.results import bucket, provenance, resume
from study.results.place import shown
from study.selection.options import limits, named
from study.terminal.mistake import FAILED, ended

SELECTION = "select.json"
COUNTING = 0.2  # of the budget, after which no more parameters are counted


def parser() -> Parser:
    parser = Parser("study.select", "[--models PATTERN ...] --dataset PLACE [options]", __doc__ or "")
    who = parser.add_argument_group("the candidates")
    who.add_argument(
        "--models",
        nargs="+",
        default=["*"],
        metavar="PATTERN",
        help="names and patterns: resnet, timm/convnext_tiny.in12k_ft_in1k, 'timm/*' (default: all there are)",
    )
    who.add_argument("--pretraining", nargs="+", metavar="NAME", help="default: each model's own; none: random weights")
    who.add_argument("--max-params", metavar="N", help="parameters at most, as 30M")
    who.add_argument("--max-flops", metavar="N", help="operations of a forward pass of an image at most, as 5G")
    who.add_argument("--max-size", type=int, metavar="PX", help="side of the images at most")
    who.add_argument("--max-latency", metavar="TIME", help="for one image at most, measured here, as 20ms")
    who.add_argument("--licence", nargs="+", metavar="NAME", help="of the weights, as timm has it: apache-2.0 mit")
    who.add_argument(
        "--weights-dir", type=arguments.path, metavar="DIR", help="with NAME.TAG.safetensors of timm's models"
    )
    who.add_argument(
        "--scores", type=arguments.path, metavar="FILE.csv", help="columns model and top1: the likely ones come first"
    )
    arguments.add_scale(who)
    race = parser.add_argument_group("the race")
    race.add_argument("--budget", default="10m", metavar="TIME", help="of all of it, as 90s or 10m (default 10m)")
    race.add_argument("--keep", type=int, default=5, metavar="N", help="to continue with at most (default %(default)s)")
    race.add_argument(
        "--margin",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="of accuracy, by which a gap may close when the images double (default %(default)s)",
    )
    race.add_argument("--seed", type=int, default=0, metavar="N", help="of the subsets (default %(default)s)")
    arguments.add_precision(race)
    images = parser.add_argument_group("the images")
    images.add_argument(
        "--dataset",
        type=arguments.dataset,
        default="digits",
        metavar="NAME|PLACE",
        help=f"{', '.join(datasets.names())}, or a place: as --dataset of study.run (default %(default)s)",
    )
    images.add_argument("--split-seed", type=int, default=0, metavar="N", help="of the split (default %(default)s)")
    arguments.add_data(images)
    output = parser.add_argument_group("what is written")
    output.add_argument("--name", help="the record is RESULTS/NAME (default select-DATASET)")
    output.add_argument("--results", type=arguments.results, default=Path("results"), metavar="DIR")
    output.add_argument("--quiet", action="store_true", help="print the result only")
    output.add_argument("--verbose", action="store_true", help="show what Ray says")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Selects from the command line.

    Returns 0; 1 where nothing can be written; 2 for a user's mistake; 130 when interrupted.
    """
    start = perf_counter()
    options = parser().parse(given)
    command = provenance.command(options.words, module="study.select")

    def body() -> int:
        keywords = SelectKeywords.of(options)
        print(select(keywords, command, since=start, say=lambda line: print(line, flush=True)))
        return 0

    return ended(body, interrupted="interrupted: nothing was written", refused=FAILED)


def select(
    options: SelectKeywords, command: str, *, since: float, say: Callable[[str], object] = lambda line: None
) -> SelectResult:
    """Races the candidates that the options describe. Torch and Ray are imported after the options are checked.

    Args:
        options: as the command line has them.
        command: the line that does it again.
        since: when the budget began, by `perf_counter`.
        say: is told what happens, a line at a time.

    Raises ValueError for a mistake, and where no candidate can be measured.
    """
    check(options)

    name, why = beginning.begin(
        "study.selection.running", scale=options.scale, precision=options.precision, verbose=options.verbose
    )

    from study.data import resolve
    from study.data.splits import split
    from study.selection import continuing, running

    tell = (lambda line: None) if options.quiet else say
    tell(why)
    budget = amounts.seconds("--budget", options.budget)
    plan = running.Plan(
        field=running.field(options, name, lambda: perf_counter() - since < COUNTING * budget),
        splits=split(resolve.load(options.dataset, arguments.request(options)), seed=options.split_seed),
        scale=name,
        budget=budget,
        latency=limits(options).latency,
        margin=options.margin / 100,
        keep=options.keep,
        seed=options.seed,
        precision=options.precision,
        offline=options.offline,
        folder=folder(options),
        command=command,
        dataset=options.dataset,
        split_seed=options.split_seed,
        shared=continuing.shared(options),
    )
    with bucket.mirrored(plan.folder, tell):
        return SelectResult(running.run(plan, since=since, say=tell, verbose=options.verbose), plan.folder)


def check(options: SelectKeywords) -> None:
    """Raises ValueError for every mistake that shows without torch and Ray."""
    amounts.seconds("--budget", options.budget)
    limits(options)
    if options.keep < 1:
        raise ValueError(f"keep must be at least 1, got {options.keep}")
    if not 0 <= options.margin < 100:
        raise ValueError(f"margin must be points of accuracy from 0 and below 100, got {options.margin:g}")
    for option, value in (("weights-dir", options.weights_dir), ("scores", options.scores)):
        if value is not None and not (value.is_dir() if option == "weights-dir" else value.is_file()):
            raise ValueError(f"--{option} {value}: there is no such {'folder' if option == 'weights-dir' else 'file'}")
    command_line.check_precision(options.precision, gpu.known())
    place.check(options.dataset, arguments.request(options).settings)
    command_line.at_some_scale(options.scale, lambda name: named(options, name))
    folder(options)


def folder(options: SelectKeywords) -> Path:
    """Where to write. Raises ValueError for a mistake."""
    name = options.name or f"select-{place.name_of(options.dataset)}"
    check_name(name)
    found = options.results / name
    bucket.fetch(found)
    if (found / SELECTION).exists():
        raise ValueError(f"{shown(found / SELECTION)} exists: choose another --name")
    resume.check_writable(found)
    return found


if __name__ == "__main__":
    sys.exit(entry.start(main))
