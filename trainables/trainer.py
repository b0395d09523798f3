"""A run in its process: Ray Train's local mode when it has one worker, a warm worker group when it has more.

A process keeps what runs share: see `process.ProcessCache`. What they read is in the store of boundaries.
"""

import gc
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from time import perf_counter
from typing import Any

import ray
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from torch import nn

from trainables import compiling, group, heartbeat, log, monitoring, preemption, process, progress, scratch, world
from trainables.account import Account
from trainables.boundaries import Store
from trainables.checkpoint import Keeper
from trainables.checkpoint_folder import Checkpoints
from trainables.decoded import open_or_cache
from trainables.images import SplitImages
from trainables.loop import Epoch, NotFinite, fit, predict
from trainables.memory import DoesNotFit, Memory, PeakMemory, out_of_memory, release, share_device
from trainables.precision import Precision, precision
from trainables.process import PreparedModel, ProcessCache, State
from trainables.reader import Reader
from trainables.resources import Resources
from trainables.run import Model, Outcome, Run
from trainables.splits import ImagesKey
from trainables.stages import StagedModel
from trainables.world import World

Report = Callable[[dict[str, Any]], None]

NO_ROOM = "out of memory outside of a training step: choose a smaller model or a larger device"


def train(run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources, report: Report) -> Outcome:
    """Trains one run, in this process or in its worker group, and returns what became of it.

    Args:
        datasets: what brings the run's images.
        report: called after every epoch.
    """
    if resources.workers:
        return group.current(resources).run(work_in_a_group, (run, datasets, resources), report)

    def loop() -> Any:  # Ray types it as -> None
        return work(run, datasets, resources, report, process.current())

    trainer = TorchTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=0, use_gpu=resources.gpus > 0),
        # where Ray Train may keep its state; nothing of ours is written there
        run_config=RunConfig(name=run.run_id, storage_path=str(scratch.here() / "train")),
    )
    result: Any = trainer.fit()
    return result.return_value


def work_in_a_group(
    run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources, report: Report
) -> Outcome:
    """One worker's part of a run; what all workers have alike only the first one hands over."""
    outcome = work(run, datasets, resources, report, process.current())
    return outcome if world.current_world().rank == 0 else replace(outcome, predictions=None, state=None)


def work(
    run: Run, datasets: Mapping[ImagesKey, SplitImages], resources: Resources, report: Report, cache: ProcessCache
) -> Outcome:
    """The run itself, in every worker.

    Args:
        datasets: what brings the run's images.
        report: called after every epoch.
        cache: what the process keeps.
    """
    start = perf_counter()
    preemption.heed()
    progress.begin(run.run_id)
    heartbeat.start()
    gc.collect()  # a run that was stopped half way leaves its tensors behind
    torch.set_num_threads(resources.threads_here())
    workers = world.current_world()
    device = process.device()
    share_device(device, resources.gpus)
    place = process.Place.of(device)
    log.announce(run.run_id, place.node, place.device)
    peak = PeakMemory(device, cache.residents.nbytes)
    choice = precision(run.precision, device, tiny=run.model.scale == "mini")
    choice.apply()
    try:
        model = prepared_model(run.model, run.seed, cache).to(device)
    except RuntimeError as error:
        if workers.size > 1 or not out_of_memory(error):
            raise
        cache.models.pop(run.model, None)  # a part of it may have moved
        release()
        return Outcome(run.run_id, run.metric, failure=NO_ROOM, precision=choice.name, **vars(place))
    freeze_what_is_shared()
    model.compiles, model.enlarges_to = run.compile, None
    model.freeze(run.hyperparameters.freeze_depth)
    everything, trained = model.parameter_counts()
    outcome = Outcome(
        *(run.run_id, run.metric),
        parameters=everything,
        trained_parameters=trained,
        precision=choice.name,
        **vars(place),
    )

    memory = Memory(run.grad_accum_steps, make_room=lambda: cache.residents.leave(peak))
    point = run.hyperparameters
    reader = reader_of(run, model, choice, device, datasets.__getitem__, cache, peak)
    account = Account(outcome, run.metric, reader, memory, peak, start)
    keeper = keeper_of(run, account, choice, workers)
    if kept := keeper.load():
        account.go_on_from(kept.run, epochs=kept.training.epochs)
        log.goes_on(run.run_id, epoch=kept.training.epochs + 1, steps=kept.training.steps)

    def on_epoch(epoch: Epoch) -> None:
        reader.check()
        row = account.add(epoch)
        if workers.rank == 0 and account.is_new(epoch):  # the others train on parts of the same images
            tell_of(run, epoch, outcome.peak_memory_bytes if device.type == "cuda" else 0)
        report(row)

    try:
        training = fit(
            model,
            reader.source(
                *run.fit_on,
                augmentation=point.augmentation,
                seed=run.seed,
                images_for="mixup" if point.mixup else None,
            ),
            reader.source(run.validate_on) if run.validate_on else None,
            hyperparameters=point,
            recipe=run.recipe,
            precision=choice,
            seed=run.seed,
            report=on_epoch,
            world=workers,
            memory=memory,
            last_epoch=run.last_epoch,
            validate_every_epoch=run.validate_every_epoch,
            state=kept.training if kept else None,
            after_step=keeper.after_step,
            while_validating=keeper.after_step,
        )
        if run.predict_on:
            looks, images = partial(keeper.after_step, training), reader.source(run.predict_on, epochs=1)
            outcome.predictions = predict(model, images, choice, memory, workers, looks)
            reader.check()
            outcome.bytes_read = reader.bytes_read
        if run.keep_state and workers.rank == 0:
            outcome.state = {name: t.cpu().clone() for name, t in model.library_state_dict().items()}
    except (NotFinite, DoesNotFit) as reason:
        outcome.failure = str(reason)
    except RuntimeError as error:  # where no smaller part helps: a boundary that is filled, a model that is measured
        if run.compile and (why := compiling.reason(error)):
            outcome.failure = why
        elif workers.size > 1 or not out_of_memory(error):
            raise
        else:
            outcome.failure = NO_ROOM
    finally:
        reader.close()
    account.close()
    return outcome


def keeper_of(run: Run, account: Account, choice: Precision, workers: World) -> Keeper:
    """What keeps a run while it trains, and what is known of it."""
    device = choice.device
    return Keeper(
        run.checkpoints or Checkpoints.nowhere(),
        run.run_id,
        run.digest(precision=choice.name, device=device.type, workers=workers.size),
        run.hyperparameters,
        workers,
        device,
        describe=account.kept,
        leaving=preemption.leaving.is_set,
        notes=account.notes,
    )


def tell_of(run: Run, epoch: Epoch, gpu_bytes: int) -> None:
    """What Prometheus is told of an epoch."""
    model, images = run.model.variant, sum(run.split_digests[name].examples for name in run.fit_on)
    monitoring.tell("study_images", images, model=model)
    monitoring.tell("study_images_per_second", images / max(epoch.train_seconds, 1e-9), model=model, run=run.run_id)
    if gpu_bytes:
        monitoring.tell("study_gpu_memory_bytes", gpu_bytes, model=model, run=run.run_id)


def reader_of(
    run: Run,
    model: StagedModel,
    choice: Precision,
    device: torch.device,
    shard: Callable[[ImagesKey], SplitImages],
    cache: ProcessCache,
    peak: PeakMemory | None = None,
) -> Reader:
    """What opens the boundaries of a run.

    Args:
        model: as `prepared_model` gives it, frozen, on `device`.
        choice: what frozen stages are computed in.
        shard: what brings some images, for those that the store does not hold.
        cache: what the process keeps.
        peak: is told of what becomes resident on the device.
    """
    return Reader(
        split_digests=dict(run.split_digests),
        shard=shard,
        model=model,
        model_key=(run.model, None if run.model.weights else run.seed),
        variant=run.model.variant,
        preprocessing=run.model.described.preprocessing,
        precision=choice,
        device=device,
        store=None if run.boundaries == "off" else Store.here(cache.verified),
        cache=cache,
        peak=peak or PeakMemory(device),
        mode=run.boundaries,
        epochs=run.last_epoch or run.recipe.epochs,
        readers=run.readers,
    )


def cache_images(run: Run, datasets: Mapping[ImagesKey, SplitImages], *, on_gpu: bool) -> None:
    """Has the store hold the images of a run on this node: as they are, where a GPU makes them larger itself."""
    store = Store.here(process.current().verified)
    for key, (digest, preprocessing) in (run.small_images if on_gpu else run.images).items():
        images = open_or_cache(store, digest, preprocessing, partial(datasets.__getitem__, key))
        if images:
            images.close()


def fill_boundaries(run: Run, datasets: Mapping[ImagesKey, SplitImages], threads: int) -> None:
    """Has the store hold what the run will read, on this node's CPU; the run itself would wait for it or do it."""
    torch.set_num_threads(threads)
    cpu = torch.device("cpu")
    cache, depth = process.current(), run.hyperparameters.freeze_depth
    model = prepared_model(run.model, run.seed, cache).freeze(depth)
    choice = precision(run.precision, cpu, tiny=run.model.scale == "mini")
    reader = reader_of(run, model, choice, cpu, datasets.__getitem__, cache)
    try:
        for name in sorted(run.evaluated if run.trains_on_images else {*run.fit_on, *run.evaluated}):
            reader.source(name).at(depth)
    finally:
        reader.close()


def prepared_model(model: Model, seed: int, cache: ProcessCache) -> StagedModel:
    """The model as every run begins: pretrained backbone and new head, or all new; the seed decides what is new.

    It may be as frozen as the last run left it.
    """
    if model not in cache.models:
        built = model.build().to(memory_format=torch.channels_last)
        cache.models[model] = PreparedModel(built, head=deepcopy(built.head))
    kept = cache.models[model]
    prepared, pretrained = kept.model, model.weights is not None
    prepared.set_rates().zero_grad(set_to_none=True)
    state = weights_of(model, cache) if pretrained else random_weights(model, seed, cache)
    bring_back = prepared.restore if kept.loaded is state else prepared.load
    bring_back(state, head=not pretrained)
    kept.loaded = state
    if pretrained:
        draw(kept.head, seed)
        prepared.head.load_state_dict(kept.head.state_dict())
    return prepared


def draw(head: nn.Module, seed: int) -> None:
    """Gives a head new weights."""
    torch.manual_seed(seed)
    for layer in head.modules():
        reset: Any = getattr(layer, "reset_parameters", lambda: None)
        reset()


def weights_of(model: Model, cache: ProcessCache) -> State:
    """The pretrained weights, from Ray's object store once per process."""
    assert model.weights is not None
    if model.weights not in cache.weights:
        cache.weights[model.weights] = ray.get(model.weights)
    return cache.weights[model.weights]


def random_weights(model: Model, seed: int, cache: ProcessCache) -> State:
    """All of a new model's tensors: drawing them takes longer than copying them."""
    if (model, seed) not in cache.random_weights:
        cache.random_weights.clear()
        torch.manual_seed(seed)
        cache.random_weights[model, seed] = model.build().library_state_dict()
    return cache.random_weights[model, seed]


@cache
def freeze_what_is_shared() -> None:
    """Once, when the first model has been built, and with it its library imported: no later run looks through that."""
    gc.freeze()
