"""The one training loop. It is handed its device, data, workers and report function, and knows no Ray."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import ceil, isfinite
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from trainables.batches import BoundarySource
from trainables.hyperparameters import Hyperparameters
from trainables.memory import EVALUATION, TRAINING, DoesNotFit, ForwardState, Memory, out_of_memory
from trainables.metrics import Metric, scores
from trainables.optimisation import optimizer, schedule
from trainables.precision import Precision
from trainables.recipe import Recipe
from trainables.stages import StagedModel
from trainables.world import World

EVALUATION_BATCH = 256
OTHER_DRAWS = 1_000_003  # between the seeds of two workers: the same would draw the same dropout masks for both


class NotFinite(ArithmeticError):
    """The loss became infinite or not a number: a result of these hyperparameters, not a fault of the program."""


@dataclass(frozen=True)
class Epoch:
    """One row of a learning curve; val_* are None where a run has no validation split, or did not validate then.

    Attributes:
        epoch: from 1.
        train_loss: the mean over the epoch's batches, as trained: smoothed, weighed and mixed.
        val_loss: the mean cross-entropy, plain.
        val_accuracy, val_mean_class_accuracy, val_macro_f1: in [0, 1]; see `metrics.Metric`.
        lr: the learning rate of the epoch's first step, before layer decay and the head's scale.
        train_seconds, seconds: without and with validation.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    val_mean_class_accuracy: float | None
    val_macro_f1: float | None
    lr: float
    train_seconds: float
    seconds: float

    def score(self, metric: Metric) -> float | None:
        """The metric's value on validation."""
        return getattr(self, metric.column)

    def beats(self, other: "Epoch | None", metric: Metric = Metric.ACCURACY) -> bool:
        """The better epoch on validation: by the metric, at equal by loss. Unvalidated ones beat nothing."""
        if self.val_loss is None:
            return False
        if other is None:
            return True
        assert other.val_loss is not None
        mine, theirs = metric.merit(self.score(metric)), metric.merit(other.score(metric))
        return (mine, -self.val_loss) > (theirs, -other.val_loss)


@dataclass(frozen=True)
class Predictions:
    """What a model predicts on a split of N images, in the split's order.

    Attributes:
        index: (N,) int64, the images' positions in the dataset.
        label, predicted: (N,) int64, classes.
        confidence: (N,) float32, the probability of the predicted class.
        loss: the mean cross-entropy.
    """

    index: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    loss: float

    @property
    def accuracy(self) -> float:
        return float((self.label == self.predicted).mean())

    @cached_property
    def scores(self) -> dict[Metric, float]:
        """Every metric."""
        classes = 1 + int(max(self.label.max(), self.predicted.max()))
        return {**scores(self.label, self.predicted, classes), Metric.LOSS: self.loss}


def fit(
    model: StagedModel,
    train: BoundarySource,
    val: BoundarySource | None,
    *,
    hyperparameters: Hyperparameters,
    recipe: Recipe,
    precision: Precision,
    seed: int,
    report: Callable[[Epoch], None],
    world: World | None = None,
    memory: Memory | None = None,
    last_epoch: int | None = None,
    validate_every_epoch: bool = True,
) -> None:
    """Trains `model` in place and reports every epoch.

    Args:
        model: on its device, with the weights to start from.
        train, val: with batches on the same device; without `val` the reports carry None. With mixup `train` is to
            give boundary 0 whatever is frozen.
        hyperparameters: all that decides about the run but the recipe's epochs and milestones.
        seed: decides the order of the images, the dropout masks and the mixes.
        memory: into how many parts a batch is divided; by default into more than one only where it does not fit.
        last_epoch: stop after this epoch of the recipe's schedule, all of them by default.
        validate_every_epoch: if not, only after the last one; the reports before it carry None.

    Raises:
        ValueError: the model has no layer that a hyperparameter would change, or not so many stages to freeze.
        NotFinite: an epoch's loss is not a finite number.
        DoesNotFit: memory does not suffice.
    """
    world, memory = world or World(), memory or Memory()
    hyperparameters.check_model(backbone_stages=model.backbone_stages, features=model.features, model="this model")
    torch.manual_seed(seed + world.rank * OTHER_DRAWS)
    order, mixes = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    epoch = 0
    last = min(recipe.epochs, last_epoch or recipe.epochs)
    for phase in recipe.phases(hyperparameters, head_only=model.backbone_stages):
        point = phase.point
        model.freeze(point.freeze_depth).set_rates(dropout=point.dropout, drop_path=point.drop_path)
        images = train.at(point.freeze_depth)
        step = Step(model, point, precision, world, memory, labels=images.labels, mixes=mixes)
        steps = phase.epochs * images.steps(point.batch_size)
        step.schedule = schedule(step.optimizer, point, milestones=recipe.milestones, steps=steps)
        for _ in range(phase.epochs):
            epoch += 1
            if epoch > last:
                return
            start = perf_counter()
            lr = step.lr
            model.train()
            pairs = bool(step.mix) and world.size > 1
            batches, boundary = images.shuffled(point.batch_size, order, world, pairs=pairs), images.boundary
            if not step.mix:  # what is mixed is images
                share = world.largest_share(point.batch_size)
                batches, boundary = carried(model, batches, boundary, precision, share), point.freeze_depth
            sizes = images.batch_sizes(point.batch_size)
            losses = [step(*batch, boundary, size) for batch, size in zip(batches, sizes, strict=True)]
            world.average_statistics(model)
            train_loss = float(world.all_reduce_sum(torch.stack(losses).mean())) / world.size
            trained = perf_counter()
            if not isfinite(train_loss):
                raise NotFinite(f"the training loss is {train_loss} in epoch {epoch}")
            validates = val is not None and (validate_every_epoch or epoch == last)
            predictions = predict(model, val, precision, memory, world) if val is not None and validates else None
            values = predictions.scores if predictions else {}
            report(
                Epoch(
                    epoch=epoch,
                    train_loss=train_loss,
                    val_loss=values.get(Metric.LOSS),
                    val_accuracy=values.get(Metric.ACCURACY),
                    val_mean_class_accuracy=values.get(Metric.MEAN_CLASS_ACCURACY),
                    val_macro_f1=values.get(Metric.MACRO_F1),
                    lr=lr,
                    train_seconds=trained - start,
                    seconds=perf_counter() - start,
                )
            )


def carried(
    model: StagedModel,
    batches: Iterator[tuple[Tensor, Tensor]],
    boundary: int,
    precision: Precision,
    batch_size: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches that were read at `boundary`, at the model's freeze depth.

    A GPU's frozen stages compute more rows at once than a batch may have, and fill up what is missing: so they take as
    many batches together as fill them. What they give is, bit for bit, what each batch alone would.
    """
    if boundary == model.freeze_depth:
        yield from batches
        return
    while group := list(islice(batches, 1)):
        rows = model.rows_at_once(group[0][0].device)
        group += islice(batches, max(1, rows // batch_size) - 1)
        images = torch.cat([images for images, _ in group]) if len(group) > 1 else group[0][0]
        try:
            with precision.autocast():
                frozen = model.frozen(boundary, model.freeze_depth, images)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise DoesNotFit(
                f"out of memory with {rows} images at a time in frozen stages: take a smaller model or larger device"
            ) from None
        yield from zip(frozen.split([len(images) for images, _ in group]), [labels for _, labels in group], strict=True)


class Step:
    """One optimiser step on one batch: mix, forward, loss, backward, clip, update, schedule.

    A batch that is divided has the gradient of the whole batch, but for BatchNorm, which normalises each part by its
    own mean and variance; and dropout draws other masks.

    Args:
        model: frozen as deep as the point has it.
        point: the run's hyperparameters, of which it takes the optimiser's, the loss's and the batch's.
        labels: (N,) int64 of all images that are trained on, for the weights of their classes.
        mixes: what the workers of a group draw their mixes from, all the same.

    `schedule` is set once it is known over how many steps.
    """

    schedule: torch.optim.lr_scheduler.LRScheduler

    def __init__(
        self,
        model: StagedModel,
        point: Hyperparameters,
        precision: Precision,
        world: World,
        memory: Memory,
        *,
        labels: Tensor,
        mixes: torch.Generator | None = None,
    ) -> None:
        self.alone, self.model = model, world.wrap(model)
        self.point = point
        self.precision = precision
        self.world, self.memory = world, memory
        self.memory_probes = 0
        self.before = ForwardState(model)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optimizer(model, point)
        self.scaler = precision.scaler()
        together = mixes if world.size > 1 else None
        self.mix = Mixup(point.mixup, model.classes, together) if point.mixup else None
        self.class_weights = balanced(labels, model.classes) if point.class_weights == "balanced" else None

    @property
    def lr(self) -> float:
        """Of the next step, before layer decay and the head's scale."""
        group = self.optimizer.param_groups[-1]
        return group["lr"] / group["lr_scale"]

    def __call__(self, images: Tensor, labels: Tensor, boundary: int = 0, batch_size: int | None = None) -> Tensor:
        """Returns the loss of a batch that was read at `boundary`, still on the device.

        Given this worker's share of a batch of `batch_size` images, the mean over the workers is the batch's loss.
        """
        batch_size = batch_size or len(labels)
        if self.mix:  # once for a batch, however often memory makes us divide it anew
            assert boundary == 0, "mixup mixes images"
            images, labels = self.mix(images.float(), labels)
        loss = self.backward(images, labels, boundary, batch_size)
        try:
            self.scaler.unscale_(self.optimizer)
            if self.point.clip_norm:
                nn.utils.clip_grad_norm_(self.trained, self.point.clip_norm)
            self.scaler.step(self.optimizer)  # the first makes the optimiser's state
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise DoesNotFit(
                "out of memory in the optimizer's step, whose state does not fit beside the model: choose a smaller "
                "model, a larger freeze_depth or a larger device"
            ) from None
        self.scaler.update()
        self.schedule.step()
        return loss

    def backward(self, images: Tensor, labels: Tensor, boundary: int, batch_size: int) -> Tensor:
        """Leaves the gradient of the batch's mean loss in the model, and returns this worker's part of that loss.

        `labels` are (N,) int64, or mixed: (N, classes) float32.

        A worker in a group must not halve a batch by itself: the others would wait for it. So they find the size
        together, by computing the first two batches on trial (the optimiser's state is made between them), and memory
        that runs out later ends the run.
        """

        share = self.world.largest_share(batch_size)  # all workers divide theirs alike

        def compute(size: int) -> Tensor:
            return self.gradients(self.model, images, labels, boundary, batch_size, size)

        if self.world.size > 1 and self.memory_probes == 2:
            return compute(self.memory.size(TRAINING, share))
        self.before.capture(labels.device)

        def probe_memory(size: int) -> None:
            lacking = torch.zeros((), device=labels.device)
            try:
                with self.world.apart(self.alone):
                    self.gradients(self.alone, images, labels, boundary, batch_size, size)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                lacking += 1
            if self.world.all_reduce_sum(lacking):
                raise torch.OutOfMemoryError("a worker of the group is out of memory")

        def undo() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            self.before.restore()

        if self.world.size == 1:
            return self.memory.run_with_oom_backoff(TRAINING, share, compute, undo)
        self.memory.run_with_oom_backoff(TRAINING, share, probe_memory, undo)
        undo()
        self.memory_probes += 1
        return compute(self.memory.size(TRAINING, share))

    def gradients(
        self, model: nn.Module, images: Tensor, labels: Tensor, boundary: int, batch_size: int, size: int
    ) -> Tensor:
        """`backward`, with at most `size` images at once: each part's mean loss weighs by its share of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        count = ceil(self.world.largest_share(batch_size) / size)
        micro_batches = zip(images.tensor_split(count), labels.tensor_split(count), strict=True)
        for number, (some_images, some_labels) in enumerate(micro_batches, 1):
            counts = len(some_labels) > 0 and self.world.rank < batch_size
            if not len(some_labels):  # a part for which another worker has an image
                some_images, some_labels = images[:1], labels[:1]
            with self.world.no_sync(model) if number < count else nullcontext():
                with self.precision.autocast():
                    loss = cross_entropy(
                        model(some_images, boundary),
                        some_labels,
                        weight=self.class_weights,
                        label_smoothing=self.point.label_smoothing,
                    )
                loss = loss * (self.share(some_labels, batch_size) if counts else 0.0)
                self.scaler.scale(loss).backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def share(self, labels: Tensor, batch_size: int) -> float | Tensor:
        """What the mean loss over some labels counts for in a batch of `batch_size` images.

        Workers are averaged, whatever each has of a batch: so each counts as often as there are workers.

        torch divides a mean with class weights by the sum of these weights, which is another in each part and worker:
        this multiplies it in again, so that every image counts by its class wherever it is computed.
        """
        workers = self.world.size
        if self.class_weights is None or labels.is_floating_point():
            return workers * len(labels) / batch_size
        return workers * self.class_weights[labels].sum() / batch_size


def balanced(labels: Tensor, classes: int) -> Tensor:
    """Weights (classes,) float32 in inverse proportion to a class's images, 1 on average over the images."""
    images = torch.bincount(labels, minlength=classes)
    return torch.where(images > 0, len(labels) / ((images > 0).sum() * images.clamp(min=1)), 0.0).float()


class Mixup:
    """Zhang et al. 2018: every image of a batch is mixed with the one before it, in one proportion that is drawn.

    Args:
        mixes: draws the proportions that all workers of a group use; their batches come as pairs (`World.share`).
            Without it the process's own random numbers do, and a batch is whole, as for torchvision's MixUp.
    """

    def __init__(self, alpha: float, classes: int, mixes: torch.Generator | None = None) -> None:
        self.classes, self.mixes = classes, mixes
        self.proportions = torch.distributions.Beta(torch.tensor([alpha]), torch.tensor([alpha]))

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, ...) float32 and (N,) int64 labels, which become (N, classes) float32; of N pairs 2 N of each."""
        lam = self.draw()
        return self.mixed(images, lam), self.mixed(one_hot(labels, self.classes).float(), lam)

    def mixed(self, given: Tensor, lam: float) -> Tensor:
        own, before = (given, given.roll(1, 0)) if self.mixes is None else given.tensor_split(2)
        return before.mul_(1.0 - lam).add_(own.mul(lam))

    def draw(self) -> float:
        if self.mixes is None:
            return float(self.proportions.sample(()))
        own = torch.get_rng_state()  # which dropout has moved by another number of draws in each worker
        torch.set_rng_state(self.mixes.get_state())
        lam = float(self.proportions.sample(()))
        self.mixes.set_state(torch.get_rng_state())
        torch.set_rng_state(own)
        return lam


@torch.inference_mode()
def predict(
    model: StagedModel,
    source: BoundarySource,
    precision: Precision,
    memory: Memory | None = None,
    world: World | None = None,
) -> Predictions:
    """The model's predictions on a split, in the split's order; each worker makes a part of them, and gets all.

    Raises NotFinite if the model has none to give.
    """
    memory, world = memory or Memory(), world or World()
    model.eval()
    split = source.at(model.freeze_depth)
    device, mine = split.labels.device, world.chunk(torch.arange(len(split)))
    predicted, confidence = [torch.empty(0, dtype=torch.int64, device=device)], [torch.empty(0, device=device)]
    loss = torch.zeros((), device=device)
    for images, labels in split.in_order(EVALUATION_BATCH, world):

        def compute(size: int, images: Tensor = images) -> Tensor:
            with precision.autocast():
                return torch.cat([model(some, split.boundary) for some in images.split(size)])

        logits = memory.run_with_oom_backoff(EVALUATION, len(images), compute, undo=lambda: None)
        probability, best = logits.float().softmax(dim=1).max(dim=1)
        loss += cross_entropy(logits.float(), labels, reduction="sum")
        predicted.append(best)
        confidence.append(probability)
    loss = world.all_reduce_sum(loss)
    if not isfinite(loss):
        raise NotFinite(f"the model's loss is {float(loss)} after training")
    return Predictions(
        index=split.index,
        label=split.labels.cpu().numpy(),
        predicted=world.gather(torch.cat(predicted), mine, len(split)).cpu().numpy(),
        confidence=world.gather(torch.cat(confidence), mine, len(split)).cpu().numpy(),
        loss=float(loss) / len(split),
    )
