"""The command line of a study: arguments to a `Study`, every mistake one line and exit code 2.

Imports neither torch nor Ray: what is wrong with the options is said at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from study.cluster import gpu
from study.data import named, place
from study.design import recipes
from study.design import space as spaces
from study.design.execution import Execution
from study.design.preprocessing import overridden
from study.design.study import Study
from study.options import agent, arguments, scale
from study.options.keywords import SharedKeywords, StudyKeywords
from study.options.parser import Parser
from study.results import resume
from trainables import architecture, weights
from trainables.choices import GPU_PRECISIONS, PRECISIONS, choose, needs_gpu
from trainables.metrics import Metric

Meant = TypeVar("Meant")
MOST_REPEATS = 1000
EXAMPLES = """examples:
  python -m study.run --model coatnet --trials 32
  python -m study.run --model vit --pretraining none --trials 16 --name vit-from-scratch
  python -m study.run --model resnet --fix freeze_depth=all     # search a head on a frozen backbone
  python -m study.run --model coatnet --trials 32 --resume      # go on where it stopped
"""
COMMON = (
    *(
        "model",
        "dataset",
        "pretraining",
        "scale",
        "trials",
        "hours",
        "epochs",
        "recipe",
        "fix",
        "space",
        "seeds",
        "repeats",
    ),
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
    what.add_argument("--model", required=True, help=f"{', '.join(architecture.names())}, or timm/NAME")
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
    output.add_argument(
        "--search-only", action="store_true", help="end after the search, before any test; --resume goes on"
    )
    output.add_argument("--resume", action="store_true", help="go on with the study of that name, if it is there")
    return parser


def parse(given: Sequence[str] | None = None) -> tuple[StudyKeywords, list[str]]:
    """The options, and the words that give them; exits where argparse finds a mistake, and after what --help says."""
    options = parser().parse(given)
    return StudyKeywords.of(options), options.words


def studies(options: StudyKeywords, first: int = 0) -> list[Study]:
    """The repeats that the options may mean, from the first that is to run: of one study, or one per scale.

    Raises ValueError for every mistake that shows without them.
    """

    def repeats_at(scale: str) -> list[Study]:
        studies = repeats(configure(options, scale), options.repeats)[first:]
        for study in studies:
            resume.check_folder(study, resume=options.resume)
            resume.check_record(study)
        return studies

    return [study for repeats in at_some_scale(options.scale, repeats_at) for study in repeats]


def check_search_only(options: StudyKeywords) -> None:
    """Raises ValueError where something is to be done with what is not tested."""
    if options.search_only and options.repeats > 1:
        raise ValueError(f"search-only leaves nothing to repeat, got --repeats {options.repeats}: give one of them")
    if options.search_only and options.corruptions:
        raise ValueError("search-only tests nothing, so no corrupted images either: give one of them")


def repeats(study: Study, number: int) -> list[Study]:
    """Of the whole procedure; the first is the study itself. Raises ValueError for a mistake."""
    if not 1 <= number <= MOST_REPEATS:
        raise ValueError(f"repeats must be 1 to {MOST_REPEATS}, got {number}")
    return [study.repeat(one) for one in range(number)]


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


def configure(options: StudyKeywords, scale: str) -> Study:
    """The study that the options describe. Raises ValueError for a mistake."""
    family = architecture.get(options.model)
    request = arguments.request(options)
    place.check(options.dataset, request.settings)
    check_search_only(options)
    execution(options, resume=options.resume)  # what is wrong with it is said at once
    check_precision(options.precision, gpu.known())
    if trials_per_gpu(options) is not None and gpu.known() is False:
        raise ValueError(
            f"trials-per-gpu is {options.trials_per_gpu}, but there is no GPU: leave it out, or give --max-concurrent"
        )
    variant = family.variant(scale, options.pretraining, options.variant)
    weights.check(variant.weights, options.weights)
    preprocessing = overridden(options.preprocessing, variant)
    variant = variant.with_preprocessing(preprocessing)
    recipe = recipes.chosen(options.recipe, family)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    if options.augmentation is not None:
        recipe = recipe.with_settings(augmentation=options.augmentation)
    name = f"{options.model.replace('/', '-')}-{variant.pretraining}-{place.name_of(options.dataset)}"
    if options.trials == 1 and (of_agent := agent.run()):
        name = f"{name}-{of_agent.run}"
    return Study(
        model=options.model,
        scale=scale,
        variant=variant.name,
        dataset=options.dataset,
        name=name if options.name is None else options.name,
        results=options.results,
        recipe=recipe,
        trials=options.trials,
        hours=options.hours,
        seed=options.seed,
        split_seed=options.split_seed,
        fixed=spaces.fixed(options.fix, variant.backbone_stages),
        table=spaces.read(options.space, variant.backbone_stages) if options.space else None,
        metric=Metric(choose("metric", options.metric, Metric)),
        early_stopping=options.early_stopping,
        top_k=options.top_k,
        seeds=options.seeds,
        precision=options.precision,
        workers_per_trial=options.workers_per_trial,
        sync_batchnorm=options.sync_batchnorm,
        compile=options.compile,
        train_fraction=options.train_fraction,
        images_per_class=options.images_per_class,
        request=request,
        preprocessing=preprocessing,
        grad_accum=None if (parts := number_or_auto("grad-accum", options.grad_accum)) == "auto" else parts,
    )


def execution(options: SharedKeywords, *, resume: bool, weights: Path | None = None) -> Execution:
    """How the options have a study run. Raises ValueError for a mistake."""
    return Execution(
        resume=resume,
        boundaries=options.boundaries,
        max_concurrent=options.max_concurrent,
        trials_per_gpu=trials_per_gpu(options),
        checkpoint_every=options.checkpoint_every,
        wandb=options.wandb,
        tensorboard=options.tensorboard,
        search_only=isinstance(options, StudyKeywords) and options.search_only,
        weights=weights,
        offline=options.offline,
        quiet=options.quiet,
        verbose=options.verbose,
        max_failures=options.max_failures,
        stall_timeout=stall_timeout(options.stall_timeout),
        corruptions=options.corruptions,
        keep_models=options.keep_models,
        retries_of_ray=options.retries_of_ray,
    )


def stall_timeout(given: str) -> float | None:
    """--stall-timeout in seconds, None for auto. Raises ValueError."""
    try:
        return None if given == "auto" else float(given)
    except ValueError:
        raise ValueError(f"stall-timeout takes seconds or auto, got {given!r}") from None


def check_precision(precision: str, has_gpu: bool | None) -> None:
    """Raises ValueError for a precision that there is none of, or that needs a GPU; None: that is not known yet."""
    choose("precision", precision, ["auto", *PRECISIONS])
    if precision in GPU_PRECISIONS and has_gpu is False:
        raise ValueError(needs_gpu(precision))


def trials_per_gpu(options: SharedKeywords) -> int | Literal["auto"] | None:
    """Raises ValueError for what is none of them."""
    return None if options.trials_per_gpu is None else number_or_auto("trials-per-gpu", options.trials_per_gpu)


def number_or_auto(option: str, given: str) -> int | Literal["auto"]:
    """What an option was given. Raises ValueError."""
    try:
        return "auto" if given == "auto" else int(given)
    except ValueError:
        raise ValueError(f"{option} takes a whole number or auto, got {given!r}") from None
