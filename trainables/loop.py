"""The one training loop. It is handed its device, data, workers and report function, and knows no Ray."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil, isfinite
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.batches import BoundarySource
from trainables.memory import EVALUATION, TRAINING, ForwardState, Memory, out_of_memory
from trainables.precision import Precision
from trainables.recipe import Hyperparameters, Recipe, optimizer, schedule
from trainables.stages import StagedModel
from trainables.world import World

EVALUATION_BATCH = 256


class NotFinite(ArithmeticError):
    """The loss became infinite or not a number: a result of these hyperparameters, not a fault of the program."""


@dataclass(frozen=True)
class Epoch:
    """One row of a learning curve; val_* are None where a run has no validation split."""

    epoch: int
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    train_seconds: float
    seconds: float

    def beats(self, other: "Epoch | None") -> bool:
        """The better epoch on validation: by accuracy, at equal accuracy by loss. Unvalidated ones beat nothing."""
        if self.val_accuracy is None or self.val_loss is None:
            return False
        if other is None:
            return True
        assert other.val_accuracy is not None and other.val_loss is not None
        return (self.val_accuracy, -self.val_loss) > (other.val_accuracy, -other.val_loss)


@dataclass(frozen=True)
class Predictions:
    """What a model says of a split: label, predicted class and its probability for each image, and the mean loss."""

    index: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    loss: float

    @property
    def accuracy(self) -> float:
        return float((self.label == self.predicted).mean())


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
        train, val: with batches on the same device; without `val` the reports carry None.
        seed: decides the order of the images and the dropout masks.
        memory: into how many parts a batch is divided; by default into more than one only where it does not fit.
        last_epoch: stop after this epoch of the recipe's schedule, all of them by default.
        validate_every_epoch: if not, only after the last one; the reports before it carry None.

    Raises NotFinite when an epoch's loss is not a finite number, DoesNotFit when memory does not suffice.
    """
    world, memory = world or World(), memory or Memory()
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    epoch = 0
    last = min(recipe.epochs, last_epoch or recipe.epochs)
    for phase in recipe.phases(hyperparameters, head_only=model.backbone_stages):
        model.freeze(phase.freeze_depth)
        images = train.at(phase.freeze_depth)
        step = Step(model, recipe, precision, world, memory, lr=phase.lr, weight_decay=hyperparameters.weight_decay)
        step.plan(lr=phase.lr, steps=phase.epochs * images.steps(recipe.batch_size, world.size))
        for _ in range(phase.epochs):
            epoch += 1
            if epoch > last:
                return
            start = perf_counter()
            lr = step.lr
            model.train()
            losses = [step(*batch, images.boundary) for batch in images.shuffled(recipe.batch_size, order, world)]
            train_loss = float(world.all_reduce_sum(torch.stack(losses).mean())) / world.size
            trained = perf_counter()
            if not isfinite(train_loss):
                raise NotFinite(f"the training loss is {train_loss} in epoch {epoch}")
            validated = val is not None and (validate_every_epoch or epoch == last)
            seen = predict(model, val, precision, memory) if val is not None and validated else None
            report(
                Epoch(
                    epoch=epoch,
                    train_loss=train_loss,
                    val_loss=seen.loss if seen else None,
                    val_accuracy=seen.accuracy if seen else None,
                    lr=lr,
                    train_seconds=trained - start,
                    seconds=perf_counter() - start,
                )
            )


class Step:
    """One optimiser step on one batch: forward, loss, backward, clip, update, schedule.

    A batch that is divided has the gradient of the whole batch, but for BatchNorm, which normalises each part by its
    own mean and variance; and dropout draws other masks.
    """

    def __init__(
        self,
        model: StagedModel,
        recipe: Recipe,
        precision: Precision,
        world: World,
        memory: Memory,
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        self.alone, self.model = model, world.wrap(model)
        self.recipe = recipe
        self.precision = precision
        self.world, self.memory = world, memory
        self.rehearsed = 0
        self.before = ForwardState(model)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optimizer(model, lr=lr, weight_decay=weight_decay)
        self.scaler = precision.scaler()

    def plan(self, *, lr: float, steps: int) -> None:
        self.schedule = schedule(self.optimizer, self.recipe, lr=lr, steps=steps)

    @property
    def lr(self) -> float:
        return float(self.schedule.get_last_lr()[0])

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, boundary: int = 0) -> torch.Tensor:
        """Returns the loss of a batch that was read at `boundary`, still on the device."""
        loss = self.backward(images, labels, boundary)
        self.scaler.unscale_(self.optimizer)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.trained, self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss

    def backward(self, images: torch.Tensor, labels: torch.Tensor, boundary: int) -> torch.Tensor:
        """Leaves the gradient of the batch's mean loss in the model, and returns that loss.

        A worker in a group must not halve a batch by itself: the others would wait for it. So they find the size
        together, in rehearsals of the first two batches (the optimiser's state is made between them), and memory that
        runs out later ends the run.
        """

        def compute(size: int) -> torch.Tensor:
            return self.gradients(self.model, images, labels, boundary, size)

        if self.world.size > 1 and self.rehearsed == 2:
            return compute(self.memory.size(TRAINING, len(labels)))
        self.before.capture(labels.device)

        def rehearse(size: int) -> None:
            lacking = torch.zeros((), device=labels.device)
            try:
                self.gradients(self.alone, images, labels, boundary, size)
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
            return self.memory.run_with_oom_backoff(TRAINING, len(labels), compute, undo)
        self.memory.run_with_oom_backoff(TRAINING, len(labels), rehearse, undo)
        undo()
        self.rehearsed += 1
        return compute(self.memory.size(TRAINING, len(labels)))

    def gradients(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, boundary: int, size: int
    ) -> torch.Tensor:
        """`backward`, with at most `size` images at once: each part's mean loss weighs by its share of the batch."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        count = ceil(len(labels) / size)
        parts = list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))
        for number, (some, theirs) in enumerate(parts, 1):
            with self.world.no_sync(model) if number < count else nullcontext():
                with self.precision.autocast():
                    loss = cross_entropy(model(some, boundary), theirs, label_smoothing=self.recipe.label_smoothing)
                loss = loss * (len(theirs) / len(labels))
                self.scaler.scale(loss).backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()


@torch.inference_mode()
def predict(
    model: StagedModel, source: BoundarySource, precision: Precision, memory: Memory | None = None
) -> Predictions:
    """The model's predictions on a split, in the split's order. Raises NotFinite if it has none to give."""
    memory = memory or Memory()
    model.eval()
    split = source.at(model.freeze_depth)
    predicted, confidence, loss = [], [], torch.zeros((), device=split.labels.device)
    for images, labels in split.in_order(EVALUATION_BATCH):

        def compute(size: int, images: torch.Tensor = images) -> torch.Tensor:
            with precision.autocast():
                return torch.cat([model(some, split.boundary) for some in images.split(size)])

        logits = memory.run_with_oom_backoff(EVALUATION, len(images), compute, undo=lambda: None)
        probability, best = logits.float().softmax(dim=1).max(dim=1)
        loss += cross_entropy(logits.float(), labels, reduction="sum")
        predicted.append(best)
        confidence.append(probability)
    if not isfinite(loss):
        raise NotFinite(f"the model's loss is {float(loss)} after training")
    return Predictions(
        index=split.index,
        label=split.labels.cpu().numpy(),
        predicted=torch.cat(predicted).cpu().numpy(),
        confidence=torch.cat(confidence).cpu().numpy(),
        loss=float(loss) / len(split),
    )
