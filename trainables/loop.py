"""The one training loop. It is handed its device, data, workers and report function, and knows no Ray."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import islice
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables import progress
from trainables.batches import BoundarySource, Examples
from trainables.graphs import GraphedSteps, graphed
from trainables.hyperparameters import Hyperparameters
from trainables.memory import EVALUATION, Memory
from trainables.metrics import Metric, scores
from trainables.optimisation import schedule
from trainables.precision import Precision
from trainables.recipe import Phase, Recipe
from trainables.stages import StagedModel
from trainables.step import Step, carried
from trainables.world import World, running_statistics

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
    state: "State | None" = None,
    after_step: "Callable[[Training], object]" = lambda training: None,
    while_validating: "Callable[[Training], object]" = lambda training: None,
) -> "Training":
    """Trains `model` in place and reports every epoch; returns the training as it is after its last step.

    Args:
        model: on its device, with the weights to start from.
        train, val: with batches on the same device; without `val` the reports carry None. With mixup `train` is to
            give boundary 0 whatever is frozen.
        hyperparameters: all that decides about the run but the recipe's epochs and milestones.
        seed: decides the order of the images, the dropout masks and the mixes.
        memory: into how many parts a batch is divided; by default into more than one only where it does not fit.
        last_epoch: stop after this epoch of the recipe's schedule, all of them by default.
        validate_every_epoch: if not, only after the last one; the reports before it carry None.
        state: of a training of the same arguments, which this one goes on from; the epochs before are reported again.
        after_step: called after every step: the training may be kept then, or ended by what this raises.
        while_validating: likewise after batches of validation, when the training is as it was after the last step.

    Raises:
        ValueError: the model has no layer that a hyperparameter would change, or not so many stages to freeze.
        NotFinite: an epoch's loss is not a finite number.
        DoesNotFit: memory does not suffice.
    """
    world, memory = world or World(), memory or Memory()
    hyperparameters.check_model(backbone_stages=model.backbone_stages, features=model.features, model="this model")
    torch.manual_seed(seed + world.rank * OTHER_DRAWS)
    phases = recipe.phases(hyperparameters, head_only=model.backbone_stages)
    training = Training(model, train, phases, recipe.milestones, precision, world, memory, seed=seed)
    if state:
        training.load(state)
    else:
        training.begin_epoch()
    for known in training.curve:
        report(known)
    progress.now.epochs = last = min(recipe.epochs, last_epoch or recipe.epochs)
    while True:
        train_loss = training.finish_epoch(after_step)
        trained = perf_counter()
        if not isfinite(train_loss):
            raise NotFinite(f"the training loss is {train_loss} in epoch {training.epoch}")
        validates = val is not None and (validate_every_epoch or training.epoch == last)
        looks = partial(while_validating, training)
        predictions = predict(model, val, precision, memory, world, looks) if val is not None and validates else None
        values = predictions.scores if predictions else {}
        ended = Epoch(
            epoch=training.epoch,
            train_loss=train_loss,
            val_loss=values.get(Metric.LOSS),
            val_accuracy=values.get(Metric.ACCURACY),
            val_mean_class_accuracy=values.get(Metric.MEAN_CLASS_ACCURACY),
            val_macro_f1=values.get(Metric.MACRO_F1),
            lr=training.lr,
            train_seconds=trained - training.start,
            seconds=perf_counter() - training.start,
        )
        progress.now.ended = ended
        report(ended)
        if training.epoch == last:
            return training
        training.curve.append(ended)
        training.begin_epoch()


@dataclass(frozen=True)
class State:
    """What a training goes on from: tensors and plain values alone.

    Attributes:
        shared: what all workers have alike.
        own: what this worker has for itself: random numbers, BatchNorm's statistics in the middle of an epoch, losses.
    """

    shared: Mapping[str, Any]
    own: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        """That have ended."""
        return len(self.shared["curve"])

    @property
    def steps(self) -> int:
        """Of the epoch after them."""
        return len(self.own["losses"])


class Training:
    """A run between two of its steps: all that moves while it trains, to be kept and gone on with.

    Random numbers are torch's, and those of the generators here: nothing draws from Python's or NumPy's.

    Args:
        phases: of the recipe, with the epochs and the point of each.
        milestones: of the step schedule.

    Attributes:
        curve: the epochs that have ended.
        epoch: the one that is trained, from 1.
        losses: of its steps so far, on the device.
        lr: of its first step.
        start: when it began, by `perf_counter`, as if it had been trained without a break.
    """

    phase: int
    images: Examples
    step: Step
    graphed: GraphedSteps | None  # the same step, where CUDA graphs may hold it
    losses: list[Tensor]
    statistics: list[Tensor] | None  # this worker's own of BatchNorm, when its last step was the epoch's
    lr: float
    start: float
    drawn_from: Tensor  # the state of `order` from which the epoch's order is drawn

    def __init__(
        self,
        model: StagedModel,
        train: BoundarySource,
        phases: list[Phase],
        milestones: tuple[float, ...],
        precision: Precision,
        world: World,
        memory: Memory,
        *,
        seed: int,
    ) -> None:
        self.model, self.train, self.phases, self.milestones = model, train, phases, milestones
        self.precision, self.world, self.memory = precision, world, memory
        self.order, self.mixes = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
        self.curve: list[Epoch] = []

    @property
    def epoch(self) -> int:
        return len(self.curve) + 1

    @property
    def point(self) -> Hyperparameters:
        """Of the phase."""
        return self.phases[self.phase].point

    def begin_epoch(self) -> None:
        begins = [sum(phase.epochs for phase in self.phases[:number]) for number in range(len(self.phases))]
        if self.epoch - 1 in begins:
            self.begin_phase(begins.index(self.epoch - 1))
        self.start = perf_counter()
        self.losses, self.lr, self.drawn_from = [], self.step.lr, self.order.get_state()
        self.statistics = None

    def begin_phase(self, number: int) -> None:
        self.phase = number
        phase, point, model = self.phases[number], self.point, self.model
        model.freeze(point.freeze_depth).set_rates(dropout=point.dropout, drop_path=point.drop_path)
        self.images = self.train.at(point.freeze_depth)
        labels = self.images.labels
        self.step = Step(model, point, self.precision, self.world, self.memory, labels=labels, mixes=self.mixes)
        steps = phase.epochs * self.images.steps(point.batch_size)
        self.step.schedule = schedule(self.step.optimizer, point, milestones=self.milestones, steps=steps)
        self.graphed = graphed(self.step, self.images, steps=steps)

    def finish_epoch(self, after_step: "Callable[[Training], object]") -> float:
        """Trains what is left of the epoch; returns the mean loss of all of it, over all workers."""
        images, world, size, done = self.images, self.world, self.point.batch_size, len(self.losses)
        self.model.train()
        sizes = images.batch_sizes(size)
        progress.now.epoch = progress.Epoch(self.epoch, sizes, self.losses, done)
        for loss in self.steps(done):
            self.losses.append(loss)
            after_step(self)
        self.statistics = [statistic.clone() for statistic in running_statistics(self.model)]
        world.average_statistics(self.model)
        return float(world.all_reduce_sum(torch.stack(self.losses).mean())) / world.size

    def steps(self, done: int) -> Iterator[Tensor]:
        """The loss of each step of the epoch as it is made, but for the first ones, which were made already."""
        step, images, world, size = self.step, self.images, self.world, self.point.batch_size
        if self.graphed:
            orders = images.orders(size, self.order, world, images.gathers_on)
            yield from map(self.graphed, islice(orders, done, None))
            return
        pairs = bool(step.mix) and world.size > 1
        batches = images.shuffled(size, self.order, world, pairs=pairs, epoch=self.epoch - 1, skip=done)
        boundary = images.boundary
        if not step.mix:  # what is mixed is images
            batches = carried(self.model, batches, boundary, self.precision, world.largest_share(size))
            boundary = self.point.freeze_depth
        for batch, images_of_all in zip(batches, images.batch_sizes(size)[done:], strict=True):
            yield step(*batch, boundary, images_of_all)

    def state(self) -> State:
        """As it was after its last step: the tensors go on changing."""
        statistics = running_statistics(self.model) if self.statistics is None else self.statistics
        shared = {
            "phase": self.phase,
            "curve": [asdict(epoch) for epoch in self.curve],
            "lr": self.lr,
            "seconds": perf_counter() - self.start,
            "order": self.drawn_from,
            "mixes": self.mixes.get_state(),
            "model": self.model.trained_state(),
            "step": self.step.state_dict(),
            "memory": self.memory.state_dict(),
        }
        own = {
            "losses": torch.stack(self.losses).cpu(),
            "statistics": [statistic.cpu() for statistic in statistics],
            "random": torch.get_rng_state(),
            "random_of_device": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        return State(shared, own)

    def load(self, state: State) -> None:
        """Becomes a training that was kept."""
        shared, own = state.shared, state.own
        self.curve = [Epoch(**epoch) for epoch in shared["curve"]]
        self.begin_phase(shared["phase"])
        self.model.train()  # or else no statistics move
        self.model.load_trained_state(shared["model"])
        for statistic, kept in zip(running_statistics(self.model), own["statistics"], strict=True):
            statistic.copy_(kept)
        self.step.load_state_dict(shared["step"])
        self.memory.load_state_dict(shared["memory"])
        self.losses, self.statistics = list(own["losses"].to(self.device).unbind()), None
        self.lr, self.start, self.drawn_from = shared["lr"], perf_counter() - shared["seconds"], shared["order"]
        self.order.set_state(self.drawn_from)
        self.mixes.set_state(shared["mixes"])
        torch.set_rng_state(own["random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(own["random_of_device"], self.device)

    @property
    def device(self) -> torch.device:
        return self.images.labels.device


@torch.inference_mode()
def predict(
    model: StagedModel,
    source: BoundarySource,
    precision: Precision,
    memory: Memory | None = None,
    world: World | None = None,
    after_batch: Callable[[], object] = lambda: None,
) -> Predictions:
    """The model's predictions on a split, in the split's order; each worker makes a part of them, and gets all.

    Args:
        model: on its device.
        source: with batches on the same device.
        precision: what it computes in.
        memory: how many images it computes at once.
        world: the workers.
        after_batch: called after a batch, as often in every worker; what it raises ends this.

    Raises NotFinite if the model has none to give.
    """
    memory, world = memory or Memory(), world or World()
    model.eval()
    split = source.at(model.freeze_depth)
    device, mine = split.labels.device, world.chunk(torch.arange(len(split)))
    predicted, confidence = [torch.empty(0, dtype=torch.int64, device=device)], [torch.empty(0, device=device)]
    loss = torch.zeros((), device=device)
    in_all = len(split) // world.size // EVALUATION_BATCH  # batches that every worker has
    for number, (images, labels) in enumerate(split.in_order(EVALUATION_BATCH, world)):

        def compute(size: int, images: Tensor = images) -> Tensor:
            with precision.autocast():
                return torch.cat([model(some, split.boundary) for some in images.split(size)])

        logits = memory.run_with_oom_backoff(EVALUATION, len(images), compute, undo=lambda: None)
        probability, best = logits.float().softmax(dim=1).max(dim=1)
        loss += cross_entropy(logits.float(), labels, reduction="sum")
        predicted.append(best)
        confidence.append(probability)
        progress.tick()
        if number < in_all:
            after_batch()
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
