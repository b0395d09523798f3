"""The commands in Python: the same names and defaults, typed results, and exceptions for exit codes.

    from study import run
    result = run("vit", trials=8, fix={"freeze_depth": "all"})
    print(result.accuracy, result.interval)

A user's mistake is a ValueError; Ctrl-C a KeyboardInterrupt, after which the same call with `resume=True` goes on.
docs/python.md shows them in use.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from study.data.place import written_out
from study.files import expanded
from study.options.keywords import ComparisonKeywords, ProbeKeywords, SelectKeywords, StudyKeywords
from study.result import ComparisonResult, ProbeResult, SelectResult, StudyResult
from study.results import place, provenance
from trainables import architecture
from trainables.hyperparameters import Value

if TYPE_CHECKING:
    from study.prediction.loading import BestModel

Place = str | PathLike[str]


def run(
    model: str,
    *,
    dataset: Place = "digits",
    pretraining: str | None = None,
    variant: str | None = None,
    weights: Place | None = None,
    scale: str = "auto",
    trials: int = 32,
    hours: float | None = None,
    epochs: int | None = None,
    recipe: Place = "fair",
    augmentation: str | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    fix: Mapping[str, Value] | None = None,
    space: Place | None = None,
    metric: str = "accuracy",
    early_stopping: str = "asha",
    top_k: int = 3,
    seeds: int = 3,
    seed: int = 0,
    split_seed: int = 0,
    repeats: int = 1,
    train_fraction: float | None = None,
    images_per_class: int | None = None,
    data_dir: Place | None = None,
    data_option: Mapping[str, Any] | None = None,
    strict: bool = False,
    duplicates: str = "auto",
    max_concurrent: int | None = None,
    trials_per_gpu: int | str | None = None,
    max_failures: int = 2,
    stall_timeout: float | str = "auto",
    corruptions: bool = False,
    keep_models: bool = False,
    retries_of_ray: int = 0,
    checkpoint_every: float = 30.0,
    workers_per_trial: int = 1,
    sync_batchnorm: bool = False,
    compile: bool = False,
    grad_accum: int | str = "auto",
    boundaries: str = "on",
    precision: str = "auto",
    name: str | None = None,
    results: Place = "results",
    resume: bool = False,
    search_only: bool = False,
    wandb: str | None = None,
    tensorboard: bool = False,
    offline: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> StudyResult:
    """One study: searches the hyperparameters of a model, replicates the best points over seeds, tests the winner.

    Args:
        model: alexnet, resnet, vit, coatnet, or timm/NAME for any model of timm.
        dataset: a name, or a place: a folder of images, Parquet files, s3://...
        fix: hyperparameters that are not searched, each at its value; `freeze_depth` may be "all".
        space: a TOML file of what is searched, in the place of the model's own table.
        preprocessing: size, crop, interpolation, mean, std of the images, where not as the checkpoint has them.
        results: a folder, or a place in a bucket: s3://BUCKET/FOLDER.
        resume: go on with the study of that name, if it is there; a finished one is only read.
        search_only: end after the search; nothing is tested then, and the result's accuracy is nan.

    The others are the options of `python -m study.run`, which `--help-all` describes.

    Raises ValueError for a mistake; NoCompletedRuns where every run of a step failed; OSError where the record cannot
    be written; KeyboardInterrupt.
    """
    from study.run import run as run_study

    start = perf_counter()
    options = StudyKeywords(
        model=model,
        dataset=written_out(dataset),
        pretraining=pretraining,
        variant=variant,
        weights=path(weights),
        scale=scale,
        trials=trials,
        hours=hours,
        epochs=epochs,
        recipe=str(recipe),
        augmentation=augmentation,
        preprocessing=assignments(preprocessing),
        fix=assignments(fix),
        space=path(space),
        metric=metric,
        early_stopping=early_stopping,
        top_k=top_k,
        seeds=seeds,
        seed=seed,
        split_seed=split_seed,
        repeats=repeats,
        train_fraction=train_fraction,
        images_per_class=images_per_class,
        data_dir=path(data_dir),
        data_option=assignments(data_option),
        strict=strict,
        duplicates=duplicates,
        max_concurrent=max_concurrent,
        trials_per_gpu=None if trials_per_gpu is None else str(trials_per_gpu),
        max_failures=max_failures,
        stall_timeout=str(stall_timeout),
        corruptions=corruptions,
        keep_models=keep_models,
        retries_of_ray=retries_of_ray,
        checkpoint_every=checkpoint_every,
        workers_per_trial=workers_per_trial,
        sync_batchnorm=sync_batchnorm,
        compile=compile,
        grad_accum=str(grad_accum),
        boundaries=boundaries,
        precision=precision,
        name=name,
        results=place.local(results),
        resume=resume,
        search_only=search_only,
        wandb=wandb,
        tensorboard=tensorboard,
        offline=offline,
        quiet=quiet,
        verbose=verbose,
    )
    return run_study(options, provenance.command(options.words()), since=start)


def compare(
    models: Sequence[str] | None = None,
    *,
    pretraining: Sequence[str] | None = None,
    datasets: Sequence[Place] = ("digits",),
    records: Sequence[Place] | None = None,
    data_efficiency: Sequence[int | None] | None = None,
    parallel_rows: int | str = "auto",
    rope: float | None = None,
    register: Place | None = None,
    primary: Sequence[str] | None = None,
    scale: str = "auto",
    trials: int = 32,
    hours: float | None = None,
    epochs: int | None = None,
    recipe: Place = "fair",
    augmentation: str | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    fix: Mapping[str, Value] | None = None,
    space: Place | None = None,
    metric: str = "accuracy",
    early_stopping: str = "asha",
    top_k: int = 3,
    seeds: int = 3,
    seed: int = 0,
    split_seed: int = 0,
    repeats: int = 1,
    train_fraction: float | None = None,
    images_per_class: int | None = None,
    data_dir: Place | None = None,
    data_option: Mapping[str, Any] | None = None,
    strict: bool = False,
    duplicates: str = "auto",
    max_concurrent: int | None = None,
    trials_per_gpu: int | str | None = None,
    max_failures: int = 2,
    stall_timeout: float | str = "auto",
    corruptions: bool = False,
    keep_models: bool = False,
    retries_of_ray: int = 0,
    checkpoint_every: float = 30.0,
    workers_per_trial: int = 1,
    sync_batchnorm: bool = False,
    compile: bool = False,
    grad_accum: int | str = "auto",
    boundaries: str = "on",
    precision: str = "auto",
    name: str | None = None,
    results: Place = "results",
    wandb: str | None = None,
    tensorboard: bool = False,
    offline: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> ComparisonResult:
    """Several studies with one budget, into one folder; then who is better, and how surely.

    Args:
        models: all of them unless given.
        pretraining: each model's first unless given.
        records: folders of studies, or folders that hold them, here or at s3://...: they are read, and nothing is run.
        data_efficiency: then train every winner on so many images of every class, None being all; empty for a ladder.
        rope: within how many points of accuracy two rows count as equal; None where that is not asked.
        register: a file that says, before anything runs, what will be compared.
        primary: with it, the names of the two rows whose difference is tested alone.

    The others are the options of `python -m study.compare`. The same call again skips the rows that are done.

    Raises ValueError for a mistake; KeyboardInterrupt. A row that fails is in `failed`, with the reason.
    """
    from study.compare import compare as compare_studies

    start = perf_counter()
    options = ComparisonKeywords(
        models=list(models) if models is not None else architecture.names(),
        pretraining=pretraining,
        datasets=[written_out(one) for one in datasets],
        records=[place.local(one) for one in records] if records is not None else None,
        data_efficiency=data_efficiency,
        parallel_rows=str(parallel_rows),
        rope=rope,
        register=path(register),
        primary=primary,
        scale=scale,
        trials=trials,
        hours=hours,
        epochs=epochs,
        recipe=str(recipe),
        augmentation=augmentation,
        preprocessing=assignments(preprocessing),
        fix=assignments(fix),
        space=path(space),
        metric=metric,
        early_stopping=early_stopping,
        top_k=top_k,
        seeds=seeds,
        seed=seed,
        split_seed=split_seed,
        repeats=repeats,
        train_fraction=train_fraction,
        images_per_class=images_per_class,
        data_dir=path(data_dir),
        data_option=assignments(data_option),
        strict=strict,
        duplicates=duplicates,
        max_concurrent=max_concurrent,
        trials_per_gpu=None if trials_per_gpu is None else str(trials_per_gpu),
        max_failures=max_failures,
        stall_timeout=str(stall_timeout),
        corruptions=corruptions,
        keep_models=keep_models,
        retries_of_ray=retries_of_ray,
        checkpoint_every=checkpoint_every,
        workers_per_trial=workers_per_trial,
        sync_batchnorm=sync_batchnorm,
        compile=compile,
        grad_accum=str(grad_accum),
        boundaries=boundaries,
        precision=precision,
        name=name,
        results=place.local(results),
        wandb=wandb,
        tensorboard=tensorboard,
        offline=offline,
        quiet=quiet,
        verbose=verbose,
    )
    return compare_studies(options, provenance.command(options.words(), module="study.compare"), since=start)


def probe(
    models: str | Sequence[str],
    *,
    dataset: Place = "digits",
    pretraining: str | None = None,
    weights: Place | None = None,
    scale: str = "auto",
    seeds: int = 3,
    precision: str = "auto",
    data_dir: Place | None = None,
    data_option: Mapping[str, Any] | None = None,
    strict: bool = False,
    duplicates: str = "auto",
    name: str | None = None,
    results: Place | None = None,
    offline: bool = False,
    verbose: bool = False,
) -> ProbeResult:
    """A baseline in seconds: ridge regression on what the frozen, pretrained model computes.

    Args:
        models: one or several.
        name: writes RESULTS/NAME/probe.json and its predictions.

    The others are the options of `python -m study.probe`.

    Raises ValueError for a mistake; KeyboardInterrupt.
    """
    from study.probe import probe as probe_models

    options = ProbeKeywords(
        models=[models] if isinstance(models, str) else list(models),
        dataset=written_out(dataset),
        pretraining=pretraining,
        weights=path(weights),
        scale=scale,
        seeds=seeds,
        precision=precision,
        data_dir=path(data_dir),
        data_option=assignments(data_option),
        strict=strict,
        duplicates=duplicates,
        name=name,
        results=None if results is None else place.local(results),
        offline=offline,
        verbose=verbose,
    )
    return probe_models(options, provenance.command(options.words(), module="study.probe"), say=lambda line: None)


def load_best(study: Place, *, seeds: str = "first", device: str | None = None) -> "BestModel":
    """The model of a finished study, which `predict` asks about images; docs/model.md shows it in use.

    Args:
        study: its folder, also in a bucket, or that of a model alone.
        seeds: "all" for the models of all test runs together, which `keep_models` kept.
        device: the GPU by default, if there is one.

    Raises ValueError for a mistake.
    """
    from study.prediction import loading
    from study.results import bucket

    folder = place.local(study)
    bucket.fetch(folder)
    return loading.load(folder, seeds=seeds, device=device)


def select(
    models: str | Sequence[str] = ("*",),
    *,
    dataset: Place = "digits",
    pretraining: Sequence[str] | None = None,
    budget: float | str = "10m",
    keep: int = 5,
    margin: float = 0.5,
    max_params: float | str | None = None,
    max_flops: float | str | None = None,
    max_size: int | None = None,
    max_latency: float | str | None = None,
    licence: Sequence[str] | None = None,
    weights_dir: Place | None = None,
    scores: Place | None = None,
    scale: str = "auto",
    seed: int = 0,
    split_seed: int = 0,
    precision: str = "auto",
    data_dir: Place | None = None,
    data_option: Mapping[str, Any] | None = None,
    strict: bool = False,
    duplicates: str = "auto",
    name: str | None = None,
    results: Place = "results",
    offline: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> SelectResult:
    """Which backbone: a race on frozen features, within a budget of minutes.

    Args:
        models: names and patterns, as `timm/*`.
        budget: seconds, or as `10m`.
        keep: how many to continue with at most.
        margin: points of accuracy by which a gap may close when the images double.

    The others are the options of `python -m study.select`.

    Raises ValueError for a mistake; KeyboardInterrupt.
    """
    start = perf_counter()
    from study.select import select as race

    options = SelectKeywords(
        models=[models] if isinstance(models, str) else list(models),
        dataset=written_out(dataset),
        pretraining=None if pretraining is None else list(pretraining),
        budget=str(budget),
        keep=keep,
        margin=margin,
        max_params=words(max_params),
        max_flops=words(max_flops),
        max_size=max_size,
        max_latency=words(max_latency),
        licence=None if licence is None else list(licence),
        weights_dir=path(weights_dir),
        scores=path(scores),
        scale=scale,
        seed=seed,
        split_seed=split_seed,
        precision=precision,
        data_dir=path(data_dir),
        data_option=assignments(data_option),
        strict=strict,
        duplicates=duplicates,
        name=name,
        results=place.local(results),
        offline=offline,
        quiet=quiet,
        verbose=verbose,
    )
    return race(options, provenance.command(options.words(), module="study.select"), since=start)


def words(amount: float | str | None) -> str | None:
    return None if amount is None else str(amount)


def path(given: Place | None) -> Path | None:
    return None if given is None else expanded(given)


def assignments(given: Mapping[str, Any] | None) -> list[str]:
    """`NAME=VALUE` as the command line has them; three numbers are `R,G,B`."""
    return [
        f"{name}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for name, value in (given or {}).items()
    ]
