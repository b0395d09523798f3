"""An instant baseline: ridge regression on frozen features, seconds after the features exist.

    python -m study.probe --model vit
    python -m study.probe --models alexnet resnet vit coatnet --pretraining fashion6k --name probe

On scikit-learn's digits and two cores a pretrained mini model takes seconds; expect 0.82 (CoAtNet) to 0.92 (ResNet)
from fashion60k. `study.baselines.probe` says what is computed and what a seed means here.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from study import entry
from study.cluster import gpu
from study.data import named, place
from study.design.study import check_name
from study.options import arguments, beginning, command_line
from study.options.keywords import ProbeKeywords
from study.options.parser import Parser
from study.result import ProbeResult
from study.results import bucket, probes, provenance, resume
from study.results.place import shown
from study.terminal.mistake import FAILED, Failed, ended
from trainables import architecture, weights
from trainables.architecture import Architecture, Variant


def parser() -> Parser:
    parser = Parser(
        "study.probe", "--models MODEL [MODEL ...] [options]", "Ridge regression on frozen features: a baseline."
    )
    what = parser.add_argument_group("what is probed")
    names = ", ".join([*architecture.names(), "timm/NAME"])
    what.add_argument("--model", "--models", dest="models", nargs="+", required=True, metavar="MODEL", help=names)
    what.add_argument("--pretraining", help=arguments.PRETRAININGS)
    what.add_argument("--weights", type=arguments.path, metavar="PATH", help="a file with the backbone's, of one model")
    what.add_argument(
        "--dataset",
        type=arguments.dataset,
        default="digits",
        metavar="NAME|PLACE",
        help=f"{', '.join(named.names())}, or a place: as --dataset of study.run (default %(default)s)",
    )
    arguments.add_scale(what)
    what.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="study/baselines/probe.py (default %(default)s)"
    )
    arguments.add_precision(what)
    arguments.add_data(parser.add_argument_group("the images"))
    output = parser.add_argument_group("what is written")
    output.add_argument("--name", help="writes RESULTS/NAME/probe.json and probe.parquet, its predictions")
    output.add_argument("--results", type=arguments.results, metavar="DIR", help="default results")
    output.add_argument("--verbose", action="store_true", help="show what Ray says")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Probes from the command line.

    Returns 0; 1 if a model does not fit; 2 for a user's mistake; 130 when interrupted.
    """
    options = parser().parse(given)
    command = provenance.command(options.words, module="study.probe")

    def body() -> int:
        probe(ProbeKeywords.of(options), command, say=lambda line: print(line, flush=True))
        return 0

    return ended(body, interrupted="interrupted: nothing was written", refused=FAILED)


def probe(options: ProbeKeywords, command: str, *, say: Callable[[str], None]) -> ProbeResult:
    """Probes what the options name. Torch and Ray are imported after the options are found to be good.

    Raises ValueError for a mistake; Failed for a model that does not fit.
    """
    check(options)

    name, why = beginning.begin(
        "study.baselines.probe", scale=options.scale, precision=options.precision, verbose=options.verbose
    )

    from study.baselines import probe as baseline
    from study.data import resolve
    from study.data.splits import split
    from trainables import building
    from trainables.memory import DoesNotFit

    plan = baseline.Plan(
        models=[
            (*model, building.pretrained(*model, path=options.weights, offline=options.offline))
            for model in models(options, name)
        ],
        splits=split(resolve.load(options.dataset, arguments.request(options))),
        scale=name,
        seeds=options.seeds,
        precision=options.precision,
        folder=folder(options),
        command=command,
    )
    say(why)
    try:
        with bucket.mirrored(plan.folder, say) if plan.folder else nullcontext():
            return ProbeResult(tuple(baseline.run(plan, say=say, verbose=options.verbose)), plan.folder)
    except DoesNotFit as reason:
        raise Failed(str(reason)) from None


def check(options: ProbeKeywords) -> None:
    """Raises ValueError for every mistake that shows without torch and Ray."""
    if options.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {options.seeds}")
    command_line.check_precision(options.precision, gpu.known())
    if options.weights and len(options.models) > 1:
        raise ValueError(f"--weights is of one model, got {len(options.models)} models: probe them one by one")
    place.check(options.dataset, arguments.request(options).settings)
    folder(options)
    command_line.at_some_scale(options.scale, lambda name: models(options, name))


def models(options: ProbeKeywords, scale: str) -> list[tuple[Architecture, Variant]]:
    """What is probed at a scale. Raises ValueError for a mistake."""
    families = map(architecture.get, dict.fromkeys(options.models))
    chosen = [(family, family.variant(scale, options.pretraining)) for family in families]
    for _, variant in chosen:
        weights.check(variant.weights, options.weights)
    return chosen


def folder(options: ProbeKeywords) -> Path | None:
    """Where to write, None for nowhere. It may be a study's folder, whose baseline the probe is then.

    Raises ValueError for a mistake.
    """
    if options.name is None:
        if options.results is not None:
            raise ValueError(f"--results {shown(options.results)} needs a --name: they say where to write, DIR/NAME")
        return None
    check_name(options.name)
    folder: Path = (options.results or Path("results")) / options.name
    bucket.fetch(folder)
    if (folder / probes.FACTS).exists():
        raise ValueError(f"{shown(folder / probes.FACTS)} exists: choose another --name")
    resume.check_writable(folder)
    return folder


if __name__ == "__main__":
    sys.exit(entry.start(main))
